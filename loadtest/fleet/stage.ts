/**
 * Where a scenario plays: nodes of a cluster behind one address, each in a network namespace with a BIRD of its own, a router with
 * a BIRD, NATS and the sources of time at the router, clients beyond it. Everything ends with it.
 */
import { type ChildProcess } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { makeCertificate } from "@meridian/testkit/certificates"
import { Fleet, SERVICE } from "@meridian/testkit/fleet"
import type { NetworkNamespace } from "@meridian/testkit/network-namespace"
import { askCluster, askStatus } from "./ask-node.ts"
import type { Target } from "./k6-run.ts"
import type { Scenario } from "./scenario.ts"

const SOURCES = Array.from({ length: 64 }, (_, index) => `10.9.0.${10 + index}`)
const KEY = { id: 7, type: "SHA256", secret: "6d6572696469616e206c6f61642074657374206b6579" }
const LOOK_MS = 20
/** A node on a busy machine. */
const PATIENCE_MS = 120_000

/** Waits until something is so; how long it took in seconds. @throws Error that says what was waited for */
export const until = async (what: string, isSo: () => boolean | Promise<boolean>): Promise<number> => {
  const from = performance.now()
  for (;;) {
    if (await isSo()) return (performance.now() - from) / 1e3
    if (performance.now() - from > PATIENCE_MS) throw new Error(`waited ${PATIENCE_MS / 1e3} s until ${what}`)
    await sleep(LOOK_MS)
  }
}

export class Stage {
  readonly fleet = new Fleet()
  readonly numbers: readonly number[]
  private readonly scenario: Scenario
  private nats: ChildProcess | undefined
  private source: ChildProcess | undefined

  constructor(scenario: Scenario) {
    this.scenario = scenario
    this.numbers = Array.from({ length: scenario.nodes ?? 3 }, (_, index) => index + 1)
  }

  /** Where packets may be dropped, by the name of who is there. */
  get networks(): ReadonlyMap<string, NetworkNamespace> {
    const { fleet, numbers } = this
    const nodes = numbers.map((number) => [`n${number}`, fleet.network(number)] as const)
    return new Map([["the clients", fleet.client], ...nodes])
  }

  get target(): Target {
    return { address: SERVICE, sources: SOURCES, authority: this.fleet.file("cert.pem"), key: KEY }
  }

  async start(): Promise<void> {
    const { fleet, numbers } = this
    makeCertificate({ key: fleet.file("key.pem"), certificate: fleet.file("cert.pem"), names: `IP:${SERVICE}` })
    writeFileSync(fleet.file("cluster-key"), `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 })
    writeFileSync(fleet.file("ntp.keys"), `${KEY.id} ${KEY.type} ${KEY.secret}\n`, { mode: 0o600 })
    for (const number of numbers) fleet.network(number)
    for (const source of SOURCES) fleet.client.ip("address", "add", `${source}/24`, "dev", this.clientDevice())
    // Each port of a client goes its own way: else one client's whole load meets one node.
    fleet.set(fleet.router, "net.ipv4.fib_multipath_hash_policy=1")
    this.startNats()
    this.source = fleet.startTimeSource(numbers.map((number) => `10.9.${number}.1`))
    fleet.startRouter(numbers.length)
    for (const number of numbers) fleet.startBird(number, true)
    const first = numbers.filter((number) => !(this.scenario.absent ?? []).includes(number))
    await Promise.all(first.map((number) => this.startNode(number)))
    await fleet.untilRouted(...first)
    await until("one node leads", async () => (await this.leader()) !== undefined)
  }

  private clientDevice(): string {
    return /: (v\d+)@/.exec(this.fleet.client.show("-o", "link", "show", "type", "veth"))?.[1] ?? "lo"
  }

  startNats(): void {
    const store = [
      "-js",
      "-sd",
      this.fleet.file("nats"),
      "-a",
      "0.0.0.0",
      "-p",
      "4222",
      "-l",
      this.fleet.file("nats.log")
    ]
    this.nats = this.fleet.start(this.fleet.router, "nats-server-2.10", store)
  }

  async stopNats(): Promise<void> {
    const { nats } = this
    if (nats === undefined) return
    const gone = once(nats, "exit")
    nats.kill("SIGKILL")
    await gone
  }

  async startNode(number: number): Promise<void> {
    const { fleet } = this
    await fleet.startNode(number, [
      `node n${number}`,
      "workers 2",
      `server 10.9.${number}.1 iburst minpoll 0 maxpoll 0`,
      `nts enable cert ${fleet.file("cert.pem")} key ${fleet.file("key.pem")}`,
      "nts ratelimit 10000 totalratelimit 10000 connections 1000 addressconnections 1000",
      `keys ${fleet.file("ntp.keys")}`,
      `trustedkey ${KEY.id}`,
      `cluster nats 10.9.${number}.1:4222 key ${fleet.file("cluster-key")}`,
      `anycast bird ${fleet.file(`bird${number}.ctl`)} protocol ntp4`,
      "anycast device meridian0",
      "drain wait 1 grace 1 onstop",
      ...(this.scenario.lines?.(number) ?? [])
    ])
  }

  /** Ends a node as an operator does, so that it leaves in good order; its state stays. */
  async stopNode(number: number): Promise<void> {
    const node = this.fleet.nodes.get(number)!
    const gone = once(node.process, "exit")
    node.process.kill("SIGTERM")
    await gone
  }

  /** Takes a node's copies of the keys away, and kills the process that holds them. */
  loseKeys(number: number): void {
    const coordinator = this.fleet.processes(number).find(({ command }) => command.includes("services/coordinator/"))
    if (coordinator === undefined) throw new Error(`n${number} has no coordinator`)
    rmSync(join(this.state(number), "shelf"), { recursive: true })
    this.fleet.killProcess(number, coordinator.pid)
  }

  /** What the source of a node says: its root dispersion, and how far off it is, seconds. */
  tellSource(number: number, dispersion: number, offset = 0): void {
    this.source?.stdin?.write(`10.9.${number}.1 ${dispersion} ${offset}\n`)
  }

  /** All sources of time fall silent, or speak again. */
  silenceSources(isSilent: boolean): void {
    this.source?.kill(isSilent ? "SIGSTOP" : "SIGCONT")
  }

  state(number: number): string {
    return this.fleet.file(`state${number}`)
  }

  status(number: number) {
    return askStatus(this.state(number))
  }

  async leads(number: number): Promise<boolean> {
    return (await askCluster(this.state(number)))?.leading ?? false
  }

  /** The number of the node that leads. */
  async leader(): Promise<number | undefined> {
    for (const number of this.numbers) if (await this.leads(number)) return number
    return undefined
  }

  /** Nodes that clients are sent to. */
  routed(): readonly number[] {
    return this.fleet.routed()
  }

  async end(): Promise<void> {
    this.source?.kill("SIGCONT")
    await this.fleet.end()
  }
}
