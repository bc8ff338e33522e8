/**
 * A process's end of what its supervisor gives it: the descriptors, and the channel with its part of the serving plan, what it is
 * told, and what it says. What cannot be read is said aloud, never passed over: a process that goes on by an old plan while
 * everybody believes it has the new one is worse than one that ends.
 */
import { disableNative } from "@meridian/system/native"
import * as onUse from "@meridian/system/on-use"
import { isRecord } from "./message.ts"
import { type HoldsMessage, type PlanMessage, readPlanMessage } from "../plans/serving-plan.ts"
import { InvalidMessage, type Shape } from "./shape.ts"

export interface WarningMessage {
  readonly type: "warning"
  readonly message: string
}

/**
 * The numbers of the descriptors that the supervisor handed over, by the option that names them: `--sockets 5,6`. Where it was not the
 * supervisor who started this process, or a needed one is missing, that is said and the process ends with 2.
 * @param service as people call it: "worker"
 * @param hands what it is handed, for that sentence
 */
export const inherited = <const Option extends string>(
  of: Pick<NodeJS.Process, "argv" | "env" | "send">,
  service: string,
  hands: string,
  options: Readonly<Record<Option, "needed" | "optional">>
): Readonly<Record<Option, readonly number[]>> => {
  const names = Object.keys(options) as Option[]
  const { values } = onUse.util().parseArgs({
    args: of.argv.slice(2),
    options: {
      help: { type: "boolean" },
      ...Object.fromEntries(names.map((name) => [name, { type: "string" } as const]))
    }
  })
  const written = values as Readonly<Record<string, string | undefined>>
  if ("help" in values || of.send === undefined || names.some((name) => options[name] === "needed" && !written[name])) {
    process.stderr.write(`meridian ${service}: started by the supervisor (\`meridian up\`), which hands it ${hands}\n`)
    process.exit(2)
  }
  if (of.env["MERIDIAN_NATIVE"] === "off") disableNative("MERIDIAN_NATIVE=off")
  const numbers = names.map((name) => [name, written[name] ? written[name].split(",").map(Number) : []])
  return Object.fromEntries(numbers) as Record<Option, readonly number[]>
}

interface ChannelOptions<Plan, Told> {
  /** For messages to people: "worker". */
  readonly service: string
  readonly plan: Shape<Plan>
  /** Reads every message that is no plan; undefined when it is none that this process knows. */
  readonly read: (message: unknown) => Told | undefined
}

interface Duties<Plan, Told> {
  /**
   * Works by this plan from now on, the first one included. What it throws is said to the supervisor, and the plan before stays.
   */
  readonly take: (plan: Plan) => void | Promise<void>
  readonly obey: (told: Told) => void
  /**
   * When the supervisor is gone, who cannot restart or drain anybody any more. Where nothing is said, and before this, the process ends
   * at once, so that the next start finds ports and files free.
   */
  readonly orphaned?: () => void
}

export class SupervisorChannel<Plan, Told, Says extends { readonly type: string }> {
  /** The first part of the plan; the process ends with 2 when it cannot be read. */
  readonly first: Promise<PlanMessage<Plan>>

  private readonly options: ChannelOptions<Plan, Told>
  private readonly waiting: Told[] = []
  private newest: PlanMessage<Plan> | undefined
  private duties: Duties<Plan, Told> | undefined
  private isTaking = false

  constructor(options: ChannelOptions<Plan, Told>) {
    this.options = options
    process.on("disconnect", () => {
      if (this.duties?.orphaned === undefined) process.exit()
      this.duties.orphaned()
    })
    this.first = new Promise((arrived) => {
      process.on("message", (message) => {
        const plan = this.hear(message)
        if (plan !== undefined) arrived(plan)
      })
    })
  }

  /** Begins to work by the plan, and by what was told meanwhile. */
  run(duties: Duties<Plan, Told>): void {
    this.duties = duties
    void this.takeNewest(duties)
    for (const told of this.waiting.splice(0)) duties.obey(told)
  }

  /** A supervisor that dies at this moment is the disconnect handler's matter. */
  send(message: Says | WarningMessage | HoldsMessage): void {
    if (process.connected) process.send?.(message, undefined, undefined, () => {})
  }

  /** Ends the process once its last word is out. */
  end(last: Says | WarningMessage, status: 0 | 1 = 0): void {
    const done = (): never => process.exit(status)
    if (process.send === undefined || !process.connected) done()
    else process.send(last, undefined, undefined, done)
  }

  /** Says what the operator should read; without a supervisor, standard error is all there is. */
  warn(message: string): void {
    if (process.connected) this.send({ type: "warning", message })
    else process.stderr.write(`meridian ${this.options.service}: ${message}\n`)
  }

  private hear(message: unknown): PlanMessage<Plan> | undefined {
    if (isRecord(message) && message["type"] === "plan") return this.hearPlan(message)
    const told = this.options.read(message)
    if (told === undefined) this.warn(`${this.options.service} was told what it does not know: ${nameOf(message)}`)
    else if (this.duties === undefined) this.waiting.push(told)
    else this.duties.obey(told)
    return undefined
  }

  private hearPlan(message: unknown): PlanMessage<Plan> | undefined {
    try {
      this.newest = readPlanMessage(this.options.plan, message)
    } catch (error) {
      if (!(error instanceof InvalidMessage)) throw error
      return this.refuse(error.message)
    }
    if (this.duties !== undefined) void this.takeNewest(this.duties)
    return this.newest
  }

  private refuse(why: string): undefined {
    const { service } = this.options
    if (this.newest !== undefined) {
      this.warn(`${service} cannot read its new plan and goes on by the one before: ${why}`)
      return undefined
    }
    process.stderr.write(`meridian ${service}: its plan cannot be read: ${why}\n`)
    return process.exit(2)
  }

  /** One after the other; of several that came meanwhile, the last alone. */
  private async takeNewest({ take }: Duties<Plan, Told>): Promise<void> {
    if (this.isTaking) return
    this.isTaking = true
    let taken: PlanMessage<Plan> | undefined
    while (this.newest !== undefined && taken !== this.newest) {
      taken = this.newest
      try {
        await take(taken.plan)
        this.send({ type: "holds", version: taken.version })
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        this.warn(`${this.options.service} cannot work by its new plan and goes on by the one before: ${why}`)
      }
    }
    this.isTaking = false
  }
}

const nameOf = (message: unknown): string =>
  isRecord(message) && typeof message["type"] === "string"
    ? `a message of type ${JSON.stringify(message["type"].slice(0, 40))}`
    : `a ${typeof message}`
