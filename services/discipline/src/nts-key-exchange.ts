/** NTS key establishment as a client (RFC 8915 §4) over node:tls: TLS 1.3, ALPN, and both keys by the exporter. */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { isIP } from "node:net"
import { join } from "node:path"
import { type ConnectionOptions, connect, getCACertificates, type TLSSocket } from "node:tls"
import type { AeadId, AeadParameters } from "@meridian/auth/aead"
import { defaultAeads, type KeyExchange, keyExchangeRequest, readKeyExchangeReply } from "@meridian/auth/nts-ke-client"
import { EXPORTER_LABEL, exporterContext } from "@meridian/auth/nts-ke-server"
import { RecordDecoder } from "@meridian/wire/nts-ke"

const ALPN = "ntske/1"
/** For the whole exchange, milliseconds. */
const PATIENCE_MS = 10_000
const MOST_CA_FILES = 1_000

export interface KeyExchangeTarget {
  /** Whose certificate must be shown: a DNS name or a numeric address. */
  readonly name: string
  /** Where to connect. */
  readonly address: string
  readonly port: number
  /** File or folder of PEM certificates; null: the system's roots. */
  readonly ca: string | null
  /** Takes any certificate. */
  readonly insecure: boolean
  readonly aeads: readonly AeadId[] | undefined
}

/** Everything an NTS association starts from. Holds key material. */
export interface ExchangedKeys {
  readonly aead: AeadParameters
  readonly c2s: Uint8Array
  readonly s2c: Uint8Array
  readonly cookies: readonly Uint8Array[]
  /** Where time is served, as the server said; undefined: where keys were asked, and port 123. */
  readonly host: string | undefined
  readonly port: number | undefined
}

/** No keys: where, and why, without any of them. */
export class KeyExchangeFailed extends Error {
  readonly _tag = "KeyExchangeFailed"
  readonly reason: "ca" | "connection" | "certificate" | "alpn" | "timeout" | "refused"

  constructor(target: KeyExchangeTarget, reason: KeyExchangeFailed["reason"], what: string) {
    super(`NTS keys from ${target.name} (${target.address} port ${target.port}): ${what}`)
    this.reason = reason
  }
}

/** Exchanges keys. Rejects with {@link KeyExchangeFailed}, at the latest after ten seconds. */
export const exchangeKeys = (target: KeyExchangeTarget): Promise<ExchangedKeys> =>
  new Promise((resolve, reject) => {
    const aeads = target.aeads ?? defaultAeads
    let socket: TLSSocket | undefined
    const fail = (reason: KeyExchangeFailed["reason"], what: string): void => {
      clearTimeout(limit)
      socket?.destroy()
      reject(new KeyExchangeFailed(target, reason, what))
    }
    const limit = setTimeout(() => fail("timeout", "no whole reply within 10 s"), PATIENCE_MS)
    let options: ConnectionOptions
    try {
      options = optionsOf(target)
    } catch (error) {
      return fail("ca", `the trusted certificates in ${target.ca} cannot be read: ${messageOf(error)}`)
    }
    const decoder = new RecordDecoder()
    socket = connect(options, () => {
      if (socket?.alpnProtocol !== ALPN)
        return fail("alpn", `expected the server to speak ${ALPN}; is it an NTS-KE port?`)
      socket.write(keyExchangeRequest(aeads))
    })
    socket.on("data", (bytes: Buffer) => {
      const state = decoder.push(bytes)
      if (state === "reading" || socket === undefined) return
      if (state !== "complete") return fail("refused", `the reply is no NTS-KE message: ${state}`)
      const reply = readKeyExchangeReply(decoder.records, aeads)
      if (reply._tag === "Refused") return fail("refused", reply.message)
      clearTimeout(limit)
      resolve(keysOf(socket, reply))
      socket.end()
    })
    socket.on("error", (error: NodeJS.ErrnoException) =>
      fail(isCertificateFault(error) ? "certificate" : "connection", messageOf(error))
    )
    socket.on("close", () => fail("connection", "the server closed the connection before its reply was whole"))
  })

const optionsOf = ({ name, address, port, ca, insecure }: KeyExchangeTarget): ConnectionOptions => ({
  host: address,
  port,
  // A certificate for a number is compared with the address that is connected to; only names go into SNI (RFC 6066 §3).
  ...(isIP(name) === 0 ? { servername: name } : {}),
  ALPNProtocols: [ALPN],
  minVersion: "TLSv1.3",
  rejectUnauthorized: !insecure,
  ca: ca === null ? systemRoots() : readCertificates(ca)
})

let roots: string[] | undefined
const systemRoots = (): string[] => {
  if (roots === undefined) {
    roots = getCACertificates("system")
    if (roots.length === 0) roots = getCACertificates("bundled")
  }
  return roots
}

const readCertificates = (path: string): string[] => {
  if (!statSync(path).isDirectory()) return [readFileSync(path, "utf8")]
  const files = readdirSync(path)
    .filter((name) => /\.(?:pem|crt|cer)$|\.\d$/.test(name))
    .slice(0, MOST_CA_FILES)
  return files.map((name) => readFileSync(join(path, name), "utf8"))
}

const keysOf = (socket: TLSSocket, { aead, compliantExporter, cookies, host, port }: KeyExchange): ExchangedKeys => {
  const key = (direction: "c2s" | "s2c"): Uint8Array =>
    new Uint8Array(
      socket.exportKeyingMaterial(
        aead.keyBytes,
        EXPORTER_LABEL,
        Buffer.from(exporterContext({ aead, compliantExporter }, direction))
      )
    )
  return { aead, c2s: key("c2s"), s2c: key("s2c"), cookies, host, port }
}

const isCertificateFault = ({ code = "" }: NodeJS.ErrnoException): boolean =>
  /CERT|VERIFY|ALTNAME|SELF_SIGNED|ISSUER/.test(code)

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
