/** The slot of the control process, which shows the node to ntpq, chronyc and the rest. The node serves on without it. */
import {
  type ActMessage,
  type ControlReport,
  type FromControl,
  parseFromControl,
  type ToControl
} from "@meridian/ipc/control-messages"
import { type NodeSnapshot, PictureTeller } from "@meridian/ipc/node-snapshot"
import { projections } from "@meridian/ipc/serving-plan"
import { Service, type ServiceLaunch } from "./service.ts"
import type { HandedSockets } from "./sockets.ts"

interface ControlLaunch extends ServiceLaunch {
  /** UDP sockets that mode 6 and 7 packets arrive on. */
  readonly sockets: HandedSockets
  /** UDP sockets of chronyc's port. */
  readonly commandSockets: readonly number[]
  /** Does what an operator asked for; says what came of it. Never rejects. */
  readonly act: (asked: ActMessage) => Promise<{ readonly ok: boolean; readonly message: string }>
}

export class ControlSlot {
  readonly service: Service<FromControl>
  /** What it said last; undefined before its first word. */
  report: ControlReport | undefined
  /** Shows it a picture of now: whoever asked for something looks next. */
  showNow: () => void = () => {}
  /** Called when somebody looks at what it shows. */
  onLook: () => void = () => {}
  private readonly pictures = new PictureTeller()

  constructor(launch: ControlLaunch) {
    const { sockets, commandSockets, act } = launch
    this.service = new Service(launch, {
      name: "control",
      descriptors: () => ({ "--sockets": sockets.descriptors, "--command-sockets": commandSockets }),
      places: () => sockets.places,
      project: projections.control,
      read: parseFromControl,
      hear: (said) => {
        if (said.type === "report") this.report = said
        if (said.type === "look") this.onLook()
        if (said.type === "act") void this.carryOut(said, act)
      }
    })
  }

  private async carryOut(asked: ActMessage, act: ControlLaunch["act"]): Promise<void> {
    const acted = await act(asked)
    this.showNow()
    this.service.process.broadcast({ type: "acted", id: asked.id, ...acted } satisfies ToControl)
  }

  /** @param isAskedFor whether it is the answer to a look */
  show(snapshot: NodeSnapshot, isAskedFor: boolean): void {
    const { state, pid } = this.service.process
    if (state === "running") this.service.process.broadcast(this.pictures.tell(snapshot, pid, isAskedFor))
  }
}
