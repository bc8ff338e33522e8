/** Announcers that run a program at each change: FRR's shell, or a script of the user's. */
import { execFile } from "node:child_process"
import { reasonOf } from "@meridian/system/errno-words"
import { type Announcer, AnnouncerTrouble } from "../announcer.ts"

/** vtysh waits for the daemons; a script may wait for a network. */
const LONGEST_MS = 10_000
const MOST_OUTPUT = 1_048_576

interface Finished {
  readonly output: string
  /** Undefined where it ended well. */
  readonly failure: string | undefined
}

const run = (program: string, args: readonly string[]): Promise<Finished> =>
  new Promise((done) => {
    const child = execFile(
      program,
      args,
      { timeout: LONGEST_MS, killSignal: "SIGKILL", maxBuffer: MOST_OUTPUT },
      (error, stdout, stderr) => {
        const output = `${stdout}${stderr}`.trim()
        if (error === null) return done({ output, failure: undefined })
        const last = output.split("\n").at(-1) ?? ""
        const how = error.killed
          ? `did not end within ${LONGEST_MS / 1e3} s`
          : typeof error.code === "number"
            ? `ended with ${error.code}`
            : `cannot be run: ${reasonOf(error)}`
        done({ output, failure: last === "" ? how : `${how}: ${last.slice(0, 200)}` })
      }
    )
    // Whoever asks for a password hears that there is none.
    child.stdin?.on("error", () => {})
    child.stdin?.end()
  })

/** `SCRIPT announce PREFIX…` and `SCRIPT withdraw PREFIX…`; it ends with 0 when that is done. */
export class ScriptAnnouncer implements Announcer {
  readonly name = "script"
  private readonly script: string
  private readonly prefixes: readonly string[]

  constructor(script: string, prefixes: readonly string[]) {
    this.script = script
    this.prefixes = prefixes
  }

  async apply(announced: boolean): Promise<void> {
    const { failure } = await run(this.script, [announced ? "announce" : "withdraw", ...this.prefixes])
    if (failure !== undefined) throw new AnnouncerTrouble(`${this.script} ${failure}`)
  }

  close(): void {}
}

interface FrrOptions {
  readonly as: number
  readonly vtysh: string
  readonly prefixes: readonly string[]
}

/** What vtysh is told, one command after the other. */
export const frrCommands = ({ as, prefixes }: Pick<FrrOptions, "as" | "prefixes">, announced: boolean) => {
  const ofFamily = (family: "ipv4" | "ipv6", own: readonly string[]): readonly string[] =>
    own.length === 0
      ? []
      : [
          `address-family ${family} unicast`,
          ...own.map((prefix) => `${announced ? "" : "no "}network ${prefix}`),
          "exit-address-family"
        ]
  const isIpv6 = (prefix: string): boolean => prefix.includes(":")
  return [
    "configure terminal",
    `router bgp ${as}`,
    ...ofFamily(
      "ipv4",
      prefixes.filter((prefix) => !isIpv6(prefix))
    ),
    ...ofFamily("ipv6", prefixes.filter(isIpv6))
  ]
}

/** FRR, by `vtysh`: the prefixes are networks of its BGP, present while they are announced. */
export class FrrAnnouncer implements Announcer {
  readonly name = "FRR"
  private readonly options: FrrOptions

  constructor(options: FrrOptions) {
    this.options = options
  }

  async apply(announced: boolean): Promise<void> {
    const output = await this.vtysh(frrCommands(this.options, announced))
    // vtysh goes on after a command that failed, and ends with 0. A network that is not there is withdrawn; its own vtysh.conf is optional.
    const refusal = output.split("\n").find((line) => line.startsWith("%") && !/^% Can't (?:find|open)/.test(line))
    if (refusal !== undefined) throw new AnnouncerTrouble(`FRR: ${refusal.slice(1).trim()}`)
  }

  /** An FRR that is stopped in good order is still routed to for two minutes by a neighbour with defaults. */
  async advice(): Promise<readonly string[]> {
    const output = await this.vtysh(["show running-config"])
    return /^\s*bgp graceful-restart-disable$/m.test(output)
      ? []
      : [
          "FRR has graceful restart on, as by default: when it is stopped, its neighbours may go on sending clients here for 120 s; say 'bgp graceful-restart-disable' in its router bgp"
        ]
  }

  close(): void {}

  private async vtysh(commands: readonly string[]): Promise<string> {
    const { output, failure } = await run(
      this.options.vtysh,
      commands.flatMap((command) => ["-c", command])
    )
    if (failure !== undefined) throw new AnnouncerTrouble(`${this.options.vtysh} ${failure}`)
    return output
  }
}
