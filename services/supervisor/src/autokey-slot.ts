/** The slot of the process that answers Autokey's requests with fields. */
import { autokeyFigures, type AutokeyReport, parseFromAutokey } from "@meridian/ipc/autokey-report"
import type { AutokeyStatus } from "@meridian/ipc"
import { projections } from "@meridian/ipc/serving-plan"
import { packetService, type PacketServiceKind, type PacketServiceLaunch } from "./packet-service.ts"

const kind = {
  name: "autokey",
  figures: autokeyFigures,
  figuresOf: (report: AutokeyReport) => report,
  project: projections.autokey,
  read: parseFromAutokey
} satisfies PacketServiceKind<AutokeyReport, unknown>

export class AutokeySlot {
  private readonly parts
  readonly service

  constructor(launch: PacketServiceLaunch) {
    this.parts = packetService(kind, launch)
    this.service = this.parts.service
  }

  status(): AutokeyStatus {
    const { pid, state, restarts } = this.service.process
    const { figures } = this.parts
    return { pid, state, restarts, ...figures.sum, rss: figures.of(pid)?.rss ?? 0 }
  }
}
