/** Metrics of the node itself: keys, cluster, processes; and all of them together. */
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { clockMetrics } from "./clock-metrics.ts"
import { byLabel, counter, type Family, gauge, info } from "./exposition.ts"
import { servingMetrics } from "./serving-metrics.ts"

export interface OwnFigures {
  /** Requests to the control process, by what became of them. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly rss: number
  /** Why the node is not ready; empty when it is. */
  readonly unready: readonly string[]
  /** Processor seconds that a process has used; undefined where the system does not say. */
  readonly processorSeconds: (pid: number) => number | undefined
}

export const metrics = (snapshot: NodeSnapshot, own: OwnFigures): readonly Family[] => [
  info("meridian_build", "What runs.", [
    {
      version: snapshot.status.version,
      node: snapshot.status.node,
      runtime: snapshot.facts.runtime,
      io: snapshot.status.io
    }
  ]),
  gauge("meridian_start_time_seconds", "When the node started.", [{ value: snapshot.facts.startedAt }]),
  gauge("meridian_snapshot_timestamp_seconds", "When these figures were taken.", [{ value: snapshot.at }]),
  gauge("meridian_ready", "1 while traffic may be sent to this node.", [{ value: own.unready.length === 0 ? 1 : 0 }]),
  ...clockMetrics(snapshot),
  ...servingMetrics(snapshot),
  ...keyMetrics(snapshot),
  ...clusterMetrics(snapshot),
  ...routeMetrics(snapshot),
  ...processMetrics(snapshot, own),
  counter(
    "meridian_control_requests",
    "Requests to mode 6, chronyc and HTTP, by what became of them.",
    byLabel("outcome", own.outcomes)
  )
]

const routeMetrics = ({ status: { anycast } }: NodeSnapshot): readonly Family[] =>
  anycast === undefined || anycast === null
    ? []
    : [
        gauge("meridian_route_announced", "1 while the node's service addresses are to be announced.", [
          { value: anycast.announced === true ? 1 : 0 }
        ]),
        gauge("meridian_route_settled", "1 while every announcer has done as it was told.", [
          { value: anycast.settled ? 1 : 0 }
        ])
      ]

const keyMetrics = ({ status, at }: NodeSnapshot): readonly Family[] => {
  const { masterKeyGenerations, symmetricKeyIds } = status.keys
  const generations = (value: (one: (typeof masterKeyGenerations)[number]) => number) =>
    masterKeyGenerations.map((one) => ({ labels: { generation: one.id }, value: value(one) }))
  return [
    gauge(
      "meridian_nts_master_key_age_seconds",
      "Since each generation of the NTS master key became active, where that is known; negative of one to come.",
      // 0 stands for "active at once": the workers are not told since when.
      generations(({ activation }) => at - activation).filter(({ value }) => value < at)
    ),
    gauge(
      "meridian_nts_master_key_retirement_timestamp_seconds",
      "When each generation of the NTS master key retires.",
      generations(({ retirement }) => retirement)
    ),
    gauge(
      "meridian_nts_master_key_newest_generation",
      "Newest generation that each worker holds; 0 for none.",
      status.workers.map(({ index, newestKey }) => ({ labels: { worker: index }, value: newestKey.generation }))
    ),
    gauge("meridian_symmetric_keys", "Symmetric keys.", [{ value: symmetricKeyIds.length }])
  ]
}

const clusterMetrics = ({ status: { coordinator } }: NodeSnapshot): readonly Family[] =>
  coordinator === null
    ? []
    : [
        info("meridian_cluster", "Who leads, and what keeps the log.", [
          { leader: coordinator.leader ?? "", log: coordinator.adapter ?? "out of reach" }
        ]),
        gauge("meridian_cluster_leading", "1 while this node leads.", [{ value: coordinator.leading ? 1 : 0 }]),
        gauge("meridian_cluster_term", "Term of the leader.", [{ value: coordinator.term }]),
        gauge("meridian_cluster_drained", "1 while an operator has taken the node out.", [
          { value: coordinator.drained ? 1 : 0 }
        ]),
        gauge("meridian_event_log_last_sequence", "Last place of the log that is known.", [
          { value: coordinator.lastSeq }
        ]),
        gauge("meridian_event_log_lag_events", "Events of the log that are not folded in yet.", [
          { value: Math.max(0, coordinator.lastSeq - coordinator.foldedSeq) }
        ]),
        gauge("meridian_event_log_reachable", "1 while the log is within reach.", [
          { value: coordinator.adapter === null ? 0 : 1 }
        ]),
        gauge("meridian_event_log_quarantined", "Commits and events that were put aside.", [
          { value: coordinator.quarantined }
        ])
      ]

const processMetrics = (
  { status, processes }: NodeSnapshot,
  { processorSeconds, rss }: OwnFigures
): readonly Family[] => {
  const all = [
    ...processes.filter(({ name }) => name !== "control"),
    ...status.workers.map(({ index, pid, restarts, rss: bytes }) => ({
      name: `worker ${index}`,
      pid,
      restarts,
      rss: bytes
    })),
    ...status.ntsKe.map(({ index, pid, restarts, rss: bytes }) => ({
      name: `nts-ke ${index}`,
      pid,
      restarts,
      rss: bytes
    })),
    {
      name: "control",
      pid: process.pid,
      restarts: processes.find(({ name }) => name === "control")?.restarts ?? 0,
      rss
    }
  ]
  return [
    gauge(
      "meridian_process_resident_memory_bytes",
      "Resident memory.",
      all.map(({ name, rss: value }) => ({ labels: { process: name }, value }))
    ),
    counter(
      "meridian_process_restarts",
      "Times that the process was started again.",
      all.map(({ name, restarts: value }) => ({ labels: { process: name }, value }))
    ),
    counter(
      "meridian_process_cpu_seconds",
      "Processor time.",
      all.flatMap(({ name, pid }) => {
        const value = pid === undefined ? undefined : processorSeconds(pid)
        return value === undefined ? [] : [{ labels: { process: name }, value }]
      })
    )
  ]
}
