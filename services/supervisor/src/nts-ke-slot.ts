/** An NTS-KE process's place: its listening sockets, and counters that outlive the processes that filled it. */
import { ntsKeCounters, type NtsKeReport, parseFromNtsKe } from "@meridian/ipc/nts-ke-report"
import type { NtsKeStatus } from "@meridian/ipc"
import { projections } from "@meridian/ipc/serving-plan"
import { packetService, type PacketServiceKind, type PacketServiceLaunch } from "./packet-service.ts"

const kind = {
  nodeFlags: ["--max-semi-space-size=4"],
  longestBackoffMs: 5_000,
  repeatsItself: true,
  figures: ntsKeCounters,
  figuresOf: ({ counters }: NtsKeReport) => counters,
  project: projections.ntsKe,
  read: parseFromNtsKe
} satisfies Omit<PacketServiceKind<NtsKeReport, unknown>, "name">

export class NtsKeSlot {
  readonly index: number
  private readonly figures
  readonly service

  /** @param launch with no addon there are no sockets, and the process binds them itself */
  constructor(index: number, launch: PacketServiceLaunch) {
    this.index = index
    const { service, figures } = packetService({ ...kind, name: `nts-ke ${index}` }, launch)
    this.service = service
    this.figures = figures
  }

  /** What keeps clients from being answered, or from taking the answer, while its process runs. */
  get missing(): readonly string[] {
    const { certificates, troubles = [] } = this.status()
    return troubles.map(
      (trouble) => `${this.service.name}${certificates.length === 0 ? " does not serve" : ""}: ${trouble}`
    )
  }

  status(): NtsKeStatus {
    const { pid, state, restarts } = this.service.process
    const own = this.figures.of(pid)
    return {
      index: this.index,
      pid,
      state,
      restarts,
      ...this.figures.sum,
      open: own?.open ?? 0,
      tls: own?.tls,
      rss: own?.rss ?? 0,
      certificates: own?.certificates ?? [],
      troubles: own?.troubles ?? []
    }
  }
}
