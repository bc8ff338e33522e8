/** The sources of time that lines name: servers, pools, peers and reference clocks, with what each is told. */
import { parseAddress } from "./address.ts"
import { errorAt, lacking, quoted, warningAt, type Diagnostic, type Location } from "./diagnostic.ts"
import {
  driverNumber,
  isLocalDriver,
  type OptionPlace,
  readReferenceClock,
  type ReferenceClockSettings,
  repeatedClocks
} from "./reference-clock-settings.ts"
import {
  DEFAULT_PASSIVE_PEERS,
  fudgeDirective,
  passivepeersDirective,
  peerDirective,
  poolDirective,
  refclockDirective,
  serverDirective,
  unpeerDirective
} from "./source-directives.ts"
import { fromDefault, fromFile, lastOf, type Folded, type Sourced } from "./sourced.ts"
import { statementsOf, type Statement } from "./statement.ts"
import { port as portType } from "./value-types.ts"

export type { ReferenceClockSettings } from "./reference-clock-settings.ts"

interface NtsSourceSettings {
  /** Trust roots in place of `nts ca`. */
  readonly ca: string | undefined
  /** The one AEAD algorithm to offer, a number of the registry. */
  readonly aead: number | undefined
  /** False after `noval`: any certificate is taken, for tests. */
  readonly verify: boolean
}

interface AutokeySourceSettings {
  /** The group that the server must prove to belong to; undefined: a trusted certificate is proof enough. */
  readonly ident: string | undefined
}

/** What is known of the path to a source, by chrony.conf's words. Undefined: nothing. */
export interface PathSettings {
  /** Samples with a longer delay are not used, seconds; of more than so many times the least; over it by so many deviations. */
  readonly maxDelay: number | undefined
  readonly maxDelayRatio: number | undefined
  readonly maxDelayDevRatio: number | undefined
  /** The delay of a packet that meets no queue, seconds. */
  readonly minDelay: number | undefined
  /** -0.5 … 0.5: how much of the jitter is on one way, above 0 on the way back. */
  readonly asymmetry: number | undefined
  /** So many samples are made one. */
  readonly filter: number | undefined
}

export interface SourceSettings {
  readonly kind: "server" | "pool" | "peer"
  /** Addresses of this family only. */
  readonly family: 4 | 6 | undefined
  /** A name or an address, without brackets and port. */
  readonly host: string
  /** Behind the host: with NTS the TCP port of the key exchange, otherwise the UDP port. Undefined: the protocol's own. */
  readonly port: number | undefined
  readonly version: number
  /** log2 seconds; minPoll is not above maxPoll. */
  readonly minPoll: number
  readonly maxPoll: number
  readonly burst: boolean
  readonly iburst: boolean
  readonly prefer: boolean
  readonly noselect: boolean
  /** `true`: always a truechimer. */
  readonly truechimer: boolean
  readonly preempt: boolean
  readonly xleave: boolean
  /** Polls of at least 2^presend seconds have a packet sent ahead of them, which is not measured; undefined: none. */
  readonly presend: number | undefined
  /** Seconds added to the offset: `bias`, and `offset` as chrony calls it. */
  readonly bias: number
  readonly path: PathSettings
  readonly mode: number
  /** Symmetric key; undefined where NTS is on. */
  readonly key: number | undefined
  readonly nts: NtsSourceSettings | undefined
  /** Authenticated by Autokey; undefined: not. */
  readonly autokey: AutokeySourceSettings | undefined
}

export interface SourcesSettings {
  /** Servers, pools and peers in the order of the lines, without those that `unpeer` takes back. */
  readonly sources: readonly Sourced<SourceSettings>[]
  /** Without the local reference, 127.127.1.U. */
  readonly referenceClocks: readonly Sourced<ReferenceClockSettings>[]
  /** Peers that are taken without a line; 0: none. */
  readonly passivePeers: Sourced<number>
}

/** The driver of the local clock (type 1), unit 0. */
export const LOCAL_REFERENCE = "127.127.1.0"

/** What the discipline does not know to do with a source yet. */
const OPTIONS_WITHOUT_EFFECT = {
  preempt: "a server that a line names is kept; those of a 'pool' make room by themselves",
  mode: "modes are of reference clocks: refclock DRIVER mode N",
  ttl: "it is of 'broadcast' and 'manycastclient' lines",
  ask: "the key exchange says which server to ask",
  require: "the key exchange says which server to ask",
  cert: "keys are exchanged without a client's certificate"
} as const

const MIN_POLL = 6
const MAX_POLL = 10

/** Driver type and unit of 127.127.T.U, undefined for anything else. */
export const clockOfAddress = (host: string): { readonly type: number; readonly unit: number } | undefined => {
  const parts = /^127\.127\.(\d{1,3})\.(\d{1,3})$/.exec(host)
  const [type, unit] = [Number(parts?.[1]), Number(parts?.[2])]
  return type <= 255 && unit <= 255 ? { type, unit } : undefined
}

/** Whether a host is this machine's own clock, of whatever unit. */
export const isLocalClock = (host: string): boolean => clockOfAddress(host)?.type === 1

/** Folds the statements. Never throws; a source with an error is left out. */
export const sourcesSettings = (statements: readonly Statement[]): Folded<SourcesSettings> => {
  const diagnostics: Diagnostic[] = []
  const sources: Located<SourceSettings>[] = []
  const clocks: Located<ReferenceClockSettings>[] = []
  for (const statement of statements) {
    if (isSource(statement)) {
      const clock = clockOfAddress(statement.values.host)
      if (isLocalClock(statement.values.host)) continue
      if (clock === undefined) {
        const source = sourceOf(statement)
        diagnostics.push(...source.diagnostics)
        if (source.value !== undefined) sources.push({ value: source.value, location: statement.location })
      } else {
        const fudges = statementsOf(statements, fudgeDirective).filter(
          ({ values }) => values.clock === statement.values.host
        )
        const values = Object.assign({}, statement.values, ...fudges.map(({ values: told }) => withoutUndefined(told)))
        const lines = [...fudges.toReversed(), statement]
        const place: OptionPlace = (name, part) =>
          name === "driver" ? statement.places.get("host") : lines.map((line) => line[part].get(name)).find(Boolean)
        addClock(readReferenceClock(String(clock.type), clock.unit, values, place, statement.location), statement)
      }
    } else if ((statement.directive as unknown) === refclockDirective) {
      const line = statement as Statement<typeof refclockDirective>
      const { values, location } = line
      if (isLocalDriver(values.driver)) continue
      const place: OptionPlace = (name, part) => line[part].get(name)
      addClock(readReferenceClock(values.driver, values.unit ?? 0, values, place, location), statement)
    }
  }
  function addClock(clock: ReturnType<typeof readReferenceClock>, { location }: Statement): void {
    diagnostics.push(...clock.diagnostics)
    if (clock.value !== undefined) clocks.push({ value: clock.value, location })
  }
  const unpeers = statementsOf(statements, unpeerDirective)
  const keptSources = sources.filter(({ value }) => !unpeers.some((line) => takesBack(line, value)))
  const keptClocks = clocks.filter(({ value }) => !unpeers.some((line) => takesClockBack(line, value)))
  for (const line of unpeers) {
    const isIdle =
      !sources.some(({ value }) => takesBack(line, value)) && !clocks.some(({ value }) => takesClockBack(line, value))
    if (isIdle)
      diagnostics.push(lacking("server", warningAt(line.location, "'unpeer' finds no such source; it has no effect")))
  }
  diagnostics.push(...repeatedClocks(keptClocks))
  const { first, again } = byFirstLine(keptSources)
  for (const { value, location, earlier } of again) {
    const place = `${earlier.location.file}:${earlier.location.line}`
    const problem = `${quoted(value.host)} is a source already, by ${place}; this line has no effect`
    diagnostics.push(warningAt(location, problem))
  }
  return {
    value: {
      sources: first.map(({ value, location }) => fromFile(value, location)),
      referenceClocks: keptClocks.map(({ value, location }) => fromFile(value, location)),
      passivePeers: lastOf(statements, passivepeersDirective, "most") ?? fromDefault(DEFAULT_PASSIVE_PEERS)
    },
    diagnostics
  }
}

type UnpeerStatement = Statement<typeof unpeerDirective>

/** Whether a line names what `unpeer` takes back: a source, or a reference clock, this machine's own among them. */
const isTakenBack = (statement: Statement, unpeer: UnpeerStatement): boolean => {
  if (isSource(statement)) {
    const clock = clockOfAddress(statement.values.host)
    if (clock !== undefined) return takesClockBack(unpeer, { driver: String(clock.type), unit: clock.unit })
    const { value } = sourceOf(statement)
    return value !== undefined && takesBack(unpeer, value)
  }
  const [line] = statementsOf([statement], refclockDirective)
  return line !== undefined && takesClockBack(unpeer, { driver: line.values.driver, unit: line.values.unit ?? 0 })
}

/** The lines without those that `unpeer` takes back, and without `unpeer`; which of these found nothing. */
export const withoutTakenBack = (
  statements: readonly Statement[]
): { readonly kept: readonly Statement[]; readonly idle: readonly UnpeerStatement[] } => {
  const unpeers = statementsOf(statements, unpeerDirective)
  return {
    kept: statements.filter(
      (statement) =>
        (statement.directive as unknown) !== unpeerDirective && !unpeers.some((line) => isTakenBack(statement, line))
    ),
    idle: unpeers.filter((line) => !statements.some((statement) => isTakenBack(statement, line)))
  }
}

const takesBack = ({ values }: UnpeerStatement, source: SourceSettings): boolean => {
  const target = values.clock === undefined ? hostAndPort(values.host) : undefined
  return (
    target !== undefined &&
    nameOf(target.host) === nameOf(source.host) &&
    (target.port === undefined || target.port === portOf(source))
  )
}

const takesClockBack = (
  { values }: UnpeerStatement,
  { driver, unit }: Pick<ReferenceClockSettings, "driver" | "unit">
): boolean => {
  const { host, clock } = values
  if (clock === undefined) return host === `127.127.${driverNumber(driver)}.${unit}`
  return host === "clock" && driverNumber(clock) === driverNumber(driver) && (values.unit ?? 0) === unit
}

/** What tells sources apart: an address however it is written, a name in either case. */
const nameOf = (host: string): string => parseAddress(host)?.text ?? host.toLowerCase()

/** The ports of NTP and of NTS key exchange. */
const [NTP_PORT, NTS_KE_PORT] = [123, 4460]

/** The port that tells a source from others of its host. NTS on its own port is the server that is also asked plainly. */
const portOf = ({ port, nts }: SourceSettings): number =>
  port === undefined || (nts !== undefined && port === NTS_KE_PORT) ? NTP_PORT : port

/** A server is a host and a port; the first line about it counts, as in ntpd. */
const byFirstLine = (sources: readonly Located<SourceSettings>[]) => {
  const first = new Map<string, Located<SourceSettings>>()
  const again = sources.flatMap((source) => {
    const name = `${nameOf(source.value.host)} ${portOf(source.value)}`
    const earlier = first.get(name)
    if (earlier === undefined) first.set(name, source)
    return earlier === undefined ? [] : [{ ...source, earlier }]
  })
  return { first: [...first.values()], again }
}

interface Located<A> {
  readonly value: A
  readonly location: Location
}

type SourceStatement = Statement<typeof serverDirective>

/** The three rows have the same operands and options. */
const isSource = (statement: Statement): statement is SourceStatement =>
  [serverDirective, poolDirective, peerDirective].some((row) => row === (statement.directive as unknown))

const withoutUndefined = (values: object): object =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))

const sourceOf = (statement: SourceStatement): { value?: SourceSettings; diagnostics: readonly Diagnostic[] } => {
  const { directive, values, location, places, words } = statement
  const at = (name: string) => places.get(name) ?? location
  const wordAt = (name: string) => words.get(name) ?? location
  const target = hostAndPort(values.host)
  if (target === undefined) {
    const problem = `found ${quoted(values.host)}, expected HOST, HOST:PORT, an address or [IPV6]:PORT`
    return { diagnostics: [errorAt(at("host"), problem)] }
  }
  const literal = parseAddress(target.host)?.family
  if (values.family !== undefined && literal !== undefined && values.family !== `-${literal}`) {
    const problem = `found ${quoted(values.host)}, expected an IPv${values.family.slice(1)} address or a name behind ${values.family}`
    return { diagnostics: [errorAt(at("host"), problem)] }
  }
  const maxPoll = values.maxpoll ?? Math.max(MAX_POLL, values.minpoll ?? 0)
  const minPoll = values.minpoll ?? Math.min(MIN_POLL, maxPoll)
  if (minPoll > maxPoll) {
    const problem = `found minpoll ${minPoll} above maxpoll ${maxPoll}, expected it at most as large`
    return { diagnostics: [errorAt(at("minpoll"), problem)] }
  }
  const diagnostics: Diagnostic[] = []
  const withoutNts = (["noval", "ca", "aead"] as const).filter((name) => values[name] !== undefined && !values.nts)
  for (const name of withoutNts) diagnostics.push(warningAt(wordAt(name), `'${name}' has no effect without 'nts'`))
  for (const [name, why] of Object.entries(OPTIONS_WITHOUT_EFFECT))
    if (words.has(name)) diagnostics.push(warningAt(wordAt(name), `'${name}' has no effect: ${why}`))
  if (values.asymmetry !== undefined && values.mindelay === undefined)
    diagnostics.push(
      warningAt(wordAt("asymmetry"), "'asymmetry' has no effect without 'mindelay', over which jitter begins")
    )
  if (values.nts && values.key !== undefined) {
    diagnostics.push(warningAt(wordAt("key"), "'key' has no effect beside 'nts', which authenticates by itself"))
  }
  const written = (directive as { readonly name: string }).name as SourceSettings["kind"]
  if (values.autokey && values.nts)
    diagnostics.push(warningAt(wordAt("autokey"), "'autokey' has no effect beside 'nts', which is better"))
  if (values.autokey && !values.nts && values.key !== undefined)
    diagnostics.push(warningAt(wordAt("key"), "'key' has no effect beside 'autokey', which authenticates by itself"))
  if (values.ident !== undefined && (!values.autokey || values.nts))
    diagnostics.push(warningAt(wordAt("ident"), "'ident' has no effect without 'autokey'"))
  // A peer answers when it polls, and interleaved stamps are of the packet before: of the one that went ahead.
  const isWithoutPresend = written === "peer" || values.xleave === true
  if (values.presend !== undefined && isWithoutPresend)
    diagnostics.push(
      warningAt(wordAt("presend"), `'presend' has no effect ${written === "peer" ? "on a peer" : "beside 'xleave'"}`)
    )
  // RFC 8915 §1: NTS protects the client-server mode, and no other.
  const isAskedAsServer = written === "peer" && values.nts === true
  if (isAskedAsServer)
    diagnostics.push(warningAt(wordAt("nts"), "'nts' is for clients of a server: this peer is asked as one"))
  const value: SourceSettings = {
    kind: isAskedAsServer ? "server" : written,
    family: values.family === undefined ? undefined : values.family === "-4" ? 4 : 6,
    ...target,
    version: values.version ?? 4,
    minPoll,
    maxPoll,
    burst: values.burst === true,
    iburst: values.iburst === true,
    prefer: values.prefer === true,
    noselect: values.noselect === true,
    truechimer: values.true === true,
    preempt: values.preempt === true,
    xleave: values.xleave === true,
    presend: isWithoutPresend ? undefined : values.presend,
    bias: (values.bias ?? 0) + (values.offset ?? 0),
    path: {
      maxDelay: values.maxdelay,
      maxDelayRatio: values.maxdelayratio,
      maxDelayDevRatio: values.maxdelaydevratio,
      minDelay: values.mindelay,
      asymmetry: values.asymmetry,
      filter: values.filter
    },
    mode: values.mode ?? 0,
    key: values.nts || values.autokey ? undefined : values.key,
    autokey: values.autokey && !values.nts ? { ident: values.ident } : undefined,
    nts: values.nts ? { ca: values.ca, aead: values.aead, verify: values.noval !== true } : undefined
  }
  return { value, diagnostics }
}

/** Splits a port off; an IPv6 address without brackets has none. */
const hostAndPort = (text: string): { readonly host: string; readonly port: number | undefined } | undefined => {
  if (parseAddress(text) !== undefined) return { host: text, port: undefined }
  const [, bracketed, named, written] = /^(?:\[([^\]]+)\]|([^[\]:]+))(?::(\d+))?$/.exec(text) ?? []
  const host = bracketed ?? named
  if (host === undefined || (bracketed !== undefined && parseAddress(bracketed)?.family !== 6)) return undefined
  if (written === undefined) return { host, port: undefined }
  const port = portType.parse(written)
  return port.ok ? { host, port: port.value } : undefined
}
