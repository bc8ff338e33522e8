/** The program beside a reference clock, as gpsd is one: compiled from native/clock-feeder.c, which lists its commands. */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const source = resolve(import.meta.dirname, "../native/clock-feeder.c")

const KEY_BASE = 0x4e545030
/** gpsd uses units from 0 up, and so may others on this machine: tests look for free ones far above. */
const FIRST_UNIT = 32
const LAST_UNIT = 250

const ENDED = "the feeder has ended"

/** Bytes of the segment as 64-bit writers make it. */
const SHM_BYTES = 96

export class ClockFeeder {
  /** The unit of its segment. */
  unit = -1
  private readonly child: ReturnType<typeof spawn>
  private readonly folder: string
  private readonly waiting: ((answer: string) => void)[] = []

  private constructor(folder: string, program: string) {
    this.folder = folder
    this.child = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"] })
    let text = ""
    this.child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8")
      const lines = text.split("\n")
      text = lines.pop() ?? ""
      for (const line of lines) this.waiting.shift()?.(line)
    })
    // Told by the answers.
    this.child.stdin?.on("error", () => {})
    this.child.once("exit", () => {
      for (const answer of this.waiting.splice(0)) answer(ENDED)
    })
  }

  /** Compiles and starts it. Throws where there is no C compiler. */
  static start(): ClockFeeder {
    const folder = mkdtempSync(join(tmpdir(), "meridian-feeder-"))
    const program = join(folder, "clock-feeder")
    const built = spawnSync(process.env["CC"] ?? "cc", ["-O1", "-std=gnu11", "-D_GNU_SOURCE", "-o", program, source])
    if (built.status !== 0) {
      rmSync(folder, { recursive: true })
      throw new Error(`the clock feeder cannot be compiled: ${built.error?.message ?? built.stderr.toString("utf8")}`)
    }
    return new ClockFeeder(folder, program)
  }

  /** One command; its answer. */
  tell(command: string): Promise<string> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return Promise.resolve(ENDED)
    return new Promise((answered) => {
      this.waiting.push(answered)
      this.child.stdin?.write(`${command}\n`)
    })
  }

  /** One command that must succeed: any answer but "ok" is thrown. */
  async ask(command: string): Promise<void> {
    const answer = await this.tell(command)
    if (answer !== "ok") throw new Error(`${command}: ${answer}`)
  }

  /** Makes a segment at a unit that nobody uses; its unit. Many suites may look at the same time. */
  async createSegment(bytes = SHM_BYTES, permissions = 0o600): Promise<number> {
    // Odd, as gpsd's pulses are: of sentences, in even units, a claim is not believed.
    for (let unit = (FIRST_UNIT + (process.pid % 100)) | 1; unit <= LAST_UNIT; unit += 2) {
      const key = (KEY_BASE + unit).toString(16)
      const answer = await this.tell(`create ${key} ${bytes} ${permissions.toString(8)}`)
      if (answer === "ok") return (this.unit = unit)
      if (answer !== "exists") throw new Error(`shared memory: ${answer}`)
    }
    throw new Error(`no shared memory unit up to ${LAST_UNIT} is free`)
  }

  /** Ends it, and removes its segment. */
  async end(): Promise<void> {
    if (this.child.exitCode === null) {
      this.child.stdin?.end()
      await once(this.child, "exit")
    }
    rmSync(this.folder, { recursive: true, force: true })
  }
}
