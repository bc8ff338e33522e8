/**
 * The settings a node runs with: the default, beaten by the file, beaten by the command line. Every value carries where
 * it came from. Lines are evaluated by category, as in ntp.conf(5), not in their order: a `fudge` may stand before its
 * `server`, and of two `port` lines the last one counts.
 */
import { AccessFlag } from "@meridian/protocol/access/access-flags"
import { restrictDirective } from "./access-directives.ts"
import { accessSettings, type AccessSettings } from "./access-settings.ts"
import type { IpAddress } from "./address.ts"
import {
  authenticationSettings,
  type AuthenticationOverrides,
  type AuthenticationSettings
} from "./authentication-settings.ts"
import { autokeySettings, type AutokeySettings } from "./autokey-settings.ts"
import { type ClusterOverrides, type ClusterSettings, clusterSettings } from "./cluster-settings.ts"
import { cmdportDirective } from "./control-directives.ts"
import { ntpsigndsocketDirective, ntsDirective } from "./authentication-directives.ts"
import { type HttpSettings, httpSettings } from "./http-settings.ts"
import { errorAt, isError, quoted, warningAt, type Diagnostic } from "./diagnostic.ts"
import {
  DIRECTIVES,
  logfileDirective,
  portDirective,
  stateDirectoryDirective,
  userDirective,
  workersDirective,
  DEFAULT_GATHER_MICROSECONDS,
  gatherDirective,
  MAX_WORKERS
} from "./directives.ts"
import type { UnreadLine } from "./dialect.ts"
import { type DisciplineOverrides, disciplineSettings, type DisciplineSettings } from "./discipline-settings.ts"
import { listenPlan, type InterfaceAddress } from "./listen.ts"
import { clockOfAddress, LOCAL_REFERENCE, sourcesSettings, type SourcesSettings } from "./source-settings.ts"
import { fudgeDirective, serverDirective } from "./source-directives.ts"
import { choose, fromDefault, fromFile, fromFlag, lastOf, type Sourced } from "./sourced.ts"
import { statementsOf, type Statement } from "./statement.ts"
import { WILDCARDS } from "./value-types.ts"

export interface LocalReference {
  /** The stratum it is served with, 1 to 15. */
  readonly stratum: number
}

export interface Settings extends AuthenticationSettings, SourcesSettings {
  /** UDP port. */
  readonly port: Sourced<number>
  /** At least one address, no duplicates. */
  readonly listen: readonly Sourced<IpAddress>[]
  readonly workers: Sourced<number>
  /** Microseconds that requests may wait to be answered together; 0: none waits. */
  readonly gather: Sourced<number>
  /** Undefined: the caller chooses. As written; a relative path is relative to the working directory. */
  readonly stateDirectory: Sourced<string | undefined>
  /** `NAME[:GROUP]`; undefined: stay who you are. */
  readonly user: Sourced<string | undefined>
  /** Undefined: standard error. */
  readonly logfile: Sourced<string | undefined>
  /** UDP port of loopback for chronyc; 0: none. */
  readonly commandPort: Sourced<number>
  readonly localReference: Sourced<LocalReference>
  readonly discipline: DisciplineSettings
  readonly autokey: AutokeySettings
  readonly http: HttpSettings
  readonly cluster: ClusterSettings
  readonly access: AccessSettings
}

/** What the command line may set. */
export interface Overrides extends AuthenticationOverrides, ClusterOverrides, DisciplineOverrides {
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
}

export interface EffectiveSettings {
  /** To be used only when no diagnostic is an error. */
  readonly settings: Settings
  readonly diagnostics: readonly Diagnostic[]
}

export const DEFAULT_PORT = 11123
export const DEFAULT_STRATUM = 10

/** Folds the statements of a configuration and the command line into settings, with the checks that need more than one line. */
export const effectiveSettings = (
  statements: readonly Statement[],
  overrides: Overrides,
  machine: Machine,
  unread: readonly UnreadLine[] = []
): EffectiveSettings => {
  const plan = listenPlan(statements, machine.interfaces)
  const reference = localReference(statements)
  const listenFromFile = plan.addresses?.map(({ address, location }) => fromFile(address, location))
  const cores = Math.min(Math.max(1, Math.trunc(machine.cores) || 1), MAX_WORKERS)

  const port = choose(overrides.port, "port", lastOf(statements, portDirective, "port"), DEFAULT_PORT)
  const authentication = authenticationSettings(statements, overrides, port.value)

  const sources = sourcesSettings(statements)
  const discipline = disciplineSettings(statements, overrides)
  const autokey = autokeySettings(statements)
  const cluster = clusterSettings(statements, overrides)
  const http = httpSettings(statements)
  const access = accessSettings(statements, unread)

  const settings: Settings = {
    port,
    listen:
      overrides.listen?.map((address) => fromFlag(address, "listen")) ??
      (listenFromFile === undefined || listenFromFile.length === 0 ? WILDCARDS.map(fromDefault) : listenFromFile),
    workers: choose(overrides.workers, "workers", lastOf(statements, workersDirective, "count"), cores),
    gather: lastOf(statements, gatherDirective, "microseconds") ?? fromDefault(DEFAULT_GATHER_MICROSECONDS),
    stateDirectory: choose(
      overrides.stateDirectory,
      "state",
      lastOf(statements, stateDirectoryDirective, "directory"),
      undefined
    ),
    user: choose(overrides.user, "user", lastOf(statements, userDirective, "user"), undefined),
    logfile: choose(undefined, "", lastOf(statements, logfileDirective, "file"), undefined),
    commandPort: choose(undefined, "", lastOf(statements, cmdportDirective, "port"), 0),
    localReference: choose(
      overrides.stratum === undefined ? undefined : { stratum: overrides.stratum },
      "stratum",
      reference.value,
      { stratum: DEFAULT_STRATUM }
    ),
    ...authentication.value,
    ...sources.value,
    discipline: discipline.value,
    autokey: autokey.value,
    http: http.value,
    cluster: cluster.value,
    access: access.value
  }
  // A flag that replaces the addresses also makes errors about the replaced lines beside the point.
  const listenDiagnostics =
    overrides.listen === undefined ? plan.diagnostics : plan.diagnostics.filter((one) => !isError(one))
  return {
    settings,
    diagnostics: [
      ...repeated(statements),
      ...listenDiagnostics,
      ...reference.diagnostics,
      ...authentication.diagnostics,
      ...sources.diagnostics,
      ...access.diagnostics,
      ...discipline.diagnostics,
      ...autokey.diagnostics,
      ...autokeyWithoutCrypto(statements, autokey.value),
      ...http.diagnostics,
      ...cluster.diagnostics,
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
          : [errorAt(where, "found 'autokey' without keys to use it with; add the line: crypto pw PASSWORD")]
      })

const cookieFileInCluster = (statements: readonly Statement[], { nats }: ClusterSettings): Diagnostic[] => {
  const line = statementsOf(statements, ntsDirective).findLast(({ values }) => values.cookie !== undefined)
  return line === undefined || nats.length === 0
    ? []
    : [
        warningAt(
          line.places.get("cookie") ?? line.location,
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
      warningAt(
        socket.location,
        "nobody is signed for, since no restrict line says mssntp; add one about the domain's machines: restrict 192.0.2.0/24 mssntp"
      )
    ]
  const line = statementsOf(statements, restrictDirective).find(({ values }) => values.mssntp !== undefined)
  return line === undefined || socket !== undefined
    ? []
    : [
        warningAt(
          line.places.get("mssntp") ?? line.location,
          "nobody signs for these clients; add the line: ntpsigndsocket /var/lib/samba/ntp_signd"
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

/** `server 127.127.1.0` with its `fudge`. Other reference clocks are read with the sources. */
const localReference = (statements: readonly Statement[]) => {
  const diagnostics: Diagnostic[] = []
  let server: Statement<typeof serverDirective> | undefined
  for (const statement of statementsOf(statements, serverDirective)) {
    if (statement.values.host !== LOCAL_REFERENCE) continue
    server = statement
    diagnostics.push(...optionsWithoutEffect(statement, new Set(["family", "host"])))
  }
  const hosts = new Set(statementsOf(statements, serverDirective).map(({ values }) => values.host))
  let value = server === undefined ? undefined : fromFile<LocalReference>({ stratum: DEFAULT_STRATUM }, server.location)
  for (const statement of statementsOf(statements, fudgeDirective)) {
    const { clock, stratum } = statement.values
    diagnostics.push(...fudgeProblems(statement, hosts.has(clock)))
    if (clock === LOCAL_REFERENCE && stratum !== undefined) value = fromFile({ stratum }, statement.location)
  }
  return { value, diagnostics }
}

const fudgeProblems = (statement: Statement<typeof fudgeDirective>, hasServer: boolean): Diagnostic[] => {
  const { values, location, places } = statement
  const { clock, stratum } = values
  const where = places.get("clock") ?? location
  if (clockOfAddress(clock) === undefined) {
    return [errorAt(where, `found ${quoted(clock)}, expected a reference clock's address such as ${LOCAL_REFERENCE}`)]
  }
  if (clock !== LOCAL_REFERENCE) {
    return hasServer
      ? []
      : [warningAt(where, `'fudge ${clock}' has no line 'server ${clock}' to apply to; it has no effect`)]
  }
  if (!hasServer) {
    return [errorAt(where, `'fudge ${clock}' has no server to apply to; add the line: server ${clock}`)]
  }
  if (stratum === 0) {
    return [errorAt(places.get("stratum") ?? location, "found stratum 0, expected a whole number from 1 to 15")]
  }
  return optionsWithoutEffect(statement, new Set(["clock", "stratum"]))
}

/** What else is given to the local reference, which has no filter, no poll interval and no flags yet. */
const optionsWithoutEffect = ({ location, places }: Statement, actedOn: ReadonlySet<string>): Diagnostic[] => {
  const names = [...places.keys()].filter((name) => !actedOn.has(name))
  const [first] = names
  if (first === undefined) return []
  const list = names.map((name) => `'${name}'`).join(", ")
  return [warningAt(places.get(first) ?? location, `the local reference does not act on ${list}; it has no effect`)]
}
