/** The node's status as `meridian status` asks for it, put together of its parts. */
import { hostname } from "node:os"
import type { NodeStatus } from "@meridian/ipc"
import { addCounters, noCounters, type WorkerCounters } from "@meridian/ipc/worker-report"
import { clockStatus, startingText } from "./clock-slot.ts"
import type { NodeParts } from "./node-parts.ts"

/** Whom the clock follows, as `status` names it. */
export const clockSource = ({ clock }: NodeParts): string => {
  const tracking = clock.report?.tracking
  return tracking?.systemPeer ?? (tracking?.state === "local" ? "local-reference" : "none")
}

/** What the node lacks for as long as it runs so. */
const missing = ({ live, plan, lacking, xdp, network, coordinator, ntsKe, workers }: NodeParts): readonly string[] => [
  ...lacking,
  ...(xdp?.missing === undefined ? [] : [xdp.missing]),
  ...network.missing,
  ...[coordinator, ...ntsKe].flatMap(({ service: { name, process, trouble } }) =>
    process.state === "running" ? [] : [`${name} does not serve${trouble === undefined ? "" : `: ${trouble}`}`]
  ),
  ...ntsKe.flatMap((slot) => slot.missing),
  ...(plan.nts !== undefined && live.plan.keys.generations.length === 0
    ? ["no master key: NTS is refused until the coordinator has one"]
    : []),
  ...workers.flatMap(({ service: { name, holdsPlan } }) =>
    holdsPlan ? [] : [`${name} does not work by the newest keys and settings`]
  )
]

/** What all that answer requests for time counted together. */
export const totalCounters = ({ workers, xdp }: NodeParts): WorkerCounters =>
  workers.reduce((sum, slot) => addCounters(sum, slot.counters), xdp?.counters ?? noCounters)

/** What `meridian status` shows. */
export const nodeStatus = (parts: NodeParts): NodeStatus => {
  const { plan, live, sockets, clock, coordinator, workers, ntsKe, signd, autokey, anycast, xdp } = parts
  const { drain, ports, reader, system, startedAt, silentUntil } = parts
  const own = workers.map((slot) => slot.status())
  const answering = xdp?.status() ?? null
  const { keys } = live.plan
  return {
    node: hostname(),
    version: plan.version,
    pid: process.pid,
    uptime: system.monotonic.seconds() - startedAt,
    listening: sockets.addresses,
    io: plan.native ? "native" : "fallback",
    unsteered: sockets.unsteered ?? null,
    state: plan.stateDirectory,
    clock: clockStatus(reader, clockSource(parts), system),
    starting: startingText(clock.report?.tracking, silentUntil - system.monotonic.seconds()),
    waitingFor: clock.report?.tracking.waitingFor ?? [],
    missing: missing(parts),
    shared: ports.shared,
    drain: drain.status(),
    anycast: anycast?.status() ?? null,
    workers: own,
    xdp: answering,
    ntsKe: ntsKe.map((slot) => slot.status()),
    ntsKePort: plan.nts?.port ?? null,
    signd: signd?.status() ?? null,
    autokey: autokey?.status() ?? null,
    coordinator: coordinator.report ?? null,
    keys: {
      masterKeyGenerations: keys.generations.map(({ id, activation, retirement }) => ({
        id,
        activation,
        retirement
      })),
      symmetricKeyIds: keys.symmetric.map(({ id }) => id),
      symmetricKeyTypes: keys.symmetric.map(({ algorithm }) => algorithm),
      symmetricKeyBits: keys.symmetric.map(({ secret }) => secret.length * 8)
    },
    totals: {
      ...totalCounters(parts),
      overflow: own.reduce((sum, worker) => sum + worker.overflow, 0),
      receivedPerSecond: own.reduce((sum, each) => sum + each.receivedPerSecond, answering?.receivedPerSecond ?? 0),
      repliedPerSecond: own.reduce((sum, each) => sum + each.repliedPerSecond, answering?.repliedPerSecond ?? 0)
    }
  }
}
