/** What the nodes of the development cluster say of it, and whether they agree. */
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import type { ClusterState } from "@meridian/ipc"
import { askSocket } from "@meridian/ipc/socket-question"
import { COORDINATOR_SOCKET_NAME } from "@meridian/ipc/unix-socket"

/** GET /state of the coordinator in a state directory; undefined where none answers. */
export const askState = async (directory: string): Promise<ClusterState | undefined> => {
  try {
    const socket = join(directory, COORDINATOR_SOCKET_NAME)
    const { status, text } = await askSocket(socket, { path: "/state", patienceMs: 2_000 })
    return status === 200 ? (JSON.parse(text) as ClusterState) : undefined
  } catch {
    return undefined
  }
}

/** Why the nodes do not agree on one whole cluster, in words; undefined when they do. */
export const disagreement = (
  names: readonly string[],
  states: readonly (ClusterState | undefined)[]
): string | undefined => {
  const silent = names.filter((_, index) => states[index] === undefined)
  if (silent.length > 0) return `no answer from the coordinator of ${silent.join(", ")}`
  const all = states as readonly ClusterState[]
  const [first] = all
  if (first === undefined) return "there are no nodes"
  if (all.some(({ leader }) => leader === null)) return "nobody leads yet"
  if (all.filter(({ leading }) => leading).length !== 1) return "not exactly one node leads"
  const common = all.map(({ leader, term, ntsKeys, symmetricSets, clusterKey }) => ({
    leader,
    term,
    ntsKeys,
    symmetricSets,
    clusterKey
  }))
  if (!common.every((it) => isDeepStrictEqual(it, common[0]))) return "they differ on the leader or the keys"
  for (const [index, { ready, reason, members }] of all.entries()) {
    if (!ready) return `node ${names[index]} is not ready: ${reason}`
    const missing = names.find((name) => !members.some((it) => it.node === name && it.live && it.ready))
    if (missing !== undefined) return `node ${names[index]} has not heard that ${missing} is ready`
  }
  return first.ntsKeys.some(({ status }) => status === "active") ? undefined : "no NTS key is active"
}
