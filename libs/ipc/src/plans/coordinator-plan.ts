/** What a coordinator works by, as a part of the serving plan: its log, its name, its cluster. The cluster key may be in it. */
import { nodeName } from "@meridian/config/cluster-directives"
import { finite, flag, list, nullable, record, rule, secretText, text, type TypeOf, whole } from "../channel/shape.ts"

const path = text(1, 4_096)

/** Where NATS is and how to sign in. */
const natsSettings = record({
  /** HOST or HOST:PORT. */
  servers: rule(list(text(1, 1_024), 1_000), "one server at least", (servers) => servers.length > 0),
  seedFile: nullable(path),
  authorityFile: nullable(path),
  /** Copies of the log. */
  replicas: whole(1, 3),
  /** Most bytes of the log, which NATS sets aside for it. */
  logBytes: whole(1_048_576, 1e15)
})
export type NatsSettings = TypeOf<typeof natsSettings>

export const coordinatorPlan = record({
  /** Its files, and its Unix socket. */
  directory: path,
  node: rule(text(1, 63), nodeName.expected, (name) => nodeName.parse(name).ok),
  /** The release that runs, for the cluster's list of members. */
  version: text(1, 64),
  /** Workers the node is to have. */
  workers: whole(0, 65_535),
  /** Null where the log is an SQLite file in `directory`. */
  nats: nullable(natsSettings),
  clusterKeyFile: nullable(path),
  /** The cluster key itself, as text, where the environment gave it. */
  clusterKey: nullable(secretText(0, 4_096)),
  /** What it mints when it leads. */
  mint: record({ nts: flag, symmetric: flag }),
  /** Milliseconds between rotations; null for what the policy says. */
  rotationMs: nullable(finite(1, 31_536_000_000)),
  /** Milliseconds, and events of a node, that clock events are kept for; null for what the policy says. */
  clockRetention: record({ ms: nullable(finite(1)), count: nullable(whole(100, 100_000_000)) }),
  /** Where NTS master keys are kept besides the log, in NTPsec's format; never in a cluster, whose keys are in its log alone. */
  cookieKeyFile: nullable(path),
  /** How long a start waits for its keys before it says ready all the same, milliseconds. */
  readyLimitMs: finite(0, 86_400_000),
  /** The clock is taken to be off by this, milliseconds; for tests. */
  clockOffsetMs: finite(-1e12, 1e12)
})
export type CoordinatorPlan = TypeOf<typeof coordinatorPlan>
