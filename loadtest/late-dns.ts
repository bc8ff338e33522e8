/** A name server for the first-sync bench: answers A questions on ADDRESS port 53. Arguments: ADDRESS NAME=ADDRESS … */
import { createSocket } from "node:dgram"

const [address = "", ...pairs] = process.argv.slice(2)
const known = new Map(pairs.map((pair) => pair.split("=") as [string, string]))

const TYPE_A = 1
const HEADER = 12

const socket = createSocket("udp4")
socket.on("message", (query, { port, address: from }) => {
  const labels: string[] = []
  let at = HEADER
  while (at < query.length && query[at] !== 0) {
    const length = query[at] ?? 0
    labels.push(query.toString("ascii", at + 1, at + 1 + length).toLowerCase())
    at += 1 + length
  }
  const question = query.subarray(HEADER, at + 5)
  const found = query.readUInt16BE(at + 1) === TYPE_A ? known.get(labels.join(".")) : undefined
  const isKnown = known.has(labels.join("."))
  const header = Buffer.alloc(HEADER)
  header.writeUInt16BE(query.readUInt16BE(0), 0)
  // An authoritative answer; 3: no such name.
  header.writeUInt16BE(0x8580 | (isKnown ? 0 : 3), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(found === undefined ? 0 : 1, 6)
  const record = Buffer.from([
    0xc0,
    HEADER,
    0,
    TYPE_A,
    0,
    1,
    0,
    0,
    0,
    60,
    0,
    4,
    ...(found ?? "").split(".").map(Number)
  ])
  socket.send(Buffer.concat([header, question, ...(found === undefined ? [] : [record])]), port, from)
})
socket.bind(53, address)
