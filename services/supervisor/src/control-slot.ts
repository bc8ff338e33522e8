/** The slot of the control process, which shows the node to ntpq, chronyc and the rest. The node serves on without it. */
import { spawn } from "node:child_process"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { type ControlPlan, type ControlReport, parseFromControl, type ToControl } from "@meridian/ipc/control-messages"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { SupervisedProcess } from "./supervised-process.ts"

const NODE_FLAGS = [
  "--max-semi-space-size=1",
  "--v8-pool-size=1",
  "--optimize-for-size",
  "--disable-warning=ExperimentalWarning"
]

/** The descriptors a child finds after standard in, out, error and the message channel. */
const FIRST_PASSED_DESCRIPTOR = 4

export interface ControlLaunch {
  /** The service's main.ts. */
  readonly program: string
  readonly stateDirectory: string
  readonly controlKey: number | undefined
  /** UDP sockets that mode 6 and 7 packets arrive on. */
  readonly descriptors: readonly number[]
  /** The control key and no other; see {@link controlKeyOf}. */
  readonly keys: () => ServingKeys
  readonly warn: (message: string) => void
}

/** Of the node's keys the one that authenticated mode 6 requests use. */
export const controlKeyOf = (keys: ServingKeys, controlKey: number | undefined): ServingKeys => ({
  ...keys,
  generations: [],
  symmetric: keys.symmetric.filter(({ id }) => id === controlKey)
})

export class ControlSlot {
  readonly process: SupervisedProcess
  /** What it said last; undefined before its first word. */
  report: ControlReport | undefined

  constructor(launch: ControlLaunch) {
    const plan: ControlPlan = {
      type: "control-plan",
      stateDirectory: launch.stateDirectory,
      controlKey: launch.controlKey ?? null,
      sockets: launch.descriptors.map((_, at) => FIRST_PASSED_DESCRIPTOR + at)
    }
    this.process = new SupervisedProcess({
      name: "control",
      spawn: () => {
        const child = spawn(process.execPath, [...NODE_FLAGS, launch.program], {
          stdio: ["ignore", "inherit", "inherit", "ipc", ...launch.descriptors],
          serialization: "advanced"
        })
        child.send(launch.keys(), () => {})
        child.send(plan, () => {})
        return child
      },
      onMessage: (_pid, message) => this.hear(message, launch),
      onExit: () => {},
      askToEnd: (child) => {
        if (child.connected) child.send({ type: "drain" } satisfies ToControl, () => {})
      }
    })
  }

  show(snapshot: NodeSnapshot): void {
    if (this.process.state === "running") this.process.broadcast(snapshot)
  }

  private hear(message: unknown, launch: ControlLaunch): boolean {
    const heard = parseFromControl(message)
    if (heard?.type === "report") this.report = heard
    if (heard?.type === "warning") launch.warn(heard.message)
    return heard?.type === "ready"
  }
}
