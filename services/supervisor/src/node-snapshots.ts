/** Takes the node's picture from what its processes reported last. */
import { memoryUse } from "@meridian/system/memory"
import { arch, machine, release, type as systemName } from "node:os"
import type { ClientList, NodeStatus } from "@meridian/ipc"
import type { DisciplineReport } from "@meridian/ipc/discipline-report"
import type { AutokeyHostReport, NodeSnapshot, ProcessUse, SystemFacts } from "@meridian/ipc/node-snapshot"

interface SnapshotParts {
  readonly status: () => NodeStatus
  readonly clock: () => DisciplineReport | undefined
  /** Besides workers and NTS-KE processes. */
  readonly processes: () => readonly ProcessUse[]
  readonly autokey: () => AutokeyHostReport | null
  readonly clients: () => ClientList | null
  /** CLOCK_MONOTONIC, seconds. */
  readonly monotonic: () => number
}

/** @param precision log2 seconds */
export const systemFacts = (precision: number, cores: number): SystemFacts => ({
  processor: machine() || arch(),
  system: systemName(),
  release: release(),
  precision,
  cores,
  runtime: process.version,
  startedAt: Date.now() / 1e3
})

/** Returns the taker; each call is a new picture. */
export const nodeSnapshots = (facts: SystemFacts, parts: SnapshotParts): (() => NodeSnapshot) => {
  let sequence = 0
  return () => {
    sequence += 1
    const clock = parts.clock()
    return {
      type: "snapshot",
      sequence,
      at: Date.now() / 1e3,
      monotonic: parts.monotonic(),
      facts,
      status: parts.status(),
      tracking: clock?.tracking ?? null,
      sources: clock?.sources ?? [],
      ntsClient: clock?.nts ?? null,
      processes: [{ name: "supervisor", pid: process.pid, restarts: 0, rss: memoryUse().rss }, ...parts.processes()],
      cluster: null,
      autokey: parts.autokey(),
      clients: parts.clients()
    }
  }
}
