/**
 * Three nodes behind a router, each in a network namespace of its own with a BIRD of its own by infra/anycast/bird.conf; a client
 * beyond the router; NATS and the sources of time at the router's own addresses.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { NodeStatus } from "@meridian/ipc"
import { NetworkNamespace } from "./network-namespace.ts"
import { PATIENCE_MS } from "./patience.ts"
import { peer, type PeerName } from "./real-peers.ts"
import { meridian, type RunningNode, startNode } from "./running-node.ts"

const infra = resolve(import.meta.dirname, "../../../infra/anycast")
export const SERVICE = "192.0.2.1"

const commandLine = (pid: string): string => readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ")

/** Undefined where the process has ended by now. */
const unlessGone = <A>(look: () => A): A | undefined => {
  try {
    return look()
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined
    throw error
  }
}

export class Fleet {
  readonly folder = mkdtempSync(join(tmpdir(), "meridian-fleet-"))
  readonly router = new NetworkNamespace()
  readonly client = new NetworkNamespace()
  readonly nodes = new Map<number, RunningNode>()
  private readonly namespaces = new Map<number, NetworkNamespace>()
  private readonly running: { readonly child: ChildProcess; readonly ended: Promise<unknown> }[] = []

  constructor() {
    this.router.route()
    this.client.connect(this.router, ["10.9.0.2/24"], ["10.9.0.1/24"])
    this.client.ip("route", "add", "default", "via", "10.9.0.1")
  }

  file(name: string): string {
    return join(this.folder, name)
  }

  /** A setting of the kernel's for one network: `net.NAME=VALUE`. */
  set(network: NetworkNamespace, setting: string): void {
    const [program = "", ...before] = network.within
    execFileSync(program, [...before, "sysctl", "-qw", setting], { stdio: "ignore" })
  }

  /** The network of a node, connected to the router: 10.9.N.2 there, 10.9.N.1 here. */
  network(number: number): NetworkNamespace {
    const known = this.namespaces.get(number)
    if (known !== undefined) return known
    const made = new NetworkNamespace()
    this.namespaces.set(number, made)
    made.connect(this.router, [`10.9.${number}.2/24`], [`10.9.${number}.1/24`])
    made.ip("route", "add", "default", "via", `10.9.${number}.1`)
    return made
  }

  /** Starts a program in a network, with the end of the test as its own. */
  start(network: NetworkNamespace, program: PeerName | readonly string[], args: readonly string[] = []): ChildProcess {
    const found = typeof program === "string" ? peer(program)! : undefined
    const words = found === undefined ? (program as readonly string[]) : [found.command, ...found.args]
    const [command = "", ...rest] = [...network.within, ...words, ...args]
    const child = spawn(command, rest, { env: found?.env ?? process.env, stdio: ["pipe", "pipe", "inherit"] })
    this.running.push({ child, ended: once(child, "exit") })
    child.stdout.resume()
    return child
  }

  /** What a program says that ends by itself. */
  run(network: NetworkNamespace, program: PeerName, args: readonly string[]): Promise<string> {
    const { command, args: before, env } = peer(program)!
    const [first = "", ...rest] = [...network.within, command, ...before, ...args]
    return new Promise((done) => {
      execFile(first, rest, { env, timeout: PATIENCE_MS }, (_error, stdout, stderr) => done(stdout + stderr))
    })
  }

  /** A packaged configuration with the addresses of a node of this fleet. */
  example(name: string, number: number): string {
    return readFileSync(join(infra, name), "utf8")
      .replaceAll("198.51.100.11", `10.9.${number}.2`)
      .replaceAll("198.51.100.1", `10.9.${number}.1`)
  }

  /** BIRD at the router, by the packaged example; the nodes' addresses are this fleet's. */
  startRouter(count: number): void {
    const example = readFileSync(join(infra, "bird-router.conf"), "utf8")
    const neighbours = Array.from({ length: count }, (_, at) => at + 1).map(
      (number) =>
        `protocol bgp n${number} from node { neighbor 10.9.${number}.2 as 65001; local 10.9.${number}.1 as 65000; }\n`
    )
    const own = example.replaceAll(/^protocol bgp node.*\n/gm, "").replace("198.51.100.1;", "10.9.0.1;")
    writeFileSync(this.file("router.conf"), own + neighbours.join(""))
    this.start(this.router, "bird", ["-f", "-c", this.file("router.conf"), "-s", this.file("router.ctl")])
  }

  /** BIRD of a node, by the packaged example; without a device the route hangs on what it is told alone. */
  startBird(number: number, hasDevice: boolean): ChildProcess {
    const example = this.example("bird.conf", number)
    const own = hasDevice ? example : example.replaceAll(/via "meridian0"/g, "blackhole")
    writeFileSync(this.file(`bird${number}.conf`), own)
    return this.start(this.network(number), "bird", [
      "-f",
      "-c",
      this.file(`bird${number}.conf`),
      "-s",
      this.file(`bird${number}.ctl`)
    ])
  }

  /** A server of time at the router's addresses; what it is told on its standard input is in time-source.ts. */
  startTimeSource(addresses: readonly string[]): ChildProcess {
    return this.start(this.router, [process.execPath, join(import.meta.dirname, "time-source.ts")], addresses)
  }

  /** A node that announces the service address, with these lines besides. */
  async startNode(number: number, lines: readonly string[], args: readonly string[] = []): Promise<RunningNode> {
    const configuration = this.file(`node${number}.conf`)
    const all = [`anycast address ${SERVICE} rise 1`, "workers 1", "control http off", ...lines]
    writeFileSync(configuration, `${all.join("\n")}\n`)
    const node = await startNode({
      args: ["--config", configuration, ...args],
      within: this.network(number).within,
      port: 123,
      state: this.file(`state${number}`)
    })
    this.nodes.set(number, node)
    return node
  }

  async status(number: number): Promise<NodeStatus> {
    return (await this.nodes.get(number)!.status()) as unknown as NodeStatus
  }

  /** `meridian …` for a node. */
  async command(number: number, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await meridian([...args, "--state", this.file(`state${number}`)])
    if (code !== 0) throw new Error(`meridian ${args.join(" ")}: ${stderr}`)
    return stdout
  }

  /** Numbers of the nodes that the router sends clients to. */
  routed(): readonly number[] {
    const text = this.router.show("route", "show", SERVICE)
    return [...text.matchAll(/via 10\.9\.(\d+)\.2/g)].map(([, number]) => Number(number)).toSorted((a, b) => a - b)
  }

  /** Waits until the router has a route to these nodes and no other; returns the milliseconds that took. */
  async untilRouted(...numbers: readonly number[]): Promise<number> {
    const from = performance.now()
    const wanted = numbers.join()
    for (;;) {
      const found = this.routed().join()
      const took = performance.now() - from
      if (found === wanted) return took
      if (took > 2 * PATIENCE_MS) throw new Error(`expected routes to ${wanted}, found ${found}`)
      await sleep(10)
    }
  }

  /** What runs in the network of a node, by process id. A process that ends meanwhile has no command line, or is not there. */
  processes(number: number): readonly { readonly pid: number; readonly command: string }[] {
    const pids = execFileSync("ip", ["netns", "pids", this.network(number).name], { encoding: "utf8" })
    return pids
      .split("\n")
      .filter(Boolean)
      .flatMap((pid) => unlessGone(() => [{ pid: Number(pid), command: commandLine(pid) }]) ?? [])
  }

  /** Ends whatever runs in the network of a node, but what is named: as when the machine is switched off. */
  kill(number: number, ...spared: readonly string[]): void {
    for (const { pid, command } of this.processes(number))
      if (!spared.some((word) => command.includes(word))) this.killProcess(number, pid)
  }

  /**
   * Ends a process of a node's network, where it still is one: the children of a supervisor that is killed end by themselves, and the
   * number of one that has ended may be a stranger's by now. What runs in there was started by this fleet.
   */
  killProcess(number: number, pid: number): void {
    unlessGone(() => this.network(number).holds(pid) && process.kill(pid, "SIGKILL"))
  }

  async end(): Promise<void> {
    for (const node of this.nodes.values()) await node.stop()
    // Where the end came amid a start there is more than is known.
    for (const number of this.namespaces.keys()) this.kill(number)
    for (const { child, ended } of this.running.toReversed()) {
      child.kill("SIGKILL")
      await ended
    }
    for (const network of [...this.namespaces.values(), this.client, this.router]) network.remove()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
