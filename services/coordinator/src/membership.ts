/** This node's own place in the cluster: whether it may be sent traffic, and why not. Pure. */
import type { HealthMessage } from "@meridian/ipc/coordinator-report"
import type { MemberHealth } from "@meridian/events"
import type { ClusterFold } from "./cluster-fold.ts"

/** What is known of the node at a moment. */
export interface NodeView {
  /** Undefined until the supervisor has told. */
  readonly health: HealthMessage | undefined
  /** Highest generation and set whose keys the node holds, 0 for none. */
  readonly ntsGeneration: number
  readonly symmetricSet: number
  /** Why a key that is needed is missing; undefined when none is. */
  readonly keyProblem: string | undefined
  /** Whether there is anything folded to serve with. */
  readonly folded: boolean
}

const LONGEST_REASON = 256

/** Why the node is not ready, empty when it is. Missing keys come first: nothing else matters without them. */
export const unreadyReason = ({ health, keyProblem, folded }: NodeView): string => {
  if (!folded) return "waiting for the event log"
  if (keyProblem !== undefined) return keyProblem.slice(0, LONGEST_REASON)
  if (health === undefined) return "no word from the workers yet"
  if (health.workers === 0) return "no worker answers"
  if (!health.synchronised) return "the clock is not synchronised"
  return ""
}

/** A node that was heard within this long may come back as it was. */
const LATELY_MS = 600_000

/**
 * Whether the log may be sealed: every node that was heard lately signs what it says, so that none of an older release is
 * left whose events would be put aside.
 * @param now milliseconds since 1970
 */
export const maySeal = (fold: ClusterFold, node: string, signers: ReadonlySet<string>, now: number): boolean =>
  [...fold.members.values()].every(
    (it) => it.node === node || it.release === null || now - it.heardAt > LATELY_MS || signers.has(it.node)
  )

/** What to do where two nodes go by one name. */
export const nameTaken = (node: string): string =>
  `another process has registered as node ${node} since this one did: give each node a name of its own (\`node NAME\`)`

export const memberHealth = ({ health, ntsGeneration, symmetricSet }: NodeView): MemberHealth => ({
  workers: health?.workers ?? 0,
  synchronised: health?.synchronised ?? false,
  ntsGeneration,
  symmetricSet
})
