/** NTS key establishment as a client (RFC 8915 §4) over node:tls: TLS 1.3, ALPN, and both keys by the exporter. */
import { readdirSync, statSync } from "@meridian/system/files"
import { isIP } from "node:net"
import { join } from "node:path"
import { type ConnectionOptions, connect, getCACertificates, type TLSSocket } from "node:tls"
import { AeadId, type AeadParameters } from "@meridian/auth/aead"
import { defaultAeads, type KeyExchange, keyExchangeRequest, KeyExchangeReply } from "@meridian/auth/nts-ke-client"
import { EXPORTER_LABEL, exporterContext } from "@meridian/auth/nts-ke-server"
import { reasonOf } from "@meridian/system/errno-words"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"
import { canJudge, type CertificateTime, chainOf, judgeChain, type ShownChain } from "./certificate-time.ts"

const ALPN = "ntske/1"
/** For the whole exchange, milliseconds. */
const PATIENCE_MS = 10_000
const MOST_CA_FILES = 1_000
/** A system's whole bundle has a quarter of a megabyte. */
const MOST_CA_BYTES = 16 * 1024 * 1024

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
  /** By when the certificate is judged; absent: by CLOCK_REALTIME, which is all that there is without the addon. */
  readonly certificateTime?: CertificateTime | undefined
}

/** Everything an NTS association starts from. Holds key material. */
export interface ExchangedKeys {
  readonly aead: AeadParameters
  readonly c2s: Uint8Array
  readonly s2c: Uint8Array
  readonly cookies: readonly Uint8Array[]
  /**
   * The same by the other context, where it is not known which one the server has: for AEAD 30 chrony before 4.6.1 has that of
   * 15, and servers that say nothing of it may go by the RFC.
   */
  readonly otherwise: { readonly c2s: Uint8Array; readonly s2c: Uint8Array } | undefined
  /** Where time is served, as the server said; undefined: where keys were asked, and port 123. */
  readonly host: string | undefined
  readonly port: number | undefined
  readonly certificate: ShownCertificate
  /** Of a certificate that passed though its dates are wrong, since nobody knew the time: to be judged again once it is known. */
  readonly provisional?: ShownChain | undefined
}

export interface ShownCertificate {
  /** As OpenSSL writes it: `CN=time.example, O=Example`; empty where it has none. */
  readonly subject: string
  /** The names and addresses it is for, as OpenSSL writes them: `DNS:time.example, IP Address:192.0.2.1`. */
  readonly names: string
  readonly issuer: string
  /** From when on it is valid, ISO 8601. */
  readonly begins: string
  /** When it expires, ISO 8601. */
  readonly expires: string
}

/** No keys: where, and why, without any of them. */
export class KeyExchangeFailed extends Error {
  readonly _tag = "KeyExchangeFailed"
  /** `dates`: of a certificate, against this machine's clock. */
  readonly reason: "ca" | "connection" | "certificate" | "dates" | "alpn" | "timeout" | "refused"

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
    const reply = new KeyExchangeReply(aeads)
    let provisional: ShownChain | undefined
    try {
      // It throws for a file that begins like a certificate and is none.
      const trusted = target.ca === null ? systemRoots() : readCertificates(target.ca)
      const time = ownTime(target)
      socket = connect(optionsOf(target, trusted, time === undefined), () => {
        if (socket?.alpnProtocol !== ALPN)
          return fail("alpn", `expected the server to speak ${ALPN}; is it an NTS-KE port?`)
        if (time !== undefined) {
          const shown = shownTo(target, socket, trusted)
          const judged = judgeChain(shown, time)
          if (judged._tag === "Bad") return fail(judged.reason, judged.what)
          if (judged._tag === "Provisional") provisional = shown
        }
        socket.write(keyExchangeRequest(aeads))
      })
    } catch (error) {
      return fail("ca", `the trusted certificates in ${target.ca ?? "the system"} cannot be read: ${messageOf(error)}`)
    }
    socket.on("data", (bytes: Buffer) => {
      if (socket === undefined) return
      const judged = reply.push(bytes)
      if (judged === "reading") return
      if (judged._tag === "Refused") return fail("refused", judged.message)
      try {
        resolve({ ...keysOf(socket, judged), certificate: certificateOf(socket), provisional })
      } catch (error) {
        return fail("connection", `the keys cannot be derived: ${messageOf(error)}`)
      }
      clearTimeout(limit)
      // One reply is all that is wanted. A server that goes on sending, or never closes, would hold on to us.
      socket.removeAllListeners("data")
      socket.destroySoon()
    })
    socket.on("error", (error: NodeJS.ErrnoException) => {
      const reason = certificateFault(error) ?? "connection"
      const judged = reason === "dates" ? ` by this machine's clock (${new Date().toISOString()})` : ""
      fail(reason, `${messageOf(error)}${judged}`)
    })
    socket.on("close", () => fail("connection", "the server closed the connection before its reply was whole"))
  })

/** The time that this code judges the certificate by; undefined where TLS does, or nobody. */
const ownTime = ({ certificateTime, insecure }: KeyExchangeTarget): CertificateTime | undefined =>
  insecure || !canJudge() ? undefined : certificateTime

const shownTo = ({ name, address }: KeyExchangeTarget, socket: TLSSocket, trusted: readonly string[]): ShownChain => ({
  chain: chainOf(socket),
  roots: new TextEncoder().encode(trusted.join("\n")),
  name: isIP(name) === 0 ? name : address
})

/** @param judges whether the TLS library judges the certificate */
const optionsOf = (
  { name, address, port, insecure }: KeyExchangeTarget,
  trusted: string[],
  judges: boolean
): ConnectionOptions => ({
  host: address,
  port,
  // A certificate for a number is compared with the address that is connected to; only names go into SNI (RFC 6066 §3).
  ...(isIP(name) === 0 ? { servername: name } : {}),
  ALPNProtocols: [ALPN],
  minVersion: "TLSv1.3",
  rejectUnauthorized: !insecure && judges,
  ca: trusted
})

let roots: string[] | undefined
const systemRoots = (): string[] => {
  if (roots === undefined) {
    roots = getCACertificates("system")
    if (roots.length === 0) roots = getCACertificates("bundled")
  }
  return roots
}

/** The texts of a file, or of a folder's files; those of a folder that cannot be read are passed over. */
const readCertificates = (path: string): string[] => {
  const texts = isFolder(path) ? readFolder(path) : [readText(path)]
  // The library passes over what is no certificate, and would then blame the server's.
  if (!texts.some((text) => /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/.test(text)))
    throw new Error("no certificate in PEM is in it")
  return texts
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

const readText = (path: string): string => readRegularFile(path, MOST_CA_BYTES).toString("utf8")

const readFolder = (path: string): string[] =>
  readdirSync(path)
    .filter((name) => /\.(?:pem|crt|cer)$|\.\d$/.test(name))
    .slice(0, MOST_CA_FILES)
    .flatMap((name) => {
      try {
        return readText(join(path, name))
      } catch (error) {
        if (error instanceof FileNotRead) return []
        throw error
      }
    })

const keysOf = (
  socket: TLSSocket,
  { aead, compliantExporter, cookies, host, port }: KeyExchange
): Omit<ExchangedKeys, "certificate"> => {
  const key = (compliant: boolean, direction: "c2s" | "s2c"): Uint8Array => {
    const context = Buffer.from(exporterContext({ aead, compliantExporter: compliant }, direction))
    return new Uint8Array(socket.exportKeyingMaterial(aead.keyBytes, EXPORTER_LABEL, context))
  }
  const keys = (compliant: boolean) => ({ c2s: key(compliant, "c2s"), s2c: key(compliant, "s2c") })
  const isSure = compliantExporter || aead.id !== AeadId.aes128GcmSiv
  return { aead, ...keys(compliantExporter), otherwise: isSure ? undefined : keys(true), cookies, host, port }
}

const certificateOf = (socket: TLSSocket): ShownCertificate => {
  const { subject, issuer, subjectaltname = "", valid_from: begins, valid_to: expires } = socket.getPeerCertificate()
  return {
    subject: nameText(subject),
    names: subjectaltname,
    issuer: nameText(issuer),
    begins: isoText(begins),
    expires: isoText(expires)
  }
}

/** A part of a name may be there several times. */
const nameText = (name: NodeJS.Dict<string | string[]> | undefined): string =>
  Object.entries({ ...name })
    .flatMap(([part, values]) => [values ?? []].flat().map((value) => `${part}=${value}`))
    .join(", ")

/** Node passes OpenSSL's text on, such as `Nov 21 15:04:05 2026 GMT`. */
const isoText = (time: string): string => {
  const at = new Date(time)
  return Number.isNaN(at.getTime()) ? time : at.toISOString()
}

const certificateFault = ({ code = "" }: NodeJS.ErrnoException): "certificate" | "dates" | undefined => {
  if (code === "CERT_NOT_YET_VALID" || code === "CERT_HAS_EXPIRED") return "dates"
  return /CERT|VERIFY|ALTNAME|SELF_SIGNED|ISSUER/.test(code) ? "certificate" : undefined
}

/** In words what the system said by a name; without the advice about Node's command line, which nobody types here. */
const messageOf = (error: unknown): string => {
  if (error instanceof FileNotRead) return error.why
  if (error instanceof Error && "syscall" in error) return reasonOf(error)
  return (error instanceof Error ? error.message : String(error)).replace(/; if the root CA is installed locally.*/, "")
}
