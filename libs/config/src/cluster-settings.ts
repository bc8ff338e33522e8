/** What the lines about the cluster come to. */
import { clusterDirective, nodeDirective } from "./cluster-directives.ts"
import { type Diagnostic, warningAt } from "./diagnostic.ts"
import { choose, fromDefault, fromFile, fromFlag, lastGiven, lastOf, type Folded, type Sourced } from "./sourced.ts"
import { type Statement, statementsOf } from "./statement.ts"

export interface ClusterSettings {
  /** Undefined: the host's name. */
  readonly node: Sourced<string | undefined>
  /** HOST:PORT each, no duplicates; none: the node is on its own. */
  readonly nats: readonly Sourced<string>[]
  /** Undefined: a systemd credential, the environment, or the file cluster-key of the state directory. */
  readonly keyFile: Sourced<string | undefined>
  /** Seed file to sign in to NATS with. */
  readonly nkeyFile: Sourced<string | undefined>
  /** Authority of the servers' certificates; undefined: no TLS. */
  readonly authorityFile: Sourced<string | undefined>
  /** Copies of the log in NATS. */
  readonly replicas: Sourced<1 | 3>
  readonly mint: Sourced<"nts" | "symmetric" | "nts,symmetric">
  /** Seconds between rotations of the NTS key; undefined: as the cluster's policy says. */
  readonly rotate: Sourced<number | undefined>
  /** Days that clock events are kept, and how many of each node at most; undefined: as the cluster's policy says. */
  readonly clockDays: Sourced<number | undefined>
  readonly clockEvents: Sourced<number | undefined>
  /** Most bytes of the log in NATS; undefined: the coordinator's own. */
  readonly logBytes: Sourced<number | undefined>
}

/** What the command line may set of it. */
export interface ClusterOverrides {
  readonly node?: string | undefined
  readonly nats?: readonly string[] | undefined
  readonly clusterKey?: string | undefined
  readonly rotate?: number | undefined
}

const REPLICATED = 3

export const clusterSettings = (
  statements: readonly Statement[],
  overrides: ClusterOverrides
): Folded<ClusterSettings> => {
  const lines = statementsOf(statements, clusterDirective)
  const nats = servers(lines, overrides.nats)
  const given = <K extends keyof typeof clusterDirective.options>(name: K) =>
    lastGiven(statements, clusterDirective, name)
  const replicas = given("replicas")
  return {
    value: {
      node: choose(overrides.node, "node", lastOf(statements, nodeDirective, "name"), undefined),
      nats,
      keyFile: choose(overrides.clusterKey, "cluster-key", given("key"), undefined),
      nkeyFile: given("nkey") ?? fromDefault(undefined),
      authorityFile: given("ca") ?? fromDefault(undefined),
      replicas:
        replicas === undefined
          ? fromDefault(nats.length >= REPLICATED ? 3 : 1)
          : { value: replicas.value === "3" ? 3 : 1, origin: replicas.origin },
      mint: given("mint") ?? fromDefault("nts"),
      rotate: choose(overrides.rotate, "rotate", given("rotate"), undefined),
      clockDays: given("clock-days") ?? fromDefault(undefined),
      clockEvents: given("clock-events") ?? fromDefault(undefined),
      logBytes: given("log-bytes") ?? fromDefault(undefined)
    },
    diagnostics: nats.length > 0 ? [] : lines.flatMap(withoutServers)
  }
}

/** A flag replaces what the file has; a server named twice counts once. */
const servers = (
  lines: readonly Statement<typeof clusterDirective>[],
  flagged: readonly string[] | undefined
): readonly Sourced<string>[] => {
  const all =
    flagged?.map((server) => fromFlag(server, "nats")) ??
    lines.flatMap(({ values, places, location }) =>
      (values.nats ?? []).map((server) => fromFile(server, places.get("nats") ?? location))
    )
  const byText = new Map<string, Sourced<string>>()
  for (const server of all) if (!byText.has(server.value)) byText.set(server.value, server)
  return [...byText.values()]
}

const withoutServers = ({ values, words, location }: Statement<typeof clusterDirective>): Diagnostic[] =>
  (["nkey", "ca", "replicas", "log-bytes"] as const)
    .filter((name) => values[name] !== undefined)
    .map((name) =>
      warningAt(
        words.get(name) ?? location,
        `no NATS server is named, so 'cluster ${name}' has no effect; add the line: cluster nats HOST:PORT`
      )
    )
