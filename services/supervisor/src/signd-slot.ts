/** The slot of the process that answers Windows clients. */
import type { SigndStatus } from "@meridian/ipc"
import { projections } from "@meridian/ipc/serving-plan"
import { parseFromSignd, signdFigures, type SigndReport } from "@meridian/ipc/signd-report"
import { packetService, type PacketServiceKind, type PacketServiceLaunch } from "./packet-service.ts"
import type { LivePlan } from "./live-plan.ts"

const kind = {
  name: "signd",
  nodeFlags: [],
  figures: signdFigures,
  figuresOf: (report: SigndReport) => report.figures,
  project: projections.signd,
  read: parseFromSignd
} satisfies PacketServiceKind<SigndReport, unknown>

export class SigndSlot {
  private readonly parts
  private readonly live: LivePlan
  readonly service

  constructor(launch: PacketServiceLaunch) {
    this.live = launch.live
    this.parts = packetService(kind, launch)
    this.service = this.parts.service
  }

  status(): SigndStatus {
    const { pid, state, restarts } = this.service.process
    const { figures } = this.parts
    const own = figures.of(pid)
    return {
      pid,
      state,
      restarts,
      socket: this.live.plan.signd?.socket ?? "",
      connections: own?.connections ?? 0,
      queued: own?.queued ?? 0,
      trouble: own?.trouble ?? null,
      rss: own?.rss ?? 0,
      ...figures.sum
    }
  }
}
