/** Real time servers that have their replies to Windows clients signed over a socket: classic ntpd, NTPsec's ntpd, chronyd. */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, type PeerName } from "@meridian/testkit/real-peers"
import type { WindowsAnswer, WindowsQuestion } from "@meridian/testkit/windows-client"

/** How long an answer from loopback may take before there is none. */
const ANSWER_MS = 3_000

const configurations: Partial<Record<PeerName, (socket: string) => readonly string[]>> = {
  "classic-ntpd": (socket) => [
    "server 127.127.1.0 prefer minpoll 3 maxpoll 3",
    "fudge 127.127.1.0 stratum 5",
    "tos orphanwait 0",
    "restrict default mssntp",
    `ntpsigndsocket ${dirname(socket)}`
  ],
  "ntpsec-ntpd-1.2.3": (socket) => [
    "refclock local stratum 5 prefer minpoll 3 maxpoll 3",
    "tos minsane 1 orphan 6 orphanwait 1",
    "restrict default mssntp",
    `ntpsigndsocket ${dirname(socket)}`
  ],
  "chronyd-4.3": (socket) => ["local stratum 5", "allow all", `ntpsigndsocket ${dirname(socket)}`],
  "chronyd-newest": (socket) => ["local stratum 5", "allow all", `ntpsigndsocket ${dirname(socket)}`]
}

export class RealTimeServer {
  private readonly network = new NetworkNamespace()
  private readonly folder = mkdtempSync(join(tmpdir(), "meridian-timeserver-"))
  private readonly child: ChildProcess
  private said = ""

  constructor(name: PeerName, socket: string) {
    const file = join(this.folder, "conf")
    const { command, args, env } = peer(name)!
    const own = configurations[name]!(socket)
    const isChrony = name.startsWith("chronyd")
    const lines = isChrony ? [...own, "cmdport 0", "bindcmdaddress /", `pidfile ${this.folder}/pid`] : own
    writeFileSync(file, `${lines.join("\n")}\n`)
    const ours = isChrony ? ["-x", "-d", "-f", file] : ["-n", "-g", "-c", file, "-l", join(this.folder, "log")]
    const [program = "", ...rest] = [...this.network.within, command, ...args, ...ours]
    this.child = spawn(program, rest, { env, stdio: ["ignore", "pipe", "pipe"] })
    this.child.stdout?.on("data", (chunk: Buffer) => (this.said += chunk.toString()))
    this.child.stderr?.on("data", (chunk: Buffer) => (this.said += chunk.toString()))
  }

  /** The answers to questions, one after the other. */
  ask(...questions: readonly WindowsQuestion[]): Promise<readonly (WindowsAnswer & { readonly mode: number })[]> {
    const script = join(import.meta.dirname, "ask-as-windows.ts")
    const args = [script, "127.0.0.1", "123", String(ANSWER_MS), ...questions.map((one) => JSON.stringify(one))]
    const [program = "", ...rest] = [...this.network.within, process.execPath, ...args]
    return new Promise((done, failed) => {
      execFile(program, rest, { timeout: 2 * PATIENCE_MS }, (error, stdout, stderr) => {
        if (error !== null) return failed(new Error(`${error.message}\n${stderr}\n${this.said}`))
        const lines = stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as { verdict: WindowsAnswer["verdict"]; hex: string })
        done(
          lines.map(({ verdict, hex }) => {
            const bytes = new Uint8Array(Buffer.from(hex, "hex"))
            return { verdict, bytes, mode: (bytes[0] ?? 0) & 7 }
          })
        )
      })
    })
  }

  /** Waits until it signs for an account. */
  async signs(question: WindowsQuestion): Promise<void> {
    for (let waited = 0; waited < PATIENCE_MS; waited += 200) {
      const [answer] = await this.ask(question)
      if (answer?.verdict === "signed") return
      await sleep(200)
    }
    throw new Error(`it never signed: ${this.said}`)
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGKILL")
      await once(this.child, "exit")
    }
    this.network.remove()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
