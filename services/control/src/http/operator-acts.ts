/** What an operator may do over HTTP: rotate and revoke keys, drain nodes and bring them back. */
import type { ClusterState, GenerationView } from "@meridian/ipc"

const LONGEST_REASON = 200
const NODE = /^[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?$/

/** An act that can be meant. Whether it may be done is the coordinator's to say. */
export interface OperatorAct {
  /** The coordinator's own path. */
  readonly command: "/keys/rotate" | "/keys/revoke" | "/cluster/drain" | "/cluster/undrain"
  readonly arguments: Readonly<Record<string, string | number>>
}

export const ACTS: readonly OperatorAct["command"][] = [
  "/keys/rotate",
  "/keys/revoke",
  "/cluster/drain",
  "/cluster/undrain"
]

/** What each act takes. */
const FIELDS: Readonly<Record<OperatorAct["command"], readonly string[]>> = {
  "/keys/rotate": ["kind"],
  "/keys/revoke": ["generation", "set", "reason"],
  "/cluster/drain": ["node", "reason"],
  "/cluster/undrain": ["node"]
}

/** Reads an act's arguments; a sentence where they cannot be meant. @param given parsed JSON, or a query's words */
export const readAct = (command: OperatorAct["command"], given: unknown): OperatorAct | string => {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return "expected a JSON object"
  const said = given as Readonly<Record<string, unknown>>
  const stranger = Object.keys(said).find((name) => !FIELDS[command].includes(name))
  if (stranger !== undefined) return `expected nothing but ${FIELDS[command].join(", ")}`
  const { kind = "nts", generation, set, node, reason } = said
  if (reason !== undefined && !isReason(reason)) return `expected reason, 1 to ${LONGEST_REASON} characters on one line`
  const why = reason === undefined ? {} : { reason }
  switch (command) {
    case "/keys/rotate":
      return kind === "nts" || kind === "symmetric"
        ? { command, arguments: { kind } }
        : "expected kind, nts or symmetric"
    case "/keys/revoke": {
      const [name, number] = set === undefined ? ["generation", generation] : ["set", set]
      if ((generation === undefined) === (set === undefined) || !isOrdinal(number))
        return "expected either generation or set, a whole number from 1"
      return { command, arguments: { [name]: number, reason: "revoked by an operator", ...why } }
    }
    case "/cluster/drain":
    case "/cluster/undrain":
      return typeof node === "string" && NODE.test(node)
        ? { command, arguments: { node, ...why } }
        : "expected node, a node's name"
  }
}

const isReason = (value: unknown): value is string =>
  typeof value === "string" && value.length <= LONGEST_REASON && /^[^\p{Cc}]*[^\p{Cc}\s][^\p{Cc}]*$/u.test(value)

const isOrdinal = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1

/** What would come of an act, in sentences for whoever is about to confirm it. */
export const consequence = ({ command, arguments: given }: OperatorAct, cluster: ClusterState): readonly string[] => {
  switch (command) {
    case "/keys/rotate":
      return given["kind"] === "symmetric" ? rotatedSets(cluster) : rotatedGenerations(cluster)
    case "/keys/revoke":
      return given["set"] === undefined ? revokedGeneration(cluster, given) : revokedSet(given)
    case "/cluster/drain":
      return drained(cluster, String(given["node"]))
    case "/cluster/undrain":
      return undrained(cluster, String(given["node"]))
  }
}

const withStatus = ({ ntsKeys }: ClusterState, status: GenerationView["status"]): GenerationView | undefined =>
  ntsKeys.find((one) => one.status === status)

const rotatedGenerations = (cluster: ClusterState): readonly string[] => {
  const [active, pending] = [withStatus(cluster, "active"), withStatus(cluster, "pending")]
  const next = pending === undefined ? "A new generation" : `Generation ${pending.generation}`
  return [
    `${next} takes over once every node holds it, ${leadSeconds(cluster)} s from now at the earliest, and one more is made behind it.`,
    active === undefined
      ? "No generation is active now."
      : `Cookies of generation ${active.generation} stay good until it retires: clients notice nothing.`
  ]
}

const leadSeconds = ({ policy }: ClusterState): number => (policy["ntsLeadMs"] ?? 10_000) / 1_000

const rotatedSets = ({ symmetricSets }: ClusterState): readonly string[] => [
  `A new set of symmetric keys is announced beside the ${symmetricSets.length} there are.`,
  "Clients need it in their ntp.keys (meridian keys export) before it is trusted and the one before it ends."
]

const revokedGeneration = (cluster: ClusterState, { generation }: OperatorAct["arguments"]): readonly string[] => {
  const found = cluster.ntsKeys.find((one) => one.generation === generation)
  if (found === undefined) return [`There is no generation ${generation}: this will be refused.`]
  if (found.status === "retired" || found.status === "revoked")
    return [`Generation ${generation} is ${found.status} already: nothing changes.`]
  const forGood = `Generation ${generation} is refused at once by every node that the log reaches, and its key is destroyed: this cannot be undone.`
  if (found.status === "pending") return [forGood, "It seals no cookies yet: clients notice nothing."]
  const successor = withStatus(cluster, "pending")
  return [
    forGood,
    "Every client that holds its cookies is answered with NTS NAK and has to exchange keys again.",
    ...(found.status === "active"
      ? [
          successor === undefined
            ? "It is the active one: another is made and takes its place."
            : `It is the active one: generation ${successor.generation} takes its place.`
        ]
      : [])
  ]
}

const revokedSet = ({ set }: OperatorAct["arguments"]): readonly string[] => [
  `Set ${set} is refused at once by every node that the log reaches, and its keys are destroyed: this cannot be undone.`,
  "Clients that have no other set are not answered under keys until they get a new ntp.keys (meridian keys export)."
]

const drained = ({ members, leader }: ClusterState, node: string): readonly string[] => {
  const found = members.find((one) => one.node === node)
  if (found === undefined) return [`There is no node ${node}: this will be refused.`]
  if (found.drained) return [`Node ${node} is drained already: nothing changes.`]
  const others = members.filter((one) => one.node !== node && one.serving).length
  return [
    `Node ${node} takes no more key exchanges, and /readyz answers 503, so that routers send it nobody.`,
    "It answers requests for time until it is stopped, and stays drained over restarts.",
    ...(leader === node && others > 0 ? ["It leads, and gives that to another node."] : []),
    others === 0
      ? "No other node serves: clients that exchange keys will find nobody."
      : `${others === 1 ? "1 other node serves" : `${others} other nodes serve`} on.`
  ]
}

const undrained = ({ members }: ClusterState, node: string): readonly string[] => {
  const found = members.find((one) => one.node === node)
  if (found === undefined) return [`There is no node ${node}: this will be refused.`]
  return found.drained
    ? [`Node ${node} takes key exchanges and clients again, once it is synchronised and holds all keys.`]
    : [`Node ${node} is not drained: nothing changes.`]
}
