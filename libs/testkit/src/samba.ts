/**
 * Runs the Samba 4.17 domain controller that infra/peers/fetch-samba.sh made, or rather the one part of it that signs time for Windows
 * clients. Each has a copy of the domain and a network and file systems of its own, so that several can run side by side.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { PATIENCE_MS } from "./patience.ts"
import { peersFolder } from "./real-peers.ts"

const folder = (): string => join(peersFolder(), "samba")

/** Whether it was fetched and may be run; otherwise says on standard error which suite is skipped and why. */
export const sambaAvailable = (suite: string): boolean => {
  const isThere = existsSync(join(folder(), ".complete"))
  const isRoot = process.getuid?.() === 0
  if (!isThere || !isRoot)
    process.stderr.write(
      `${suite}: skipped, ${isRoot ? `Samba not found below ${folder()} (npx node infra/peers/fetch.ts)` : "Samba needs root"}\n`
    )
  return isThere && isRoot
}

/** Relative identifiers of the domain's accounts; `disabled`, `person` and `group` are none that have their time signed. */
export interface SambaAccounts {
  readonly testpc1: number
  readonly testpc2: number
  readonly disabled: number
  readonly person: number
  readonly group: number
}

/** Of the accounts; `testpc2` had another before. */
export const SAMBA_PASSWORDS = {
  testpc1: "Machine-Passw0rd-1",
  testpc2: "Machine-Passw0rd-2b",
  testpc2Before: "Machine-Passw0rd-2"
} as const

const CONFIGURATION = `[global]
  netbios name = DC1
  realm = X.TEST
  workgroup = X
  server role = active directory domain controller
  server services = ntp_signd
  interfaces = lo
  bind interfaces only = yes
`

export class Samba {
  readonly accounts = JSON.parse(readFileSync(join(folder(), "accounts.json"), "utf8")) as SambaAccounts
  private readonly own = mkdtempSync(join(tmpdir(), "meridian-samba-"))
  /** The directory of ntp_signd's socket. */
  readonly directory = join(this.own, "lib/ntp_signd")
  readonly socket = join(this.directory, "socket")
  private child: ChildProcess | undefined
  private said = ""

  constructor() {
    cpSync(join(folder(), "root/var/lib/samba"), join(this.own, "lib"), { recursive: true })
    mkdirSync(join(this.own, "run"))
    writeFileSync(join(this.own, "lib/signd.conf"), CONFIGURATION)
  }

  /** Starts it and waits until it listens. */
  async start(): Promise<this> {
    const root = join(folder(), "root")
    const inside = [
      `mount --bind ${this.own}/lib ${root}/var/lib/samba`,
      `mount --bind ${this.own}/run ${root}/run`,
      "ip link set lo up",
      `exec chroot ${root} /usr/sbin/samba -i -M single -s /var/lib/samba/signd.conf -d 1 --debug-stdout`
    ]
    rmSync(this.socket, { force: true })
    this.child = spawn("unshare", ["-n", "-m", "bash", "-c", inside.join(" && ")], { stdio: ["pipe", "pipe", "pipe"] })
    this.child.stdout?.on("data", (chunk: Buffer) => (this.said += chunk.toString()))
    this.child.stderr?.on("data", (chunk: Buffer) => (this.said += chunk.toString()))
    for (let waited = 0; !existsSync(this.socket) || !lstatSync(this.socket).isSocket(); waited += 20) {
      if (this.child.exitCode !== null || waited > PATIENCE_MS) throw new Error(`Samba did not start: ${this.said}`)
      await sleep(20)
    }
    return this
  }

  get pid(): number | undefined {
    return this.child?.pid
  }

  /** SIGSTOP, SIGCONT: whoever asks waits. */
  signal(name: NodeJS.Signals): void {
    this.child?.kill(name)
  }

  /** Ends it and keeps the domain, for another start. */
  async end(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const { child } = this
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, "exit")
    child.kill(signal)
    if (signal !== "SIGKILL") child.kill("SIGCONT")
    await exited
  }

  async stop(): Promise<void> {
    await this.end()
    rmSync(this.own, { recursive: true, force: true })
  }
}
