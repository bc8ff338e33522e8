/** The slot of the process that answers Windows clients, and its figures, which outlive the processes that made them. The node serves on without it. */
import type { SigndStatus } from "@meridian/ipc/node-status"
import { projections } from "@meridian/ipc/serving-plan"
import { type FromSignd, parseFromSignd, signdFigures, type SigndReport } from "@meridian/ipc/signd-report"
import { LastingFigures } from "./lasting-figures.ts"
import type { PlanBoard } from "./plan-board.ts"
import { Service } from "./service.ts"
import type { HandedSockets } from "./sockets.ts"

const NODE_FLAGS = ["--max-semi-space-size=1", "--v8-pool-size=1", "--disable-warning=ExperimentalWarning"]

export interface SigndLaunch {
  /** The service's main.ts. */
  readonly program: string
  /** The clock page, open for reading. */
  readonly clockPage: number
  /** UDP sockets that requests of Windows clients arrive on. */
  readonly sockets: HandedSockets
  readonly board: PlanBoard
  readonly warn: (message: string) => void
}

export class SigndSlot {
  readonly service: Service<FromSignd>
  private readonly figures = new LastingFigures(signdFigures, (report: SigndReport) => report.figures)
  private readonly board: PlanBoard

  constructor({ program, clockPage, sockets, board, warn }: SigndLaunch) {
    this.board = board
    this.service = new Service(
      {
        name: "signd",
        program,
        nodeFlags: NODE_FLAGS,
        silentSeconds: 3,
        overlaps: true,
        descriptors: () => ({ "--clock-page": [clockPage], "--sockets": sockets.descriptors }),
        places: () => sockets.places,
        plan: () => projections.signd(board.plan),
        read: parseFromSignd,
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

  status(): SigndStatus {
    const { pid, state, restarts } = this.service.process
    const own = this.figures.of(pid)
    return {
      pid,
      state,
      restarts,
      socket: this.board.plan.signd?.socket ?? "",
      connections: own?.connections ?? 0,
      queued: own?.queued ?? 0,
      trouble: own?.trouble ?? null,
      rss: own?.rss ?? 0,
      ...this.figures.sum
    }
  }
}
