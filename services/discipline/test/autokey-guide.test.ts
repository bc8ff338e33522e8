/**
 * docs/autokey.md is typed from top to bottom, in empty directories: what it says to type is typed, what it says to write is
 * written, and what it prints must be printed. Once more under MERIDIAN_LONG=1 with classic's `ntp-keygen` at the client.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { KEYGEN, LEAP_TABLE } from "./autokey-hosts.ts"
import { until } from "./peer-stage.ts"
import { onStage, type Stage } from "./stage.ts"

const suite = "the guide to Autokey"
const available = peersAvailable(suite, ["classic-ntpq", "classic-ntp-keygen"]) && canMakeNamespaces(suite)
const isLong = process.env["MERIDIAN_LONG"] === "1"
const SLOW_MS = 900_000
const root = resolve(import.meta.dirname, "../../..")

type Who = "alice" | "bob"
interface Step {
  readonly who: Who
  readonly typed: string
  readonly printed: readonly string[]
}

/** What stands in the guide's blocks behind a prompt, with the lines below it. */
const steps: readonly Step[] = readFileSync(join(root, "docs/autokey.md"), "utf8")
  .split("## Several nodes")[0]!
  .matchAll(/^```\n([^]*?)^```$/gm)
  .flatMap(([, block = ""]) => block.split(/^(?=(?:alice|bob)\$ )/m))
  .flatMap((text) => {
    const [, who, typed = "", rest = ""] = /^(alice|bob)\$ ([^\n]*)\n([^]*)$/.exec(text) ?? []
    if (who !== "alice" && who !== "bob") return []
    return [{ who, typed: typed.replace(/\s+# .*$/, ""), printed: rest.trimEnd().split("\n") } as const]
  })
  .toArray()

/** A machine: its name, its network, and what stands for its /etc and /var/log. */
class Machine {
  node: ChildProcess | undefined
  said = ""
  readonly home: string
  private readonly name: Who
  private readonly network: NetworkNamespace
  private readonly bin: string

  constructor(stage: Stage, name: Who, network: NetworkNamespace, keygen: readonly string[]) {
    this.name = name
    this.network = network
    this.home = stage.folder.file(name)
    this.bin = join(this.home, "bin")
    for (const folder of ["bin", "etc/ntp", "log/ntpstats"]) mkdirSync(join(this.home, folder), { recursive: true })
    const ntpq = peer("classic-ntpq")!
    this.program("ntp-keygen", keygen)
    this.program("ntpq", [...environment(ntpq.env), ntpq.command, ...ntpq.args])
    this.program("meridian", [process.execPath, join(root, "services/cli/bin/meridian.mjs")])
    this.program("meridian-here", [join(this.bin, "meridian")], `--state ${join(this.home, "state")}`)
  }

  /** Its own paths, in place of the guide's. */
  here(text: string): string {
    return text
      .replaceAll("/etc/", `${this.home}/etc/`)
      .replaceAll("/var/log/", `${this.home}/log/`)
      .replaceAll(/^meridian /gm, "meridian-here ")
  }

  /** What it prints, with the guide's paths. */
  async type(typed: string): Promise<string> {
    const [program = "", ...args] = this.command(this.here(typed))
    return new Promise((done) => {
      const options = { cwd: join(this.home, "etc/ntp"), env: this.env() }
      execFile(program, args, options, (_error, stdout, stderr) => done(this.there(stderr + stdout)))
    })
  }

  /** Types a command that goes on. */
  start(stage: Stage, typed: string): void {
    const [program = "", ...args] = this.command(`exec ${this.here(typed)}`)
    const child = spawn(program, args, { cwd: join(this.home, "etc/ntp"), env: this.env() })
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => void (this.said += this.there(chunk.toString())))
    stage.atFirst(async () => {
      if (child.exitCode !== null) return
      child.kill()
      await once(child, "exit")
    })
    this.node = child
  }

  private program(name: string, words: readonly string[], more = ""): void {
    const path = join(this.bin, name)
    writeFileSync(path, `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(" ")} "$@" ${more}\n`)
    chmodSync(path, 0o755)
  }

  private there(text: string): string {
    return text.replaceAll(`${this.home}/log/`, "/var/log/").replaceAll(this.home, "")
  }

  private command(line: string): readonly string[] {
    return [...this.network.within, "unshare", "-u", "bash", "-c", `hostname ${this.name}; ${line}`]
  }

  private env(): NodeJS.ProcessEnv {
    const { NODE_OPTIONS: _options, VITEST: _vitest, NODE_ENV: _env, ...rest } = process.env
    return { ...rest, PATH: `${this.bin}:${rest["PATH"] ?? ""}` }
  }
}

const environment = (env: NodeJS.ProcessEnv): readonly string[] => [
  "/usr/bin/env",
  ...Object.entries(env).flatMap(([name, value = ""]) => (process.env[name] === value ? [] : [`${name}=${value}`]))
]

/** What is otherwise each time: stamps, dates, sizes, versions, addresses of the day. */
const masked = (line: string): string =>
  line
    .replaceAll(/\b4\d{9}\b/g, "STAMP")
    .replace(/^(\S{10}) +\d+ root root +\d+ \w+ +\d+ [\d:]+ /, "$1 ")
    .replace(/^# \w{3} \w{3} .*$/, "# DATE")
    .replaceAll(/until=\d{12}/g, "until=DATE")
    .replace(/^Meridian [\d.]+ /, "Meridian VERSION ")
    .trimEnd()

/** Blocks on the disk are no news: what `ls` says of them is left out. */
const linesOf = (text: string): readonly string[] =>
  text
    .trimEnd()
    .split(/\r?\n/)
    .filter((line) => !/^total \d+$/.test(line))
    .map(masked)

/** Whether the guide's lines are what was printed; `…` stands for lines that are left out. */
const isPrinted = (expected: readonly string[], text: string): boolean => {
  const lines = linesOf(text)
  const [before = [], after = []] = [expected.map(masked)].flatMap((all) => {
    const gap = all.indexOf("…")
    return gap < 0 ? [all, []] : [all.slice(0, gap), all.slice(gap + 1)]
  })
  const isWhole = after.length > 0 || lines.length === before.length
  return (
    isWhole &&
    before.every((line, index) => line === lines[index]) &&
    after.every((line, index) => line === lines[lines.length - after.length + index])
  )
}

const words = (line: string | undefined): readonly string[] => (line ?? "").trim().split(/\s+/)
/** The third word of cryptostats' lines: what happened. */
const happened = (lines: readonly string[]): readonly string[] =>
  lines.map((line) => (words(line)[3] ?? "").replace(/^ntpkey_.*$/, "file"))

const follow = async (stage: Stage, machines: Readonly<Record<Who, Machine>>, isOurs: boolean): Promise<number> => {
  let exported = ""
  let count = 0
  for (const { who, typed, printed } of steps) {
    const machine = machines[who]
    const [program, first] = words(typed)
    count += 1
    if (program === "cd") continue
    if (typed === "cat /etc/ntp.conf") {
      writeFileSync(join(machine.home, "etc/ntp.conf"), machine.here(`${printed.join("\n")}\n`))
    } else if (program === "vi") {
      // Under the name in its first line.
      const [, name = ""] = /^# (\S+)$/m.exec(exported) ?? []
      expect(masked(name)).toBe(masked(first ?? ""))
      writeFileSync(join(machine.home, "etc/ntp", name), exported)
      writeFileSync(join(machine.home, "etc/ntp/.name"), name)
    } else if (program === "ln") {
      const name = readFileSync(join(machine.home, "etc/ntp/.name"), "utf8")
      await machine.type(typed.replace(/ntpkey_iffpar_alice\.\d+/, name))
    } else if (typed.startsWith("meridian up")) {
      machine.start(stage, typed)
      const text = await until(
        async () => machine.said,
        (said) => said.includes("serves NTP"),
        SLOW_MS / 2
      )
      expect(linesOf(text)).toEqual(expect.arrayContaining(printed.filter((line) => line !== "").map(masked)))
    } else if (program === "systemctl") {
      machine.node?.kill("SIGHUP")
      const text = await until(
        async () => machine.said,
        (said) => /reload/i.test(said),
        SLOW_MS / 2
      )
      expect(text).not.toMatch(/has no credentials|"level":"error"/)
    } else if (program === "ntp-keygen") {
      const text = await machine.type(typed)
      if (typed.includes("-e")) exported = text.slice(text.indexOf("# ntpkey_"))
      if (isOurs || who === "alice") expect(isPrinted(printed, text) ? printed : linesOf(text)).toEqual(printed)
    } else if (typed.startsWith("meridian sources")) {
      const text = await until(
        () => machine.type(typed),
        (said) => said.includes("autokey 0x87f21"),
        SLOW_MS / 2
      )
      const lines = text.split("\n").map(words)
      const [header, source, verdict] = lines.slice(lines.findIndex(([first]) => first === "MS"))
      expect(header).toEqual(words(printed[0]))
      expect(source?.slice(0, 2)).toEqual(words(printed[1]).slice(0, 2))
      expect(verdict?.slice(0, 3)).toEqual(words(printed[2]).slice(0, 3))
    } else if (typed.includes("cryptostats")) {
      const text = await machine.type(typed)
      expect(happened(text.trim().split("\n"))).toEqual(happened(printed))
    } else if (typed.endsWith("-c as")) {
      const text = await until(
        () => machine.type(typed),
        (said) => said.includes("sys.peer"),
        SLOW_MS / 2
      )
      expect(words(text.split("\n")[2]).slice(3, 7)).toEqual(words(printed[2]).slice(3, 7))
    } else {
      const wanted = printed.filter((line) => line !== "").map(masked)
      const said = (text: string): readonly string[] => linesOf(text).filter((line) => line !== "")
      // What ntpq is shown is a second or two behind what `meridian sources` is, more on a busy machine.
      const isThere = (text: string): boolean => said(text).join("\n") === wanted.join("\n")
      expect(said(await until(() => machine.type(typed), isThere, SLOW_MS / 2))).toEqual(wanted)
    }
  }
  return count
}

describe.runIf(available)(`${suite}`, { timeout: SLOW_MS }, () => {
  const classic = peer("classic-ntp-keygen")
  const ways = [
    { name: "as it stands, with our ntp-keygen on both sides", keygen: undefined },
    { name: "with classic's ntp-keygen at the client", keygen: classic }
  ]
  it.each(isLong ? ways : ways.slice(0, 1))("$name", ({ keygen }) =>
    onStage(async (stage) => {
      const [ours, theirs] = [new NetworkNamespace(), new NetworkNamespace()]
      stage.atEnd(async () => {
        ours.remove()
        theirs.remove()
      })
      ours.connect(theirs, ["10.77.0.1/24"], ["10.77.0.2/24"])
      const own = [process.execPath, KEYGEN]
      const machines = {
        alice: new Machine(stage, "alice", ours, own),
        bob: new Machine(
          stage,
          "bob",
          theirs,
          keygen === undefined ? own : [...environment(keygen.env), keygen.command, ...keygen.args]
        )
      }
      writeFileSync(join(machines.alice.home, "etc/ntp/leap-seconds.list"), LEAP_TABLE, { mode: 0o644 })
      expect(await follow(stage, machines, keygen === undefined)).toBe(steps.length)
      expect(steps.length).toBeGreaterThan(15)
    })()
  )
})
