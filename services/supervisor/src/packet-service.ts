/** Processes that answer packets of one kind beside the workers, with figures that outlive them. Plain time goes on without them. */
import type { FromService } from "@meridian/ipc/service-messages"
import type { ServingPlan } from "@meridian/ipc/serving-plan"
import type { Shape } from "@meridian/ipc/shape"
import { LastingFigures } from "./lasting-figures.ts"
import { Service, type ServiceLaunch } from "./service.ts"
import type { HandedSockets } from "./sockets.ts"

export interface PacketServiceLaunch extends ServiceLaunch {
  /** The clock page, open for reading. */
  readonly clockPage: number
  /** Sockets that get packets of its kind and no others, held by the supervisor. */
  readonly sockets: HandedSockets
}

interface Counted {
  readonly type: "report"
}

export interface PacketServiceKind<Report extends Counted, Figures> {
  readonly name: string
  readonly nodeFlags?: readonly string[]
  readonly longestBackoffMs?: number
  readonly repeatsItself?: boolean
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
  { figures: shape, figuresOf, ...kind }: PacketServiceKind<Report, Figures>,
  launch: PacketServiceLaunch
): PacketService<Report, Figures> => {
  const { clockPage, sockets } = launch
  const figures = new LastingFigures(shape, figuresOf)
  const service = new Service<FromService<Report>>(launch, {
    ...kind,
    // Its clients are in the dark until another has taken its place.
    silentSeconds: 3,
    overlaps: true,
    descriptors: () => ({ "--clock-page": [clockPage], "--sockets": sockets.descriptors }),
    places: () => sockets.places,
    hear: (said, pid) => {
      if (said.type === "report") figures.note(pid, said as Report)
      if (said.type === "drained") figures.note(pid, said.report)
    },
    gone: (pid) => figures.retire(pid)
  })
  return { service, figures }
}
