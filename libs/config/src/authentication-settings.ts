/** What the lines about keys and NTS come to, and the checks that need more than one of them. */
import {
  controlkeyDirective,
  cryptonakDirective,
  extraDirective,
  keysDirective,
  ntpsigndsocketDirective,
  ntsDirective,
  trustedkeyDirective
} from "./authentication-directives.ts"
import { AEAD_IDS, type KeyRange, type TlsVersion } from "./authentication-types.ts"
import { errorAt, lacking, quoted, warningAt, type Diagnostic, type Location } from "./diagnostic.ts"
import { choose, fromDefault, fromFile, lastGiven, lastOf, type Folded, type Sourced } from "./sourced.ts"
import { statementsOf, type Statement } from "./statement.ts"

interface KeysSettings {
  /** Undefined: no symmetric keys. As written, like every path here; relative to the working directory. */
  readonly file: Sourced<string | undefined>
  /** What `trustedkey` lines name, in their order. */
  readonly trusted: readonly Sourced<KeyRange>[]
  readonly controlKey: Sourced<number | undefined>
}

/** A certificate chain and its private key, both PEM. */
interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

interface NtsLimits {
  /** Connections open at a time, in all and from one address (IPv6 by its first 64 bits). */
  readonly connections: Sourced<number | undefined>
  readonly addressConnections: Sourced<number | undefined>
  /** Key exchanges a second, from one address and in all; eight times and once as many at once; 0: no limit. */
  readonly rate: Sourced<number | undefined>
  readonly totalRate: Sourced<number | undefined>
}

interface NtsSettings {
  /** Whether this node serves NTS. */
  readonly enabled: Sourced<boolean>
  /** One a name served (SNI); the first is for clients that name none. Empty: a development certificate is made. */
  readonly certificates: readonly Sourced<CertificateFiles>[]
  /** Trust roots as a client, a file or a directory; undefined: the system's. */
  readonly ca: Sourced<string | undefined>
  /** Updates of a client's clock before which certificates' dates need not be right. */
  readonly certificateTimeUpdates: Sourced<number>
  /** Where master keys are kept that no cluster holds. */
  readonly cookieFile: Sourced<string | undefined>
  /** Numbers of the AEAD registry: what a server agrees to, and what a client offers in this order. At least one. */
  readonly aeads: readonly Sourced<number>[]
  readonly minTls: Sourced<TlsVersion>
  readonly maxTls: Sourced<TlsVersion>
  /** TCP port of the key exchange. */
  readonly port: Sourced<number>
  /** Processes that share that port. */
  readonly processes: Sourced<number>
  /** TLS 1.3 cipher suites in OpenSSL's spelling, colons between them; undefined: the library's. */
  readonly cipherSuites: Sourced<string | undefined>
  /** Groups in OpenSSL's spelling, colons between them; undefined: the library's. */
  readonly curves: Sourced<string | undefined>
  /** The server's order of cipher suites counts, not the client's. */
  readonly serverCipherPreference: Sourced<boolean>
  /** Of each process; undefined: the service's own choice. */
  readonly limits: NtsLimits
  /** Where clients are told to send NTP; undefined: to the host they exchanged keys with, and this node's port. */
  readonly ntpServer: Sourced<string | undefined>
  readonly ntpPort: Sourced<number | undefined>
  /** Whether NTP is answered on the loopback addresses alone. */
  readonly exchangeOnly: Sourced<boolean>
}

export interface AuthenticationSettings {
  readonly keys: KeysSettings
  readonly nts: NtsSettings
  /** Additional UDP ports that NTP is answered on, none of them `port`; key exchange tells clients the first. */
  readonly extraPorts: readonly Sourced<number>[]
  /** A wrong MAC is answered with a crypto-NAK. */
  readonly cryptoNak: Sourced<boolean>
  /** Where replies to Windows clients are signed; a directory or a socket. Undefined: nowhere. */
  readonly signdSocket: Sourced<string | undefined>
}

/** What the command line may set of it. */
export interface AuthenticationOverrides {
  readonly nts?: boolean | undefined
  readonly ntsPort?: number | undefined
  readonly ntsProcesses?: number | undefined
}

/** The port that RFC 8915 §4 gives to NTS-KE. */
export const DEFAULT_NTS_KE_PORT = 4460

/** Each is a socket in every worker. */
const MAX_EXTRA_PORTS = 16

/** Folds the statements; `port` is the NTP port that came out of them and the flags. */
export const authenticationSettings = (
  statements: readonly Statement[],
  overrides: AuthenticationOverrides,
  port: number
): Folded<AuthenticationSettings> => {
  const keys = keysSettings(statements)
  const extra = extraPorts(statements, port)
  const nts = ntsSettings(statements, overrides, port)
  const cryptoNak = lastOf(statements, cryptonakDirective, "state")
  return {
    value: {
      keys: keys.value,
      nts: nts.value,
      extraPorts: extra.value,
      signdSocket: lastOf(statements, ntpsigndsocketDirective, "path") ?? fromDefault(undefined),
      cryptoNak:
        cryptoNak === undefined ? fromDefault(false) : { value: cryptoNak.value === "on", origin: cryptoNak.origin }
    },
    diagnostics: [...keys.diagnostics, ...nts.diagnostics, ...extra.diagnostics]
  }
}

const keysSettings = (statements: readonly Statement[]): Folded<KeysSettings> => {
  const trusting = statementsOf(statements, trustedkeyDirective)
  const value: KeysSettings = {
    file: lastOf(statements, keysDirective, "file") ?? fromDefault(undefined),
    trusted: trusting.flatMap(({ values, location }) => values.keys.map((range) => fromFile(range, location))),
    controlKey: lastOf(statements, controlkeyDirective, "key") ?? fromDefault(undefined)
  }
  const diagnostics: Diagnostic[] = []
  const [first] = trusting
  if (first !== undefined && value.file.value === undefined) {
    diagnostics.push(lacking("keys", warningAt(first.location, "these keys are in no file; add the line: keys FILE")))
  }
  const control = statementsOf(statements, controlkeyDirective).at(-1)
  if (control !== undefined) {
    const { key } = control.values
    if (!value.trusted.some((range) => range.value.first <= key && key <= range.value.last)) {
      const where = control.places.get("key") ?? control.location
      const problem = `key ${key} is not trusted and cannot be used; add the line: trustedkey ${key}`
      diagnostics.push(lacking("trustedkey", warningAt(where, problem)))
    }
  }
  return { value, diagnostics }
}

type NtsStatement = Statement<typeof ntsDirective>

const ntsSettings = (
  statements: readonly Statement[],
  overrides: AuthenticationOverrides,
  ntpPort: number
): Folded<NtsSettings> => {
  const lines = statementsOf(statements, ntsDirective)
  const given = <K extends keyof (typeof ntsDirective)["options"]>(name: K) => lastGiven(statements, ntsDirective, name)
  const enabled = choose(overrides.nts, overrides.nts === false ? "no-nts" : "nts", enabledByFile(lines), false)
  const pairs = certificatePairs(lines)
  const aeads = new Map<number, Sourced<number>>()
  for (const { values, location } of lines) {
    if (values.aead !== undefined && !aeads.has(values.aead)) aeads.set(values.aead, fromFile(values.aead, location))
  }
  const preference = given("tlscipherserverpreference")
  const value: NtsSettings = {
    enabled,
    certificates: pairs.value,
    ca: given("ca") ?? fromDefault(undefined),
    certificateTimeUpdates: lastGiven(statements, ntsDirective, "nocerttimecheck") ?? fromDefault(0),
    cookieFile: given("cookie") ?? fromDefault(undefined),
    aeads: aeads.size === 0 ? AEAD_IDS.map(fromDefault) : [...aeads.values()],
    minTls: given("mintls") ?? fromDefault("TLS1.3"),
    maxTls: given("maxtls") ?? fromDefault("TLS1.3"),
    port: choose(overrides.ntsPort, "nts-port", given("port"), DEFAULT_NTS_KE_PORT),
    processes: choose(overrides.ntsProcesses, "nts-processes", given("processes"), 1),
    cipherSuites: given("tlsciphersuites") ?? fromDefault(undefined),
    curves: given("tlsecdhcurves") ?? fromDefault(undefined),
    serverCipherPreference: preference ?? fromDefault(false),
    ntpServer: lastGiven(statements, ntsDirective, "ntpserver") ?? fromDefault(undefined),
    ntpPort: lastGiven(statements, ntsDirective, "ntpport") ?? fromDefault(undefined),
    exchangeOnly: given("exchangeonly") ?? fromDefault(false),
    limits: {
      connections: lastGiven(statements, ntsDirective, "connections") ?? fromDefault(undefined),
      addressConnections: lastGiven(statements, ntsDirective, "addressconnections") ?? fromDefault(undefined),
      rate: lastGiven(statements, ntsDirective, "ratelimit") ?? fromDefault(undefined),
      totalRate: lastGiven(statements, ntsDirective, "totalratelimit") ?? fromDefault(undefined)
    }
  }
  // A server that was switched off may keep a certificate half written down.
  const isOff = !enabled.value && enabled.origin.kind !== "default"
  return {
    value,
    diagnostics: [
      ...(isOff ? [] : pairs.diagnostics),
      ...tlsProblems(lines, value),
      ...aeadProblems(lines, value),
      ...portProblems(lines, value, ntpPort),
      ...exchangeProblems(lines, value)
    ]
  }
}

/** Clients of a node that answers no NTP must be told who does, and somebody must exchange keys. */
const exchangeProblems = (lines: readonly NtsStatement[], { enabled, ntpServer }: NtsSettings): Diagnostic[] => {
  const line = lines.findLast(({ values }) => values.exchangeonly !== undefined)
  if (line === undefined) return []
  const where = line.places.get("exchangeonly") ?? line.location
  if (!enabled.value)
    return [
      errorAt(
        where,
        "NTS is off, so that this node would do nothing; add the line: nts enable, or nts cert FILE key FILE"
      )
    ]
  return ntpServer.value === undefined
    ? [errorAt(where, "clients must be told who answers NTP in this node's place; add the line: nts ntpserver HOST")]
    : []
}

/**
 * `enable` switches on, and so do a `cert` and a `key` once both are there; `disable` switches off what stands on its own
 * line and before it. Undefined where no line says anything about it.
 */
const enabledByFile = (lines: readonly NtsStatement[]): Sourced<boolean> | undefined => {
  let enabled: Sourced<boolean> | undefined
  let hasCertificate = false
  let hasKey = false
  for (const { values, location } of lines) {
    hasCertificate ||= values.cert !== undefined
    hasKey ||= values.key !== undefined
    const namesPair = (values.cert !== undefined || values.key !== undefined) && hasCertificate && hasKey
    if (values.disable) enabled = fromFile(false, location)
    else if (values.enable || namesPair) enabled = fromFile(true, location)
  }
  return enabled
}

/** The first `cert` belongs to the first `key`, the second to the second, whatever lines they stand on. */
const certificatePairs = (lines: readonly NtsStatement[]): Folded<readonly Sourced<CertificateFiles>[]> => {
  const placed = (name: "cert" | "key") =>
    lines.flatMap(({ values, places, location }) => {
      const file = values[name]
      return file === undefined ? [] : [{ file, location, where: places.get(name) ?? location }]
    })
  const certs = placed("cert")
  const keys = placed("key")
  const value = certs.flatMap(({ file, location }, index) => {
    const key = keys[index]
    return key === undefined ? [] : [fromFile({ cert: file, key: key.file }, location)]
  })
  const alone = (from: number, those: typeof certs, message: string) =>
    those.slice(from).map(({ where }) => lacking("nts", errorAt(where, message)))
  return {
    value,
    diagnostics: [
      ...alone(keys.length, certs, "found a certificate without its private key; add the line: nts key FILE"),
      ...alone(certs.length, keys, "found a private key without its certificate; add the line: nts cert FILE")
    ]
  }
}

const tlsProblems = (lines: readonly NtsStatement[], { minTls, maxTls }: NtsSettings): Diagnostic[] => {
  const placeOf = (name: "mintls" | "maxtls"): Location | undefined => {
    const line = lines.findLast(({ values }) => values[name] !== undefined)
    return line?.places.get(name)
  }
  const minimum = placeOf("mintls")
  const maximum = placeOf("maxtls")
  const where = maximum ?? minimum
  if (where === undefined) return []
  if (minTls.value > maxTls.value) {
    return [
      errorAt(where, `found maxtls ${maxTls.value} below mintls ${minTls.value}; add: nts mintls ${maxTls.value}`)
    ]
  }
  const low = minTls.value === "TLS1.2" ? (minimum ?? where) : undefined
  return low === undefined
    ? []
    : [warningAt(low, "RFC 8915 §3 asks for TLS 1.3 or later; clients that keep to it do not need TLS1.2")]
}

/** The algorithm that RFC 8915 §5.1 asks every implementation to have. */
const MANDATORY_AEAD = 15

const aeadProblems = (lines: readonly NtsStatement[], { enabled, aeads }: NtsSettings): Diagnostic[] => {
  const line = lines.findLast(({ values }) => values.aead !== undefined)
  if (line === undefined || !enabled.value || aeads.some(({ value }) => value === MANDATORY_AEAD)) return []
  const problem =
    "most clients do not have it and are turned away; RFC 8915 §5.1 wants another of every server, add the line: nts aead AES_SIV_CMAC_256"
  return [warningAt(line.places.get("aead") ?? line.location, problem)]
}

const portProblems = (lines: readonly NtsStatement[], { port }: NtsSettings, ntpPort: number): Diagnostic[] => {
  const line = lines.findLast(({ values }) => values.port !== undefined)
  if (line === undefined || port.origin.kind !== "file" || (port.value !== ntpPort && port.value !== 123)) return []
  const problem = `found ${port.value}, a port of NTP; 'nts port' is the TCP port of the key exchange, and 'extra port' an additional UDP port`
  return [warningAt(line.places.get("port") ?? line.location, problem)]
}

const extraPorts = (statements: readonly Statement[], ntpPort: number): Folded<readonly Sourced<number>[]> => {
  const diagnostics: Diagnostic[] = []
  const ports = new Map<number, Sourced<number>>()
  for (const { values, location, places } of statementsOf(statements, extraDirective)) {
    const where = places.get("port") ?? location
    if (values.port === ntpPort || ports.has(values.port)) {
      diagnostics.push(warningAt(where, `port ${values.port} is answered on already; this line has no effect`))
    } else if (ports.size === MAX_EXTRA_PORTS) {
      const problem = `found one more extra port, ${quoted(String(values.port))}, expected at most ${MAX_EXTRA_PORTS}`
      return { value: [...ports.values()], diagnostics: [...diagnostics, errorAt(where, problem)] }
    } else ports.set(values.port, fromFile(values.port, location))
  }
  return { value: [...ports.values()], diagnostics }
}
