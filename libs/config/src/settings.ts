/**
 * The settings a node runs with: the default, beaten by the file, beaten by the command line. Every value carries where
 * it came from. Lines are evaluated by category, as in ntp.conf(5), not in their order: a `fudge` may stand before its
 * `server`, and of two `port` lines the last one counts.
 */
import { AccessFlag } from "@meridian/protocol/access/access-flags"
import { restrictDirective } from "./access-directives.ts"
import { accessSettings, type AccessSettings } from "./access-settings.ts"
import type { IpAddress } from "./address.ts"
import { type AnycastOverrides, type AnycastSettings, anycastSettings } from "./anycast-settings.ts"
import {
  authenticationSettings,
  type AuthenticationOverrides,
  type AuthenticationSettings
} from "./authentication-settings.ts"
import { autokeySettings, type AutokeySettings } from "./autokey-settings.ts"
import { broadcastSettings, type BroadcastSettings } from "./broadcast-settings.ts"
import { type ClusterOverrides, type ClusterSettings, clusterSettings } from "./cluster-settings.ts"
import { cmdportDirective, saveconfigdirDirective } from "./control-directives.ts"
import { ntpsigndsocketDirective, ntsDirective } from "./authentication-directives.ts"
import { type HttpSettings, httpSettings } from "./http-settings.ts"
import { errorAt, lacking, quoted, warningAt, type Diagnostic } from "./diagnostic.ts"
import {
  DIRECTIVES,
  coredumpsDirective,
  logfileDirective,
  portDirective,
  stateDirectoryDirective,
  userDirective,
  workersDirective,
  DEFAULT_GATHER_MICROSECONDS,
  gatherDirective,
  xdpDirective,
  MAX_WORKERS
} from "./directives.ts"
import type { UnreadLine } from "./dialect.ts"
import { type DisciplineOverrides, disciplineSettings, type DisciplineSettings } from "./discipline-settings.ts"
import { type InterfaceAddress, listenPlan, type ListenRules } from "./listen.ts"
import { isLocalDriver } from "./reference-clock-settings.ts"
import {
  clockOfAddress,
  isLocalClock,
  LOCAL_REFERENCE,
  sourcesSettings,
  type SourcesSettings
} from "./source-settings.ts"
import {
  fudgeDirective,
  peerDirective,
  poolDirective,
  refclockDirective,
  serverDirective
} from "./source-directives.ts"
import { choose, fromDefault, fromFile, fromFlag, lastOf, type Sourced } from "./sourced.ts"
import { statementsOf, type Statement } from "./statement.ts"
import { WILDCARDS } from "./value-types.ts"

/** The interface whose plain requests a BPF program answers. */
interface XdpPlace {
  readonly interface: string
  /** Undefined: as the driver can. */
  readonly mode: "native" | "generic" | undefined
}

interface LocalReference {
  /** The stratum it is served with, 1 to 15. */
  readonly stratum: number
}

export interface Settings extends AuthenticationSettings, SourcesSettings {
  /** UDP port. */
  readonly port: Sourced<number>
  /** Those that the lines come to on this machine now, and those that they name; no duplicates. */
  readonly listen: readonly Sourced<IpAddress>[]
  /** What they come to when the machine's addresses change. */
  readonly listenRules: ListenRules
  readonly workers: Sourced<number>
  /** Microseconds that requests may wait to be answered together; 0: none waits. */
  readonly gather: Sourced<number>
  /** Undefined: every request is answered by a worker. */
  readonly xdp: Sourced<XdpPlace | undefined>
  /** Undefined: the caller chooses. As written; a relative path is relative to the working directory. */
  readonly stateDirectory: Sourced<string | undefined>
  /** `NAME[:GROUP]`; undefined: stay who you are. */
  readonly user: Sourced<string | undefined>
  /** Undefined: standard error. */
  readonly logfile: Sourced<string | undefined>
  /** Undefined: off. */
  readonly coreDumps: Sourced<"on" | "off" | undefined>
  /** UDP port of loopback for chronyc; 0: none. */
  readonly commandPort: Sourced<number>
  /** Where ntpq's `saveconfig` writes; undefined: nowhere. */
  readonly saveDirectory: Sourced<string | undefined>
  readonly localReference: Sourced<LocalReference>
  /** The address under which a line names this machine's own clock. */
  readonly localClock: Sourced<string>
  readonly discipline: DisciplineSettings
  readonly autokey: AutokeySettings
  readonly broadcast: BroadcastSettings
  readonly http: HttpSettings
  readonly cluster: ClusterSettings
  readonly anycast: AnycastSettings
  readonly access: AccessSettings
}

/** What the command line may set. */
export interface Overrides extends AnycastOverrides, AuthenticationOverrides, ClusterOverrides, DisciplineOverrides {
  readonly port?: number | undefined
  readonly listen?: readonly IpAddress[] | undefined
  readonly workers?: number | undefined
  readonly stateDirectory?: string | undefined
  readonly user?: string | undefined
  readonly stratum?: number | undefined
}

/** What defaults depend on. */
export interface Machine {
  /** Processor cores, at least 1. */
  readonly cores: number
  /** The addresses of its network interfaces, for `interface` rules. */
  readonly interfaces: readonly InterfaceAddress[]
  /** Whether NTP's own port may be bound: a file of ntpd's language then means that port. */
  readonly ntpPort?: boolean
}

interface EffectiveSettings {
  /** To be used only when no diagnostic is an error. */
  readonly settings: Settings
  readonly diagnostics: readonly Diagnostic[]
}

/** NTP's own (RFC 5905 §7.2), which a configuration file means where it may be bound. */
export const NTP_PORT = 123
/** Without a file, or without the privilege. */
export const DEFAULT_PORT = 11123
const DEFAULT_STRATUM = 10

/** Folds the statements of a configuration and the command line into settings, with the checks that need more than one line. */
export const effectiveSettings = (
  statements: readonly Statement[],
  overrides: Overrides,
  machine: Machine,
  unread: readonly UnreadLine[] = [],
  defaultPort: number = DEFAULT_PORT
): EffectiveSettings => {
  const plan = listenPlan(statements, machine.interfaces)
  const reference = localReference(statements)
  const listenFromFile = plan.addresses?.map(({ address, location }) => fromFile(address, location))
  const cores = Math.min(Math.max(1, Math.trunc(machine.cores) || 1), MAX_WORKERS)

  const port = choose(overrides.port, "port", lastOf(statements, portDirective, "port"), defaultPort)
  const authentication = authenticationSettings(statements, overrides, port.value)

  const sources = sourcesSettings(statements)
  const discipline = disciplineSettings(statements, overrides)
  const autokey = autokeySettings(statements)
  const broadcast = broadcastSettings(statements, discipline.value.flags)
  const cluster = clusterSettings(statements, overrides)
  const anycast = anycastSettings(statements, overrides)
  const http = httpSettings(statements)
  const access = accessSettings(statements, unread)

  const settings: Settings = {
    port,
    listen:
      overrides.listen?.map((address) => fromFlag(address, "listen")) ?? listenFromFile ?? WILDCARDS.map(fromDefault),
    listenRules:
      overrides.listen === undefined
        ? (plan.rules ?? { named: WILDCARDS, rules: [] })
        : { named: overrides.listen, rules: [] },
    workers: choose(overrides.workers, "workers", lastOf(statements, workersDirective, "count"), cores),
    gather: lastOf(statements, gatherDirective, "microseconds") ?? fromDefault(DEFAULT_GATHER_MICROSECONDS),
    xdp: xdpPlace(statements),
    stateDirectory: choose(
      overrides.stateDirectory,
      "state",
      lastOf(statements, stateDirectoryDirective, "directory"),
      undefined
    ),
    user: choose(overrides.user, "user", lastOf(statements, userDirective, "user"), undefined),
    logfile: choose(undefined, "", lastOf(statements, logfileDirective, "file"), undefined),
    coreDumps: choose(undefined, "", lastOf(statements, coredumpsDirective, "state"), undefined),
    commandPort: choose(undefined, "", lastOf(statements, cmdportDirective, "port"), 0),
    saveDirectory: choose(undefined, "", lastOf(statements, saveconfigdirDirective, "directory"), undefined),
    localReference: choose(
      overrides.stratum === undefined ? undefined : { stratum: overrides.stratum },
      "stratum",
      reference.value,
      { stratum: DEFAULT_STRATUM }
    ),
    localClock: reference.clock,
    ...authentication.value,
    ...sources.value,
    discipline: discipline.value,
    autokey: autokey.value,
    broadcast: broadcast.value,
    http: http.value,
    cluster: cluster.value,
    anycast: anycast.value,
    access: access.value
  }
  // A flag that replaces the addresses makes what is wrong with the replaced lines beside the point.
  const listenDiagnostics = overrides.listen === undefined ? plan.diagnostics : []
  return {
    settings,
    diagnostics: [
      ...repeated(statements),
      ...listenDiagnostics,
      ...reference.diagnostics,
      ...authentication.diagnostics,
      ...sourceKeys(statements, authentication.value.keys),
      ...sources.diagnostics,
      ...access.diagnostics,
      ...discipline.diagnostics,
      ...autokey.diagnostics,
      ...broadcast.diagnostics,
      ...autokeyWithoutCrypto(statements, autokey.value),
      ...http.diagnostics,
      ...cluster.diagnostics,
      ...anycast.diagnostics,
      ...cookieFileInCluster(statements, cluster.value),
      ...windowsClients(statements, access.value)
    ]
  }
}

/** `server H autokey` without `crypto`: ntpd asks such a server without authentication, and says nothing. */
const autokeyWithoutCrypto = (statements: readonly Statement[], { enabled }: AutokeySettings): Diagnostic[] =>
  enabled.value
    ? []
    : statements.flatMap(({ places }) => {
        const where = places.get("autokey")
        return where === undefined
          ? []
          : [
              lacking(
                "crypto",
                errorAt(where, "found 'autokey' without keys to use it with; add the line: crypto pw PASSWORD")
              )
            ]
      })

/** `server H key N`: without such a key nothing is ever sent to the server. */
const sourceKeys = (statements: readonly Statement[], { file, trusted }: Settings["keys"]): Diagnostic[] =>
  [serverDirective, poolDirective, peerDirective].flatMap((directive) =>
    statementsOf<typeof serverDirective>(statements, directive as typeof serverDirective).flatMap((line) => {
      const { key, nts, autokey } = line.values
      const where = line.places.get("key")
      if (key === undefined || where === undefined || nts || autokey) return []
      const isTrusted = trusted.some(({ value }) => value.first <= key && key <= value.last)
      const nothing = "so nothing can be sent to this server; add the line:"
      if (file.value === undefined)
        return [lacking("keys", warningAt(where, `key ${key} is in no file, ${nothing} keys FILE`))]
      return isTrusted
        ? []
        : [lacking("trustedkey", warningAt(where, `key ${key} is not trusted, ${nothing} trustedkey ${key}`))]
    })
  )

const cookieFileInCluster = (statements: readonly Statement[], { nats }: ClusterSettings): Diagnostic[] => {
  const line = statementsOf(statements, ntsDirective).findLast(({ values }) => values.cookie !== undefined)
  return line === undefined || nats.length === 0
    ? []
    : [
        warningAt(
          line.words.get("cookie") ?? line.location,
          "the NTS master keys of a cluster are in its log alone; this file is not used for them"
        )
      ]
}

/** Windows clients need both: somebody who signs, and the right to be signed for. */
const windowsClients = (statements: readonly Statement[], { restrictions }: AccessSettings): Diagnostic[] => {
  const [socket] = statementsOf(statements, ntpsigndsocketDirective)
  const isAllowed = ({ value }: (typeof restrictions)[number]): boolean =>
    value.action === "restrict" && (value.flags & AccessFlag.mssntp) !== 0
  if (socket !== undefined && !restrictions.some(isAllowed))
    return [
      lacking(
        "restrict",
        warningAt(
          socket.location,
          "nobody is signed for, since no restrict line says mssntp; add one about the domain's machines: restrict 192.0.2.0/24 mssntp"
        )
      )
    ]
  const line = statementsOf(statements, restrictDirective).find(({ values }) => values.mssntp !== undefined)
  return line === undefined || socket !== undefined
    ? []
    : [
        lacking(
          "ntpsigndsocket",
          warningAt(
            line.places.get("mssntp") ?? line.location,
            "nobody signs for these clients; add the line: ntpsigndsocket /var/lib/samba/ntp_signd"
          )
        )
      ]
}

/** A directive that may stand once, standing twice: the last line counts, as in ntpd, and the earlier ones are named. */
const repeated = (statements: readonly Statement[]): Diagnostic[] =>
  DIRECTIVES.filter(({ repeatable }) => !repeatable).flatMap((directive) => {
    const all = statementsOf(statements, directive)
    const last = all.at(-1)
    return all.slice(0, -1).map(({ location }) => {
      const winner = `${last?.location.file}:${last?.location.line}`
      return warningAt(location, `'${directive.name}' is given again at ${winner}; this line has no effect`)
    })
  })

/** Every line that names this machine's own clock: `server 127.127.1.U`, and `refclock local` as NTPsec has it. */
const localClocks = (statements: readonly Statement[]) => [
  ...statementsOf(statements, serverDirective).flatMap((line) => {
    const { host } = line.values
    return isLocalClock(host)
      ? [{ address: host, stratum: undefined, line: line as Statement, heeded: ["family", "host"] }]
      : []
  }),
  ...statementsOf(statements, refclockDirective).flatMap((line) => {
    const { driver, unit = 0, stratum } = line.values
    return isLocalDriver(driver)
      ? [{ address: `127.127.1.${unit}`, stratum, line: line as Statement, heeded: ["driver", "unit", "stratum"] }]
      : []
  })
]

/** The last line decides. */
const xdpPlace = (statements: readonly Statement[]): Settings["xdp"] => {
  const last = statementsOf(statements, xdpDirective).at(-1)
  if (last === undefined) return fromDefault(undefined)
  return fromFile({ interface: last.values.interface, mode: last.values.mode }, last.location)
}

/** This machine's own clock, with its `fudge`. Of several units the one of the lowest stratum is followed, as by ntpd. */
const localReference = (statements: readonly Statement[]) => {
  const fudges = statementsOf(statements, fudgeDirective)
  const lines = localClocks(statements)
  const clocks = lines.map(({ address, stratum, line }): LocalClock => {
    const fudge = fudges.findLast(({ values }) => values.clock === address && values.stratum !== undefined)
    const told = fudge === undefined ? fromFile(stratum ?? DEFAULT_STRATUM, line.location) : fudgedStratum(fudge)
    return { address: fromFile(address, line.location), stratum: told, line }
  })
  const [best, ...others] = clocks.toSorted((a, b) => a.stratum.value - b.stratum.value)
  const hosts = new Set(statementsOf(statements, serverDirective).map(({ values }) => values.host))
  for (const { address } of lines) hosts.add(address)
  return {
    value: best && { value: { stratum: best.stratum.value }, origin: best.stratum.origin },
    clock: best?.address ?? fromDefault(LOCAL_REFERENCE),
    diagnostics: [
      ...others.map(({ line, address }) =>
        warningAt(
          line.location,
          `${address.value} is this machine's clock, as ${best!.address.value} is, whose stratum counts; this line has no effect`
        )
      ),
      ...lines.flatMap(({ line, heeded }) => optionsWithoutEffect(line, new Set(heeded))),
      ...fudges.flatMap((fudge) => fudgeProblems(fudge, hosts.has(fudge.values.clock)))
    ]
  }
}

interface LocalClock {
  readonly address: Sourced<string>
  readonly stratum: Sourced<number>
  readonly line: Statement
}

const fudgedStratum = ({ values, location }: Statement<typeof fudgeDirective>): Sourced<number> =>
  fromFile(values.stratum ?? DEFAULT_STRATUM, location)

const fudgeProblems = (statement: Statement<typeof fudgeDirective>, hasServer: boolean): Diagnostic[] => {
  const { values, location, places } = statement
  const { clock, stratum } = values
  const where = places.get("clock") ?? location
  if (clockOfAddress(clock) === undefined) {
    return [errorAt(where, `found ${quoted(clock)}, expected a reference clock's address such as ${LOCAL_REFERENCE}`)]
  }
  if (!hasServer) {
    const problem = `'fudge ${clock}' has no line 'server ${clock}' to apply to; it has no effect`
    return [lacking("server", warningAt(where, problem))]
  }
  if (!isLocalClock(clock)) return []
  if (stratum === 0) {
    return [errorAt(places.get("stratum") ?? location, "found stratum 0, expected a whole number from 1 to 15")]
  }
  return optionsWithoutEffect(statement, new Set(["clock", "stratum"]))
}

/** What else is given to the local reference, which has no filter, no poll interval and no flags yet. */
const optionsWithoutEffect = ({ location, words }: Statement, actedOn: ReadonlySet<string>): Diagnostic[] => {
  const names = [...words.keys()].filter((name) => !actedOn.has(name))
  const [first] = names
  if (first === undefined) return []
  const list = names.map((name) => `'${name}'`).join(", ")
  return [warningAt(words.get(first) ?? location, `the local reference does not act on ${list}; it has no effect`)]
}
