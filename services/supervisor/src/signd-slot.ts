/** The slot of the process that answers Windows clients, and its figures, which outlive the processes that made them. The node serves on without it. */
import type { SigndStatus } from "@meridian/ipc/node-status"
import { projections } from "@meridian/ipc/serving-plan"
import {
  addSigndFigures,
  type FromSignd,
  noSigndFigures,
  parseFromSignd,
  type SigndFigures,
  type SigndReport
} from "@meridian/ipc/signd-report"
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
  private retired: SigndFigures = noSigndFigures
  private readonly latest = new Map<number, SigndReport>()
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
        descriptors: { "--clock-page": [clockPage], "--sockets": sockets.descriptors },
        places: sockets.places,
        plan: () => projections.signd(board.plan),
        read: parseFromSignd,
        hear: (said, pid) => {
          if (said.type === "report") this.latest.set(pid, said)
          if (said.type === "drained") this.latest.set(pid, said.report)
          if (said.type === "warning") warn(said.message)
        },
        gone: (pid) => {
          const last = this.latest.get(pid)
          this.latest.delete(pid)
          if (last !== undefined) this.retired = addSigndFigures(this.retired, last.figures)
        },
        warn
      },
      () => board.version
    )
  }

  status(): SigndStatus {
    const { pid, state, restarts } = this.service.process
    const own = pid === undefined ? undefined : this.latest.get(pid)
    return {
      pid,
      state,
      restarts,
      socket: this.board.plan.signd?.socket ?? "",
      connections: own?.connections ?? 0,
      queued: own?.queued ?? 0,
      trouble: own?.trouble ?? null,
      rss: own?.rss ?? 0,
      ...[...this.latest.values()].reduce((sum, { figures }) => addSigndFigures(sum, figures), this.retired)
    }
  }
}
