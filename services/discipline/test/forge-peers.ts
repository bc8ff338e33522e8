/**
 * Sends symmetric active packets from many addresses of 127.0.0.0/8, one each, to an address and port: a program of its own,
 * to be run in a network namespace. Arguments: ADDRESS PORT COUNT KIND. `plain` has no MAC, `forged` one of another key,
 * `first` and `replayed` a true one under key 5, with no origin and with one of an hour ago; `fresh` is what a peer sends.
 */
import { createHash } from "node:crypto"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { ntpTimestamp, type NtpTimestamp } from "@meridian/time/timestamp"
import { encodeHeader, Mode } from "@meridian/wire/ntp"

const [address = "", port = "", count = "", kind = ""] = process.argv.slice(2)
const UNIX_TO_NTP = 2_208_988_800
const AT_ONCE = 100

const ago = (seconds: number): NtpTimestamp => ntpTimestamp(Date.now() / 1e3 - seconds + UNIX_TO_NTP, 1)
const origins: Readonly<Record<string, () => NtpTimestamp>> = {
  first: () => ntpTimestamp(0, 0),
  replayed: () => ago(3_600)
}

const packet = (): Uint8Array => {
  const header = encodeHeader({
    leap: 0,
    version: 4,
    mode: Mode.symmetricActive,
    stratum: 1,
    poll: 3,
    precision: -20,
    rootDelay: 0,
    rootDispersion: 0,
    referenceId: 0x47505300,
    reference: ago(5),
    origin: (origins[kind] ?? (() => ago(1)))(),
    receive: ago(1),
    transmit: ago(0)
  })
  if (kind === "plain") return header
  const secret = kind === "forged" ? "another-key" : "a-key-that-is-ascii"
  const digest = createHash("sha1").update(secret).update(header).digest()
  return Buffer.concat([header, Uint8Array.of(0, 0, 0, 5), digest])
}

const sendFrom = async (index: number): Promise<void> => {
  const socket = createSocket("udp4")
  socket.bind(0, `127.${1 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`)
  await once(socket, "listening")
  await new Promise<void>((sent) => socket.send(packet(), Number(port), address, () => sent()))
  socket.close()
}

for (let index = 0; index < Number(count); index += AT_ONCE) {
  const batch = Math.min(AT_ONCE, Number(count) - index)
  await Promise.all(Array.from({ length: batch }, (_, at) => sendFrom(index + at)))
}
