/** Two networks and a cable, a node that answers by XDP at one end, clients at the other. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { text } from "node:stream/consumers"
import type { Question } from "./asking-process.ts"
import type { LoadResult } from "./ntp-load.ts"
import { canMakeNamespaces, NetworkNamespace } from "./network-namespace.ts"
import { type NodeOptions, type RunningNode, startNode } from "./running-node.ts"

const askingProcess = resolve(import.meta.dirname, "asking-process.ts")
const passProgram = resolve(import.meta.dirname, "../../xdp/test/pass-program.ts")

export const SERVER_ADDRESSES = ["192.0.2.1", "2001:db8::1"] as const
export const CLIENT_ADDRESSES = ["192.0.2.2", "2001:db8::2"] as const
const withLength = (address: string): string => `${address}/${address.includes(":") ? 64 : 24}`

/** Holds a program that passes everything; it is gone when its input ends. */
const holdPassProgram = async (within: readonly string[], device: string): Promise<ChildProcess | undefined> => {
  const [command, ...args] = [...within, process.execPath, passProgram, device]
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"] })
  const [first] = (await Promise.race([once(child.stdout, "data"), once(child, "exit")])) as [unknown]
  return Buffer.isBuffer(first) ? child : undefined
}

const end = async (child: ChildProcess): Promise<void> => {
  const exited = once(child, "exit")
  child.stdin?.end()
  await exited
}

/** Whether programs can be attached here; otherwise says on standard error which suite is skipped and why. */
export const canUseXdp = async (suite: string): Promise<boolean> => {
  if (!canMakeNamespaces(suite)) return false
  const network = new NetworkNamespace()
  const child = await holdPassProgram(network.within, "lo")
  if (child !== undefined) await end(child)
  network.remove()
  if (child === undefined) process.stderr.write(`${suite}: skipped, no BPF program can be attached here (CAP_BPF)\n`)
  return child !== undefined
}

/** A load from the clients' network; `finish` ends it and counts. */
interface DistantLoad {
  readonly finish: () => Promise<LoadResult>
}

export class XdpStage {
  readonly server = new NetworkNamespace()
  readonly client = new NetworkNamespace()
  readonly serverDevice: string
  readonly clientDevice: string
  private holder: ChildProcess | undefined
  private readonly nodes: RunningNode[] = []

  constructor() {
    const { here, there } = this.server.connect(
      this.client,
      SERVER_ADDRESSES.map(withLength),
      CLIENT_ADDRESSES.map(withLength)
    )
    this.serverDevice = here
    this.clientDevice = there
  }

  /** Runs a command of words without blanks in one of the networks. */
  run(where: "server" | "client", command: string): void {
    execFileSync("ip", ["netns", "exec", this[where].name, ...command.split(" ")], { stdio: "ignore" })
  }

  /** Runs `ip` with these words there. */
  configure(where: "server" | "client", words: string): void {
    this.run(where, `ip ${words}`)
  }

  /** A veth delivers what XDP sends back only to a peer that has a program itself. */
  async open(): Promise<void> {
    this.holder = await holdPassProgram(this.client.within, this.clientDevice)
    if (this.holder === undefined) throw new Error("no BPF program can be attached to the clients' end")
  }

  /** Starts a node on port 123 with these lines of configuration, and `xdp`. @param mode native, generic, or none */
  async start(
    lines: readonly string[] = [],
    { mode, ...options }: NodeOptions & { readonly mode?: "native" | "generic" | "off" } = {}
  ): Promise<RunningNode> {
    const state = options.state ?? mkdtempSync(join(tmpdir(), "meridian-xdp-"))
    const file = join(state, "ntp.conf")
    const xdp = mode === "off" ? [] : [`xdp ${this.serverDevice}${mode === undefined ? "" : ` ${mode}`}`]
    writeFileSync(file, `${[...xdp, "workers 1", ...lines].join("\n")}\n`)
    const args = ["--config", file, ...(options.args ?? [])]
    const node = await startNode({ port: 123, ...options, state, args, within: this.server.within })
    this.nodes.push(node)
    return node
  }

  /** Puts questions from the clients' network; the octets of each answer, undefined where none came. */
  async ask(questions: readonly Omit<Question, "port">[]): Promise<readonly (Uint8Array | undefined)[]> {
    const child = this.inClient([])
    child.stdin.end(JSON.stringify(questions.map((question) => ({ ...question, port: 123 }))))
    const answers = JSON.parse(await text(child.stdout)) as readonly (string | null)[]
    return answers.map((hex) => (hex === null ? undefined : Uint8Array.from(Buffer.from(hex, "hex"))))
  }

  /** Puts a load on an address from the clients' network. @param rate requests a second */
  async load(address: string, rate: number): Promise<DistantLoad> {
    const child = this.inClient(["load", address, String(rate)])
    let said = ""
    child.stdout.on("data", (chunk: Buffer) => void (said += chunk.toString()))
    await once(child.stdout, "data")
    return {
      finish: async () => {
        const ended = once(child, "close")
        child.stdin.end()
        await ended
        return JSON.parse(said.slice(said.indexOf("\n") + 1)) as LoadResult
      }
    }
  }

  private inClient(args: readonly string[]) {
    const [command = "", ...rest] = [...this.client.within, process.execPath, askingProcess, ...args]
    return spawn(command, rest, { stdio: ["pipe", "pipe", "inherit"] })
  }

  async close(): Promise<void> {
    for (const node of this.nodes) await node.stop()
    if (this.holder !== undefined) await end(this.holder)
    this.server.remove()
    this.client.remove()
  }
}
