/** The command line of an NTS-KE process. */
import { hostname } from "node:os"
import { parseArgs } from "node:util"
import { AeadId, aeadParameters } from "@meridian/auth/aead"
import { hostName, type TimeServer } from "@meridian/auth/nts-ke-server"
import { type AdmissionLimits, defaultAdmissionLimits, type Rate } from "./admission.ts"
import type { CertificateFiles } from "./certificates.ts"
import { developmentCertificate } from "./development-certificate.ts"
import type { Door } from "./tls-port.ts"
import { defaultTlsSettings, type TlsSettings, type TlsVersion } from "./tls-settings.ts"

export const USAGE = `meridian nts-ke: started by the supervisor (\`meridian up\`), which hands it listening sockets and keys

  --descriptors FD[,FD…]          listening sockets that were inherited
  --bind ADDRESS,PORT             or an address to listen on (repeatable)
  --certificate CERT,KEY          PEM files (repeatable; chosen by the name that the client asks for)
  --development-certificate DIR   without --certificate: make one there, for trying things out
  --tls-min TLS1.3|TLS1.2         --tls-max TLS1.3|TLS1.2
  --tls-ciphersuites NAMES        --tls-curves NAMES       OpenSSL names separated by colons, preferred first
  --handshake-limit SECONDS       --exchange-limit SECONDS  --report-interval SECONDS
  --ntp-server NAME               --ntp-port N             where clients are told to send their NTP packets
  --aeads ID[,ID…]                of 15, 16, 17, 30; the client's order decides
  --connections N                 --connections-per-address N
  --rate N,BURST                  --rate-per-address N,BURST   new connections a second; 0,0 for no limit
`

/** Something on the command line that cannot be meant. */
export class ArgumentError extends Error {
  readonly _tag = "ArgumentError"
}

export interface Arguments {
  readonly doors: readonly Door[]
  readonly certificates: readonly CertificateFiles[]
  readonly tls: TlsSettings
  readonly exchangeSeconds: number
  readonly reportSeconds: number
  readonly aeads: ReadonlySet<number>
  readonly timeServer: TimeServer
  readonly admission: AdmissionLimits
}

const DEFAULT_EXCHANGE_SECONDS = 2
const DEFAULT_REPORT_SECONDS = 1

/**
 * Reads the arguments after the program's name; undefined when they ask for help.
 * @throws ArgumentError, or what making the development certificate throws
 */
export const parseArguments = (args: readonly string[]): Arguments | undefined => {
  const values = parsed(args)
  if (values.help) return undefined
  const doors: readonly Door[] = [
    ...list(values.descriptors).map((text): Door => ({
      _tag: "descriptor",
      descriptor: wholeNumber("--descriptors", text, 3, 65_535)
    })),
    ...values.bind.map((text): Door => {
      const [address, port] = pair("--bind", text, "ADDRESS,PORT")
      return { _tag: "bind", address, port: wholeNumber("--bind", port, 0, 65_535) }
    })
  ]
  if (doors.length === 0)
    throw new ArgumentError("expected --descriptors or --bind, found neither: say where to listen")
  const host = values["ntp-server"]
  if (host !== undefined && hostName(Buffer.from(host)) === undefined)
    throw new ArgumentError(`expected --ntp-server with a host name in ASCII, found ${JSON.stringify(host)}`)
  const ntpPort = values["ntp-port"]
  return {
    doors,
    certificates: certificateFiles(values.certificate, values["development-certificate"]),
    tls: tlsSettings(values),
    exchangeSeconds: seconds("--exchange-limit", values["exchange-limit"], DEFAULT_EXCHANGE_SECONDS),
    reportSeconds: seconds("--report-interval", values["report-interval"], DEFAULT_REPORT_SECONDS),
    aeads: aeadIds(values.aeads),
    timeServer: {
      ...(host === undefined ? {} : { host }),
      ...(ntpPort === undefined ? {} : { port: wholeNumber("--ntp-port", ntpPort, 1, 65_535) })
    },
    admission: {
      connections: optional("--connections", values.connections, defaultAdmissionLimits.connections),
      connectionsPerAddress: optional(
        "--connections-per-address",
        values["connections-per-address"],
        defaultAdmissionLimits.connectionsPerAddress
      ),
      rate: rate("--rate", values.rate, defaultAdmissionLimits.rate),
      ratePerAddress: rate("--rate-per-address", values["rate-per-address"], defaultAdmissionLimits.ratePerAddress)
    }
  }
}

const parseValues = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", default: false },
      descriptors: { type: "string", default: "" },
      bind: { type: "string", multiple: true, default: [] },
      certificate: { type: "string", multiple: true, default: [] },
      "development-certificate": { type: "string" },
      "tls-min": { type: "string" },
      "tls-max": { type: "string" },
      "tls-ciphersuites": { type: "string" },
      "tls-curves": { type: "string" },
      "handshake-limit": { type: "string" },
      "exchange-limit": { type: "string" },
      "report-interval": { type: "string" },
      "ntp-server": { type: "string" },
      "ntp-port": { type: "string" },
      aeads: { type: "string", default: `${AeadId.sivCmac256},${AeadId.aes128GcmSiv},16,17` },
      connections: { type: "string" },
      "connections-per-address": { type: "string" },
      rate: { type: "string" },
      "rate-per-address": { type: "string" }
    }
  }).values
type Values = ReturnType<typeof parseValues>

const parsed = (args: readonly string[]): Values => {
  try {
    return parseValues(args)
  } catch (error) {
    throw new ArgumentError(error instanceof Error ? error.message : String(error))
  }
}

const certificateFiles = (given: readonly string[], folder: string | undefined): readonly CertificateFiles[] => {
  if (given.length > 0)
    return given.map((text) => {
      const [certificate, key] = filePair(text)
      return { certificate, key }
    })
  if (folder === undefined)
    throw new ArgumentError("expected --certificate or --development-certificate, found neither: TLS needs one")
  return [developmentCertificate(folder, hostname(), Date.now() / 1000)]
}

/** The supervisor gives whole paths: of those the second begins with a slash, and both may hold commas. */
const filePair = (text: string): readonly [string, string] => {
  const at = text.startsWith("/") ? text.lastIndexOf(",/") : -1
  return at > 0 ? [text.slice(0, at), text.slice(at + 1)] : pair("--certificate", text, "CERT,KEY")
}

const tlsSettings = (values: Values): TlsSettings => {
  const minimum = tlsVersion("--tls-min", values["tls-min"], defaultTlsSettings.minimum)
  const maximum = tlsVersion("--tls-max", values["tls-max"], defaultTlsSettings.maximum)
  if (minimum > maximum) throw new ArgumentError(`expected --tls-min not above --tls-max, found ${minimum}, ${maximum}`)
  return {
    minimum,
    maximum,
    cipherSuites: values["tls-ciphersuites"] ?? defaultTlsSettings.cipherSuites,
    curves: values["tls-curves"] ?? defaultTlsSettings.curves,
    handshakeSeconds: seconds("--handshake-limit", values["handshake-limit"], defaultTlsSettings.handshakeSeconds)
  }
}

/** NTPsec writes TLS1.3, OpenSSL TLSv1.3. */
const tlsVersion = (name: string, text: string | undefined, otherwise: TlsVersion): TlsVersion => {
  if (text === undefined) return otherwise
  const version = text.replace(/^TLSv?/, "TLSv")
  if (version === "TLSv1.2" || version === "TLSv1.3") return version
  throw new ArgumentError(`expected ${name} TLS1.2 or TLS1.3, found ${text}`)
}

const aeadIds = (text: string): ReadonlySet<number> => {
  const ids = list(text).map(Number)
  const unknown = ids.find((id) => aeadParameters(id) === undefined)
  if (ids.length === 0 || unknown !== undefined)
    throw new ArgumentError(`expected --aeads with some of 15, 16, 17, 30, found ${JSON.stringify(text)}`)
  return new Set(ids)
}

const rate = (name: string, text: string | undefined, otherwise: Rate): Rate => {
  if (text === undefined) return otherwise
  const [perSecond, burst] = pair(name, text, "N,BURST")
  return {
    perSecond: wholeNumber(name, perSecond, 0, 1_000_000),
    burst: wholeNumber(name, burst, perSecond === "0" ? 0 : 1, 1_000_000)
  }
}

const optional = (name: string, text: string | undefined, otherwise: number): number =>
  text === undefined ? otherwise : wholeNumber(name, text, 1, 1_000_000)

const seconds = (name: string, text: string | undefined, otherwise: number): number => {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (value > 0 && value <= 60) return value
  throw new ArgumentError(`expected ${name} with seconds up to 60, found ${JSON.stringify(text)}`)
}

const wholeNumber = (name: string, text: string, least: number, most: number): number => {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new ArgumentError(`expected ${name} with a number from ${least} to ${most}, found ${JSON.stringify(text)}`)
}

/** Splits at the last comma: an address or a path may hold others. */
const pair = (name: string, text: string, form: string): readonly [string, string] => {
  const at = text.lastIndexOf(",")
  if (at <= 0 || at === text.length - 1)
    throw new ArgumentError(`expected ${name} ${form}, found ${JSON.stringify(text)}`)
  return [text.slice(0, at), text.slice(at + 1)]
}

const list = (text: string): readonly string[] => text.split(",").filter((part) => part !== "")
