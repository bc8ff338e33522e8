/** The place of the process that answers Autokey's requests with fields. Plain time goes on without it. */
import { autokeyFigures, type AutokeyReport, type FromAutokey, parseFromAutokey } from "@meridian/ipc/autokey-report"
import type { AutokeyStatus } from "@meridian/ipc/node-status"
import { projections } from "@meridian/ipc/serving-plan"
import { LastingFigures } from "./lasting-figures.ts"
import type { PlanBoard } from "./plan-board.ts"
import { Service } from "./service.ts"
import type { HandedSockets } from "./sockets.ts"

const NODE_FLAGS = [
  "--max-semi-space-size=1",
  "--v8-pool-size=1",
  "--optimize-for-size",
  "--disable-warning=ExperimentalWarning"
]

export interface AutokeyLaunch {
  /** The service's main.ts. */
  readonly program: string
  /** The clock page, open for reading. */
  readonly clockPage: number
  /** UDP sockets that requests with Autokey's fields arrive on. */
  readonly sockets: HandedSockets
  readonly board: PlanBoard
  readonly warn: (message: string) => void
}

export class AutokeySlot {
  readonly service: Service<FromAutokey>
  private readonly figures = new LastingFigures(autokeyFigures, (report: AutokeyReport) => report)

  constructor({ program, clockPage, sockets, board, warn }: AutokeyLaunch) {
    this.service = new Service(
      {
        name: "autokey",
        program,
        nodeFlags: NODE_FLAGS,
        silentSeconds: 3,
        overlaps: true,
        descriptors: () => ({ "--clock-page": [clockPage], "--sockets": sockets.descriptors }),
        places: () => sockets.places,
        plan: () => projections.autokey(board.plan),
        read: parseFromAutokey,
        hear: (said, pid) => {
          if (said.type === "report") this.figures.note(pid, said)
          if (said.type === "drained") this.figures.note(pid, said.report)
          if (said.type === "warning") warn(said.message)
        },
        gone: (pid) => this.figures.retire(pid),
        warn
      },
      () => board.version
    )
  }

  status(): AutokeyStatus {
    const { pid, state, restarts } = this.service.process
    return { pid, state, restarts, ...this.figures.sum, rss: this.figures.of(pid)?.rss ?? 0 }
  }
}
