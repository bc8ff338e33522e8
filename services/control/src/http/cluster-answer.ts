/** The coordinator's answer to /state, read. */
import type { ClusterState } from "@meridian/ipc"

/** Undefined where it is none: a coordinator of another release. */
export const parseClusterState = (body: string): ClusterState | undefined => {
  try {
    const state = JSON.parse(body) as Partial<ClusterState> | null
    return Array.isArray(state?.members) && Array.isArray(state.ntsKeys) && Array.isArray(state.symmetricSets)
      ? (state as ClusterState)
      : undefined
  } catch {
    return undefined
  }
}
