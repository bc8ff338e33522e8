/** The programs of a run: started, and started again after they have been killed. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs"

interface Command {
  readonly name: string
  /** Program and arguments. */
  readonly words: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** Takes what it says. */
  readonly log: string
}

export class Program {
  readonly command: Command
  #child: ChildProcess | undefined
  /** Ends that nobody asked for. */
  ends = 0
  #wanted = false

  constructor(command: Command) {
    this.command = command
  }

  get pid(): number | undefined {
    const child = this.#child
    return child !== undefined && child.exitCode === null && child.signalCode === null ? child.pid : undefined
  }

  start(): void {
    if (this.pid !== undefined) return
    const { words, env, log } = this.command
    const [program = "", ...args] = words
    const out = openSync(log, "a")
    const child = spawn(program, args, { stdio: ["ignore", out, out], env: { ...process.env, ...env } })
    closeSync(out)
    child.on("error", () => undefined)
    child.once("exit", () => {
      if (this.#wanted && this.#child === child) this.ends += 1
    })
    this.#child = child
    this.#wanted = true
  }

  signal(signal: NodeJS.Signals): void {
    if (this.pid !== undefined) this.#child?.kill(signal)
  }

  /** Kills it and waits for its end. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.#wanted = false
    const child = this.#child
    if (child === undefined || this.pid === undefined) return
    const ended = once(child, "exit")
    child.kill(signal)
    await ended
  }
}

/** Process ids of a program's children, by the service that each is. */
export const childrenOf = (parent: number): ReadonlyMap<string, readonly number[]> => {
  const found = new Map<string, number[]>()
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry)
    const service = Number.isInteger(pid) ? serviceOf(pid, parent) : undefined
    if (service !== undefined) found.set(service, [...(found.get(service) ?? []), pid])
  }
  return found
}

const serviceOf = (pid: number, parent: number): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    const [, ppid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    if (Number(ppid) !== parent) return undefined
    return /services\/([a-z-]+)\/src\//.exec(readFileSync(`/proc/${pid}/cmdline`, "utf8"))?.[1]
  } catch {
    return undefined
  }
}
