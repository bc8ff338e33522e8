/** A drained node leaves leading to the others. Pure. */
import { isLive } from "@meridian/events"
import type { ClusterFold } from "./cluster-fold.ts"

/**
 * Whether a node gives leadership away and does not stand for it: it is drained, and another node lives that is not. Where there
 * is no other, it goes on: somebody has to rotate keys, and to revoke one that is known to others.
 * @param now milliseconds since 1970
 */
export const standsBack = (fold: ClusterFold, node: string, now: number): boolean => {
  if (!fold.member(node).drained) return false
  const { memberSilenceMs } = fold.policy.settings
  return [...fold.members.values()].some(
    (other) => other.node !== node && !other.drained && isLive(other, now, memberSilenceMs)
  )
}
