/**
 * `meridian top`: the node on a live screen, as top shows a machine. It takes the whole terminal and gives it back as it was,
 * however it ends. Exit codes: 0 left, 1 no node, 2 wrong flag or no terminal.
 */
import { defineFlags, switchFlag, valueFlag } from "@meridian/config/flags"
import { wholeNumber } from "@meridian/config/value-types"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { stateDirectoryOf } from "./coordinator-client.ts"
import { askNode, nodeFlags, NodeUnreachable } from "./node-client.ts"
import { OperatorProblem, runCommand } from "./run-command.ts"
import { coloursWanted } from "./text-table.ts"
import { type Panel, panels, topScreen } from "./top-screen.ts"

export const topCommand = defineFlags({
  command: "meridian top",
  meaning:
    "Shows the node on a live screen: clock, sources, traffic, and who asks most. Keys: q quit, c clients, o outcomes, w workers.",
  flags: {
    state: nodeFlags.state,
    interval: valueFlag(wholeNumber("SECONDS", 1, 3_600), "Seconds between updates. Default: 1."),
    once: switchFlag("Prints one screen and exits. Needs no terminal."),
    "no-colour": switchFlag("Without colours, as if NO_COLOR is set.")
  }
})

const ENTER = "\u001B[?1049h\u001B[?25l"
const LEAVE = "\u001B[?25h\u001B[?1049l"
const HOME = "\u001B[H"
const REST_OF_LINE = "\u001B[K"
const REST_OF_SCREEN = "\u001B[J"

/** Where no terminal says how large it is. */
const [WIDTH, HEIGHT] = [80, 24]
const [LEAST_WIDTH, LEAST_HEIGHT] = [40, 12]

const KEYS: Readonly<Record<string, Panel>> = Object.fromEntries(panels.map((panel) => [panel[0], panel]))

class Screen {
  readonly #directory: string
  readonly #interval: number
  readonly #colours: boolean
  #snapshot: NodeSnapshot
  #trouble: string | undefined
  #panel: Panel = "clients"
  #timer: NodeJS.Timeout | undefined
  #isAsking = false

  constructor(directory: string, snapshot: NodeSnapshot, interval: number, colours: boolean) {
    this.#directory = directory
    this.#snapshot = snapshot
    this.#interval = interval
    this.#colours = colours
  }

  lines(): readonly string[] {
    return topScreen(this.#snapshot, {
      width: Math.max(LEAST_WIDTH, process.stdout.columns ?? WIDTH),
      height: Math.max(LEAST_HEIGHT, process.stdout.rows ?? HEIGHT),
      panel: this.#panel,
      colours: this.#colours,
      trouble: this.#trouble
    })
  }

  /** Until somebody leaves. */
  run(): Promise<number> {
    const { stdin, stdout } = process
    return new Promise((done) => {
      const leave = (code: number): void => {
        clearInterval(this.#timer)
        this.#giveBack()
        done(code)
        // Standard input would keep the process waiting.
        stdin.pause()
      }
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => leave(0))
      // A session that is gone has no screen to give back.
      stdin.on("end", () => leave(0))
      stdin.on("data", (bytes: Buffer) => {
        for (const key of bytes.toString("latin1")) {
          if (key === "q" || key === "Q" || key === "\u0003") return leave(0)
          if (key === "\u001A") return this.#suspend()
          this.#panel = KEYS[key.toLowerCase()] ?? this.#panel
        }
        this.#draw()
      })
      stdout.on("resize", () => this.#draw())
      process.on("SIGCONT", () => this.#take())
      this.#take()
    })
  }

  #take(): void {
    process.stdin.setRawMode?.(true)
    process.stdin.resume()
    process.stdout.write(ENTER)
    this.#draw()
    clearInterval(this.#timer)
    this.#timer = setInterval(() => void this.#look(), this.#interval * 1e3)
  }

  #giveBack(): void {
    process.stdin.setRawMode?.(false)
    process.stdout.write(LEAVE)
  }

  #suspend(): void {
    clearInterval(this.#timer)
    this.#giveBack()
    process.kill(process.pid, "SIGTSTP")
  }

  /** A node that does not answer for a while may be back: what was last known stays, with the reason. */
  async #look(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    try {
      this.#snapshot = await askNode<NodeSnapshot>(this.#directory, "/snapshot")
      this.#trouble = undefined
    } catch (error) {
      if (!(error instanceof NodeUnreachable)) throw error
      this.#trouble = error.message
    }
    this.#isAsking = false
    this.#draw()
  }

  #draw(): void {
    const lines = this.lines().map((line) => `${line}${REST_OF_LINE}`)
    process.stdout.write(`${HOME}${lines.join("\r\n")}${REST_OF_SCREEN}`)
  }
}

export const runTop = (args: readonly string[]): Promise<number> =>
  runCommand(topCommand, args, async ({ values: { state, interval = 1, once, "no-colour": plain } }) => {
    if (!once && (!process.stdout.isTTY || !process.stdin.isTTY))
      throw new OperatorProblem(2, "expected a terminal to show itself on; --once prints one screen")
    const directory = stateDirectoryOf(state)
    const snapshot = await askNode<NodeSnapshot>(directory, "/snapshot")
    const colours = plain !== true && coloursWanted() && process.env["TERM"] !== "dumb"
    const screen = new Screen(directory, snapshot, interval, colours)
    if (!once) return screen.run()
    process.stdout.write(`${screen.lines().join("\n").trimEnd()}\n`)
    return 0
  })
