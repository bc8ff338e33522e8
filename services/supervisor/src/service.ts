/**
 * A service of the node as the supervisor keeps it: declared by {@link ServiceDeclaration}, which is all that a new kind of
 * process takes. How to add one is in docs/architecture.md, "Adding a service".
 */
import { type ChildProcess, type Serializable, spawn } from "node:child_process"
import { EventEmitter, once } from "node:events"
import { isAlive, isRecord } from "@meridian/ipc/message"
import type { HoldsMessage, PlanMessage, ServingPlan, SocketPlace } from "@meridian/ipc/serving-plan"
import { InvalidMessage } from "@meridian/ipc/shape"
import type { WarningMessage } from "@meridian/ipc/supervised"
import type { LivePlan } from "./live-plan.ts"
import type { ProcessRecord } from "./process-record.ts"
import { SupervisedProcess } from "./supervised-process.ts"
import { lookEachSecond, TurnCount } from "./turn-count.ts"

/** What every service may say. */
interface Common {
  readonly type: string
}

/** What every service is kept by. */
export interface ServiceLaunch {
  /** The service's main.ts. */
  readonly program: string
  readonly live: LivePlan
  readonly warn: (message: string) => void
  /** Where the start after this one finds who is left. */
  readonly processes: Pick<ProcessRecord, "started" | "ended">
}

interface ServiceDeclaration<Said extends Common> {
  /** "worker 0", "clock": how the log and `status` name it. */
  readonly name: string
  /** For Node itself, after {@link NODE_FLAGS}; smaller code, in place of faster, where nothing is said. */
  readonly nodeFlags?: readonly string[]
  /** Descriptors that it inherits, asked for at each start; its command line gives their numbers, as `--sockets 5,6`. */
  readonly descriptors?: () => Readonly<Record<string, readonly number[]>>
  /** What the sockets are bound to, in the order of their descriptors; with none inherited, the process binds them itself. */
  readonly places?: () => readonly SocketPlace[]
  /** Its part of the serving plan (projections of libs/ipc). */
  readonly project: (plan: ServingPlan) => unknown
  /** Reads what it says, besides `holds`; undefined, or InvalidMessage, for what cannot be. A `ready` makes it ready. */
  readonly read: (message: unknown) => Said | undefined
  /** Hears it but for warnings, which go to the log. */
  readonly hear: (said: Exclude<Said, WarningMessage>, pid: number) => void
  /** Has the same trouble each time that it is started again: a warning that is the one before goes to the log once, until it is ready. */
  readonly repeatsItself?: boolean
  /** Told when one of its processes is gone, after its last message. */
  readonly gone?: (pid: number) => void
  /** Starts the process under conditions of its own, as a capability. */
  readonly around?: (start: () => ChildProcess) => ChildProcess
  /**
   * Seconds without a sign of life after which it is taken for stalled. Every process gives one each second or two, whatever it does
   * (heartbeat.ts of libs/ipc), so this is how long its event loop may stand still; 10 where nothing is said.
   */
  readonly silentSeconds?: number
  /** Whether the others of the node wait for it: then it gives way to nobody while it starts. */
  readonly urgent?: boolean
  /** Longest wait before it is started again, milliseconds; a second where nothing is said. */
  readonly longestBackoffMs?: number
  /** Whether a successor may serve beside it, on the same sockets; false where nothing is said. */
  readonly overlaps?: boolean
}

/** The descriptors a child finds after standard in, out, error and the message channel. */
const FIRST_PASSED_DESCRIPTOR = 4

/** A small young heap and one helper thread: no service has more garbage than that. */
const NODE_FLAGS = ["--max-semi-space-size=1", "--v8-pool-size=1", "--disable-warning=ExperimentalWarning"]

/** Loaded before the program: it says that the process is alive. */
const HEARTBEAT = ["--import", import.meta.resolve("@meridian/ipc/heartbeat")]
/** At least three in the time after which silence is a stall: each one wakes a process. @param memory descriptor of its TurnCount, as it finds it */
const beatsBy = (silentSeconds: number, memory: number | undefined): string =>
  `every=${silentSeconds >= 6 ? 2_000 : 1_000}${memory === undefined ? "" : `&memory=${memory}`}`

export class Service<Said extends Common = Common> {
  /** As the log names it. */
  readonly name: string
  readonly process: SupervisedProcess
  /** Version of the plan that each of its processes works by. */
  private readonly held = new Map<number, number>()
  private readonly heard = new EventEmitter<{ holds: [] }>().setMaxListeners(0)
  /** Where each of its processes counts its turns. */
  private readonly turns = new Map<number, TurnCount>()
  private readonly declaration: ServiceDeclaration<Said>
  private readonly launch: ServiceLaunch
  /** Its last warning since it was ready. */
  trouble: string | undefined
  /** What was complained of already, so that a process that repeats itself does not fill the log. */
  private readonly complaints = new Set<string>()

  constructor(launch: ServiceLaunch, declaration: ServiceDeclaration<Said>) {
    this.launch = launch
    this.declaration = declaration
    this.name = declaration.name
    const { name, silentSeconds = 10, overlaps = false, urgent = false, longestBackoffMs = 1_000 } = declaration
    this.process = new SupervisedProcess({
      name,
      silentSeconds,
      overlaps,
      givesWay: !urgent,
      longestBackoffMs,
      spawn: () => this.spawn(),
      onStart: (child) => {
        if (child.pid !== undefined) launch.processes.started(child.pid)
        child.send(this.planMessage(), () => {})
      },
      onMessage: (pid, message) => this.hear(pid, message),
      still: (pid) => this.turns.get(pid)?.still,
      eachSecond: lookEachSecond,
      onExit: (pid) => {
        this.held.delete(pid)
        this.turns.get(pid)?.drop()
        this.turns.delete(pid)
        launch.processes.ended(pid)
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
    this.process.broadcast(this.planMessage())
  }

  /** Whether the process that serves works by the newest plan. */
  get holdsPlan(): boolean {
    const { pid } = this.process
    return pid !== undefined && this.held.get(pid) === this.launch.live.version
  }

  /** Until it works by the newest plan, but no longer than so many milliseconds. */
  async holding(milliseconds: number): Promise<void> {
    const signal = AbortSignal.timeout(milliseconds)
    while (!this.holdsPlan && !signal.aborted) await once(this.heard, "holds", { signal }).catch(() => {})
  }

  private planMessage(): Serializable {
    const { version, plan } = this.launch.live
    const { places, project } = this.declaration
    const message: PlanMessage = { type: "plan", version, sockets: places?.() ?? [], plan: project(plan) }
    return message as unknown as Serializable
  }

  private spawn(): ChildProcess {
    const { nodeFlags = ["--optimize-for-size"], around, silentSeconds = 10 } = this.declaration
    const { program } = this.launch
    const descriptors = this.declaration.descriptors?.() ?? {}
    const passed = Object.values(descriptors).flat()
    let next = FIRST_PASSED_DESCRIPTOR
    const numbers = Object.entries(descriptors).flatMap(([option, own]) =>
      own.length === 0 ? [] : [option, own.map(() => next++).join(",")]
    )
    // One more look without a turn, and it is called silent.
    const turns = TurnCount.make(silentSeconds - 1)
    if (turns !== undefined) passed.push(turns.descriptor)
    const flags = [...HEARTBEAT, ...NODE_FLAGS, ...nodeFlags]
    const env = { ...process.env, MERIDIAN_HEARTBEAT: beatsBy(silentSeconds, turns && next) }
    const begin = (): ChildProcess =>
      spawn(process.execPath, [...flags, program, ...numbers], {
        stdio: ["ignore", "inherit", "inherit", "ipc", ...passed],
        serialization: "advanced",
        env
      })
    try {
      const child = around === undefined ? begin() : around(begin)
      if (child.pid !== undefined && turns !== undefined) this.turns.set(child.pid, turns)
      else turns?.drop()
      return child
    } catch (error) {
      turns?.drop()
      throw error
    } finally {
      turns?.handedOver()
    }
  }

  /** Whether what it said makes it ready. */
  private hear(pid: number, message: unknown): boolean {
    if (isAlive(message)) return false
    if (isHolds(message)) {
      this.held.set(pid, message.version)
      this.heard.emit("holds")
      return false
    }
    const said = this.understood(message)
    if (said === undefined) return false
    if (isWarning(said)) {
      const isSaid = this.declaration.repeatsItself === true && said.message === this.trouble
      this.trouble = said.message
      if (!isSaid) this.launch.warn(said.message)
      return false
    }
    if (said.type === "ready") this.trouble = undefined
    this.declaration.hear(said as Exclude<Said, WarningMessage>, pid)
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
    this.launch.warn(`${this.name} said what cannot be read, and it was left out: ${what}`)
  }
}

const isWarning = (said: Common): said is WarningMessage => said.type === "warning"

const isHolds = (message: unknown): message is HoldsMessage =>
  isRecord(message) && message["type"] === "holds" && Number.isSafeInteger(message["version"])
