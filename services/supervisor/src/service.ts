/**
 * A service of the node as the supervisor keeps it: declared by {@link ServiceDeclaration}, which is all that a new kind of
 * process takes. How to add one is in docs/architecture.md, "Adding a service".
 */
import { type ChildProcess, type Serializable, spawn } from "node:child_process"
import { isAlive, isRecord } from "@meridian/ipc/message"
import type { HoldsMessage, PlanMessage, SocketPlace } from "@meridian/ipc/serving-plan"
import { InvalidMessage } from "@meridian/ipc/shape"
import { SupervisedProcess } from "./supervised-process.ts"

/** What every service may say. */
interface Common {
  readonly type: string
}

interface ServiceDeclaration<Said extends Common> {
  /** "worker 0", "clock": how the log and `status` name it. */
  readonly name: string
  /** The service's main.ts. */
  readonly program: string
  /** For Node itself: sizes of heaps and pools. */
  readonly nodeFlags: readonly string[]
  /** Descriptors that it inherits, asked for at each start; its command line gives their numbers, as `--sockets 5,6`. */
  readonly descriptors?: () => Readonly<Record<string, readonly number[]>>
  /** What the sockets are bound to, in the order of their descriptors; with none inherited, the process binds them itself. */
  readonly places?: () => readonly SocketPlace[]
  /** Its part of the serving plan as it stands (projections of libs/ipc); undefined where it works without. */
  readonly plan?: () => unknown
  /** Reads what it says, besides `holds`; undefined, or InvalidMessage, for what cannot be. A `ready` makes it ready. */
  readonly read: (message: unknown) => Said | undefined
  readonly hear: (said: Said, pid: number) => void
  /** Told when one of its processes is gone, after its last message. */
  readonly gone?: (pid: number) => void
  readonly warn: (message: string) => void
  /** Starts the process under conditions of its own, as a capability. */
  readonly around?: (start: () => ChildProcess) => ChildProcess
  /**
   * Seconds without a word after which it is taken for stalled. Every process says that it is alive each second or two, whatever it does
   * (heartbeat.ts of libs/ipc), so this is how long its event loop may stand still; 10 where nothing is said.
   */
  readonly silentSeconds?: number
  /** Longest wait before it is started again, milliseconds; a second where nothing is said. */
  readonly longestBackoffMs?: number
  /** Whether a successor may serve beside it, on the same sockets; false where nothing is said. */
  readonly overlaps?: boolean
}

/** The descriptors a child finds after standard in, out, error and the message channel. */
const FIRST_PASSED_DESCRIPTOR = 4

/** Loaded before the program: it says that the process is alive. */
const HEARTBEAT = import.meta.resolve("@meridian/ipc/heartbeat")
/** At least three in the time after which silence is a stall: each one wakes two processes. */
const heartbeat = (silentSeconds: number): readonly string[] => [
  "--import",
  `${HEARTBEAT}?every=${silentSeconds >= 6 ? 2_000 : 1_000}`
]

export class Service<Said extends Common = Common> {
  /** As the log names it. */
  readonly name: string
  readonly process: SupervisedProcess
  /** Version of the plan that each of its processes works by. */
  private readonly held = new Map<number, number>()
  private readonly declaration: ServiceDeclaration<Said>
  private readonly version: () => number
  /** What was complained of already, so that a process that repeats itself does not fill the log. */
  private readonly complaints = new Set<string>()

  /** @param version the plan's, as it stands */
  constructor(declaration: ServiceDeclaration<Said>, version: () => number) {
    this.declaration = declaration
    this.name = declaration.name
    this.version = version
    const { name, silentSeconds = 10, overlaps = false, longestBackoffMs = 1_000, plan } = declaration
    this.process = new SupervisedProcess({
      name,
      silentSeconds,
      overlaps,
      longestBackoffMs,
      spawn: () => this.spawn(),
      onStart: (child) => {
        if (plan !== undefined) child.send(this.planMessage(plan()), () => {})
      },
      onMessage: (pid, message) => this.hear(pid, message),
      onExit: (pid) => {
        this.held.delete(pid)
        declaration.gone?.(pid)
      },
      askToEnd: (child) => {
        // A channel that closed a moment ago means that it is ending already.
        if (child.connected) child.send({ type: "drain" }, () => {})
      }
    })
  }

  /** Sends the plan as it stands to every process of this service. */
  tellPlan(): void {
    if (this.declaration.plan !== undefined) this.process.broadcast(this.planMessage(this.declaration.plan()))
  }

  /** Whether the process that serves works by the newest plan. */
  get holdsPlan(): boolean {
    const { pid } = this.process
    if (this.declaration.plan === undefined) return true
    return pid !== undefined && this.held.get(pid) === this.version()
  }

  private planMessage(plan: unknown): Serializable {
    const message: PlanMessage = {
      type: "plan",
      version: this.version(),
      sockets: this.declaration.places?.() ?? [],
      plan
    }
    return message as unknown as Serializable
  }

  private spawn(): ChildProcess {
    const { program, nodeFlags, around, silentSeconds = 10 } = this.declaration
    const descriptors = this.declaration.descriptors?.() ?? {}
    const passed = Object.values(descriptors).flat()
    let next = FIRST_PASSED_DESCRIPTOR
    const numbers = Object.entries(descriptors).flatMap(([option, own]) =>
      own.length === 0 ? [] : [option, own.map(() => next++).join(",")]
    )
    const begin = (): ChildProcess =>
      spawn(process.execPath, [...heartbeat(silentSeconds), ...nodeFlags, program, ...numbers], {
        stdio: ["ignore", "inherit", "inherit", "ipc", ...passed],
        serialization: "advanced"
      })
    return around === undefined ? begin() : around(begin)
  }

  /** Whether what it said makes it ready. */
  private hear(pid: number, message: unknown): boolean {
    if (isAlive(message)) return false
    if (isHolds(message)) {
      this.held.set(pid, message.version)
      return false
    }
    const said = this.understood(message)
    if (said === undefined) return false
    this.declaration.hear(said, pid)
    return said.type === "ready"
  }

  private understood(message: unknown): Said | undefined {
    try {
      const said = this.declaration.read(message)
      if (said !== undefined) return said
      this.complain(`a message of type ${isRecord(message) ? JSON.stringify(message["type"]) : typeof message}`)
    } catch (error) {
      if (!(error instanceof InvalidMessage)) throw error
      this.complain(error.message)
    }
    return undefined
  }

  private complain(what: string): void {
    if (this.complaints.has(what) || this.complaints.size >= 100) return
    this.complaints.add(what)
    const { name, warn } = this.declaration
    warn(`${name} said what cannot be read, and it was left out: ${what}`)
  }
}

const isHolds = (message: unknown): message is HoldsMessage =>
  isRecord(message) && message["type"] === "holds" && Number.isSafeInteger(message["version"])
