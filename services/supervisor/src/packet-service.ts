/** Processes that answer packets of one kind beside the workers, with figures that outlive them. Plain time goes on without them. */
import type { FromService } from "@meridian/ipc/service-messages"
import type { ServingPlan } from "@meridian/ipc/serving-plan"
import type { Shape } from "@meridian/ipc/shape"
import { LastingFigures } from "./lasting-figures.ts"
import type { PlanBoard } from "./plan-board.ts"
import { Service } from "./service.ts"
import type { HandedSockets } from "./sockets.ts"

export interface PacketServiceLaunch {
  /** The service's main.ts. */
  readonly program: string
  /** The clock page, open for reading. */
  readonly clockPage: number
  /** UDP sockets that get packets of its kind and no others. */
  readonly sockets: HandedSockets
  readonly board: PlanBoard
  readonly warn: (message: string) => void
}

interface Counted {
  readonly type: "report"
}

export interface PacketServiceKind<Report extends Counted, Figures> {
  readonly name: string
  readonly nodeFlags: readonly string[]
  readonly figures: Shape<Figures>
  readonly figuresOf: (report: Report) => Figures
  /** Its part of the plan. */
  readonly project: (plan: ServingPlan) => unknown
  readonly read: (message: unknown) => FromService<Report> | undefined
}

interface PacketService<Report extends Counted, Figures> {
  readonly service: Service<FromService<Report>>
  readonly figures: LastingFigures<Report, Figures>
}

export const packetService = <Report extends Counted, Figures>(
  { name, nodeFlags, figures: shape, figuresOf, project, read }: PacketServiceKind<Report, Figures>,
  { program, clockPage, sockets, board, warn }: PacketServiceLaunch
): PacketService<Report, Figures> => {
  const figures = new LastingFigures(shape, figuresOf)
  const service = new Service<FromService<Report>>(
    {
      name,
      program,
      nodeFlags,
      silentSeconds: 3,
      overlaps: true,
      descriptors: () => ({ "--clock-page": [clockPage], "--sockets": sockets.descriptors }),
      places: () => sockets.places,
      plan: () => project(board.plan),
      read,
      hear: (said, pid) => {
        if (said.type === "report") figures.note(pid, said)
        if (said.type === "drained") figures.note(pid, said.report)
        if (said.type === "warning") warn(said.message)
      },
      gone: (pid) => figures.retire(pid),
      warn
    },
    () => board.version
  )
  return { service, figures }
}
