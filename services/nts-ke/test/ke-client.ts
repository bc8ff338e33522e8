/** A client of NTS-KE that sends whatever it is told, rightly or wrongly, and tells how the connection ended. */
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { connect as connectTcp, type Socket } from "node:net"
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls"
import { setTimeout as sleep } from "node:timers/promises"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { exporterContext, EXPORTER_LABEL } from "@meridian/auth/nts-ke-server"
import { aeadParameters } from "@meridian/auth/aead"
import {
  ALPN,
  bodyNumbers,
  encodeRecords,
  endOfMessage,
  type NtsKeRecord,
  numbersBody,
  record,
  RecordDecoder,
  RecordType
} from "@meridian/wire/nts-ke"

export interface Target {
  readonly port: number
  readonly host?: string
  /** Path of the certificate that is trusted. */
  readonly ca: string
}

export interface Ending {
  readonly records: readonly NtsKeRecord[]
  /** "end" for a regular goodbye (close_notify), else the error's code. */
  readonly end: string
  readonly tls: string | undefined
  readonly alpn: string | false | null
  /** Data events until the end: one when the reply came in one TLS record. */
  readonly reads: number
  readonly fingerprint: string
  readonly keys: (aead: number, compliantExporter?: boolean) => { c2s: Uint8Array; s2c: Uint8Array }
}

/** The usual request: NTPv4 and these AEADs. */
export const request = (...aeads: readonly number[]): Uint8Array =>
  encodeRecords([
    record(RecordType.nextProtocol, true, numbersBody([0])),
    record(RecordType.aead, true, numbersBody(aeads)),
    endOfMessage
  ])

const options = ({ port, host = "127.0.0.1", ca }: Target, changes: ConnectionOptions): ConnectionOptions => ({
  port,
  host,
  ca: readFileSync(ca),
  servername: "localhost",
  ALPNProtocols: [ALPN],
  ...changes
})

/** Completes a handshake and leaves the connection open. */
export const connected = async (target: Target, changes: ConnectionOptions = {}): Promise<TLSSocket> => {
  const socket = connect(options(target, changes))
  await once(socket, "secureConnect")
  return socket
}

export interface Behaviour {
  readonly tls?: ConnectionOptions
  /** One byte at a time. */
  readonly bytewise?: boolean
  /** Say goodbye right after the request. */
  readonly thenClose?: boolean
}

/** Sends bytes after the handshake and waits for the end. Never throws on what the server does. */
export const ask = async (target: Target, bytes: Uint8Array, behaviour: Behaviour = {}): Promise<Ending> => {
  const socket = connect(options(target, behaviour.tls ?? {}))
  const decoder = new RecordDecoder()
  let reads = 0
  let end = ""
  let seen: Pick<Ending, "tls" | "alpn" | "fingerprint"> = { tls: undefined, alpn: null, fingerprint: "" }
  const keys = new Map<string, Buffer>()
  const note = (): void => {
    seen = {
      tls: socket.getProtocol() ?? undefined,
      alpn: socket.alpnProtocol,
      fingerprint: socket.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase()
    }
    for (const id of [15, 16, 17, 30])
      for (const compliantExporter of [false, true])
        for (const direction of ["c2s", "s2c"] as const) {
          const aead = aeadParameters(id)!
          const context = Buffer.from(exporterContext({ aead, compliantExporter }, direction))
          keys.set(
            `${id}${compliantExporter}${direction}`,
            socket.exportKeyingMaterial(aead.keyBytes, EXPORTER_LABEL, context)
          )
        }
  }
  const send = async (): Promise<void> => {
    note()
    if (behaviour.bytewise === true)
      for (const byte of bytes) {
        socket.write(Uint8Array.of(byte))
        await sleep(1)
      }
    else if (bytes.length > 0) socket.write(bytes)
    if (behaviour.thenClose === true) socket.end()
  }
  socket.on("secureConnect", () => void send())
  socket.on("data", (chunk: Buffer) => {
    reads++
    decoder.push(chunk)
  })
  socket.on("end", () => (end ||= "end"))
  socket.on("error", (error: NodeJS.ErrnoException) => (end ||= error.code ?? error.message))
  await new Promise((closed) => socket.once("close", closed))
  return {
    ...seen,
    records: decoder.records,
    end,
    reads,
    keys: (aead, compliantExporter = false) => ({
      c2s: keys.get(`${aead}${compliantExporter}c2s`)!,
      s2c: keys.get(`${aead}${compliantExporter}s2c`)!
    })
  }
}

const NAMES: Readonly<Record<number, string>> = {
  [RecordType.endOfMessage]: "end",
  [RecordType.nextProtocol]: "protocol",
  [RecordType.error]: "error",
  [RecordType.warning]: "warning",
  [RecordType.aead]: "aead",
  [RecordType.newCookie]: "cookie",
  [RecordType.ntpServer]: "server",
  [RecordType.ntpPort]: "port"
}

/** A reply in one line: `protocol!(0) aead!(15) cookie[96]×8 end!`, where `!` marks critical records. */
export const summary = (records: readonly NtsKeRecord[]): string => {
  const words: string[] = []
  for (const { type, critical, body } of records) {
    const name = `${NAMES[type] ?? String(type)}${critical ? "!" : ""}`
    if (type === RecordType.newCookie) words.push(`${name}[${body.length}]`)
    else if (type === RecordType.ntpServer) words.push(`${name}(${Buffer.from(body).toString("latin1")})`)
    else if (type in NAMES && type !== RecordType.endOfMessage) words.push(`${name}(${bodyNumbers(body)?.join(",")})`)
    else words.push(name)
  }
  const shortened: string[] = []
  for (let at = 0; at < words.length;) {
    const run = words.slice(at).findIndex((word) => word !== words[at])
    const count = run < 0 ? words.length - at : run
    shortened.push(count > 1 ? `${words[at]}×${count}` : words[at]!)
    at += count
  }
  return shortened.join(" ")
}

/** A TCP connection without TLS. */
export const plain = async (
  { port, host = "127.0.0.1" }: Pick<Target, "port" | "host">,
  from?: string
): Promise<Socket> => {
  const socket = connectTcp({ port, host, ...(from === undefined ? {} : { localAddress: from }) })
  socket.on("error", () => {})
  await once(socket, "connect")
  return socket
}

/** Waits until the other side has ended a connection; what it sent is read and dropped. Throws when it never does. */
export const ended = async (socket: Socket): Promise<void> => {
  socket.on("error", () => {}).resume()
  for (let waited = 0; !socket.closed && waited < PATIENCE_MS; waited += 10) await sleep(10)
  if (!socket.closed) throw new Error("the other side never ended the connection")
}
