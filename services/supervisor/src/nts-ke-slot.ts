/** An NTS-KE process's place: its listening sockets, and counters that outlive the processes that filled it. */
import { type FromNtsKe, ntsKeCounters, type NtsKeReport, parseFromNtsKe } from "@meridian/ipc/nts-ke-report"
import type { NtsKeStatus } from "@meridian/ipc"
import { projections } from "@meridian/ipc/serving-plan"
import { LastingFigures } from "./lasting-figures.ts"
import type { PlanBoard } from "./plan-board.ts"
import { Service } from "./service.ts"
import type { HandedSockets } from "./sockets.ts"

/** Clients that connect to it wait until another has taken its place. */
const SILENT_SECONDS = 3

interface NtsKeLaunch {
  readonly index: number
  /** The service's main.ts. */
  readonly program: string
  /** The clock page, open for reading. */
  readonly clockPage: number
  /** Listening sockets, held by the supervisor; with no addon there are none, and the process binds them itself. */
  readonly sockets: HandedSockets
  readonly board: PlanBoard
  readonly warn: (message: string) => void
}

const NODE_FLAGS = ["--max-semi-space-size=4", "--v8-pool-size=1", "--disable-warning=ExperimentalWarning"]

export class NtsKeSlot {
  /** What it complained of last, before it was ready. */
  trouble: string | undefined
  readonly index: number
  readonly service: Service<FromNtsKe>
  private readonly figures = new LastingFigures(ntsKeCounters, ({ counters }: NtsKeReport) => counters)

  constructor({ index, program, clockPage, sockets, board, warn }: NtsKeLaunch) {
    this.index = index
    this.service = new Service(
      {
        name: `nts-ke ${index}`,
        program,
        nodeFlags: NODE_FLAGS,
        silentSeconds: SILENT_SECONDS,
        overlaps: true,
        longestBackoffMs: 5_000,
        descriptors: () => ({ "--clock-page": [clockPage], "--sockets": sockets.descriptors }),
        places: () => sockets.places,
        plan: () => projections.ntsKe(board.plan),
        read: parseFromNtsKe,
        hear: (said, pid) => {
          if (said.type === "report") this.figures.note(pid, said)
          if (said.type === "drained") this.figures.note(pid, said.report)
          if (said.type === "ready") this.trouble = undefined
          if (said.type === "warning") {
            // One that is started again and again has the same trouble each time.
            if (said.message !== this.trouble) warn(said.message)
            this.trouble = said.message
          }
        },
        gone: (pid) => this.figures.retire(pid),
        warn
      },
      () => board.version
    )
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
