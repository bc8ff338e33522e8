/** The rows of the cluster: this node's name, where the event log is, and how keys are sealed and minted. */
import { type Directive, one, row } from "./directive.ts"
import { accepted, oneOf, path, refused, type ValueType, wholeNumber } from "./value-types.ts"

const NODE_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/** As the events have it. */
export const nodeName: ValueType<string> = {
  syntax: "NAME",
  expected: "a name of a-z, 0-9 and inner hyphens, at most 63",
  parse: (value) => {
    if (NODE_NAME.test(value)) return accepted(value)
    return NODE_NAME.test(value.toLowerCase()) ? { ok: false, advice: `write it as ${value.toLowerCase()}` } : refused
  },
  write: String
}

/** HOST:PORT, the host a name, an IPv4 address or an IPv6 address in brackets. */
const isServer = (text: string): boolean => {
  const port = /^(?:\[[0-9A-Fa-f:]{2,45}\]|[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}):(\d{1,5})$/.exec(text)?.[1]
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535
}

const MOST_SERVERS = 16

export const natsServers: ValueType<readonly string[]> = {
  syntax: "HOST:PORT[,HOST:PORT...]",
  expected: "HOST:PORT, several with commas and no blanks between them",
  parse: (value) => {
    const servers = value.split(",")
    if (servers.length <= MOST_SERVERS && servers.every(isServer)) return accepted(servers)
    if (/^(nats|tls):\/\//.test(value)) return { ok: false, advice: "leave the scheme away: `cluster ca` asks for TLS" }
    return /^[A-Za-z0-9.-]+$/.test(value) ? { ok: false, advice: `NATS's own port is 4222: ${value}:4222` } : refused
  },
  write: (value) => (value as readonly string[]).join(",")
}

const LONGEST_RETENTION = 36_500
const FEWEST_CLOCK_EVENTS = 100
const MOST_CLOCK_EVENTS = 100_000_000
const LEAST_LOG_BYTES = 1_048_576
const MOST_LOG_BYTES = 999_999_999_999_999

/** A year; keys that live longer are the policy's business. */
const LONGEST_ROTATION = 31_536_000

export const nodeDirective = row({
  name: "node",
  operands: { name: one(nodeName) },
  default: "the host's name",
  meaning: "This node's name in the cluster and in the events of its log; no two nodes may have the same.",
  documented: "Meridian",
  flags: ["node"],
  reload: "restart"
})

export const clusterDirective = row({
  name: "cluster",
  operands: {},
  options: {
    nats: natsServers,
    key: path("FILE"),
    nkey: path("FILE"),
    ca: path("FILE"),
    replicas: oneOf("1", "3"),
    mint: oneOf("nts", "symmetric", "nts,symmetric"),
    rotate: wholeNumber("SECONDS", 1, LONGEST_ROTATION),
    "clock-days": wholeNumber("DAYS", 1, LONGEST_RETENTION),
    "clock-events": wholeNumber("N", FEWEST_CLOCK_EVENTS, MOST_CLOCK_EVENTS),
    "log-bytes": wholeNumber("BYTES", LEAST_LOG_BYTES, MOST_LOG_BYTES)
  },
  needsOption: true,
  repeatable: true,
  default:
    "no nats: the log is an SQLite file of this node; replicas 3 if three servers are named, else 1; mint nts; log-bytes 1 GiB",
  meaning:
    "The cluster. `nats` names the servers that hold its log (lines add up), `nkey` the file with the seed to sign in with, `ca` the authority of their certificates, `key` the file of the cluster key, which seals all other keys. `replicas` is the number of copies of the log, `mint` which keys this node makes when it leads. `rotate` rotates NTS keys this often, for development. When this node leads, it drops clock events older than `clock-days`, and those of a node beyond `clock-events`; without these the cluster's policy counts (90 days, a million). `log-bytes` is what NATS reserves for the log.",
  documented: "Meridian",
  flags: ["nats", "cluster-key", "rotate"],
  reload: "restart"
})

export const CLUSTER_DIRECTIVES: readonly Directive[] = [nodeDirective, clusterDirective]
