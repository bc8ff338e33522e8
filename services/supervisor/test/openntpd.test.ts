/**
 * OpenNTPD 6.2p3, which asks a server again after some 50 minutes when one reply says that it has no time, and after 5 minutes when
 * one does not come: a hundred of its associations with a node that becomes a new version, and with one that is started again.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import type { NodeStatus } from "@meridian/ipc"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { openntpdCommand } from "@meridian/testkit/openntpd"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"

const SUITE = "OpenNTPD"
/** Each asks every 5 to 10 s at first, at the same moment of a second as all of its daemon: so there are four, each at another. */
const DAEMONS = 4
const PER_DAEMON = 25
const ALL = DAEMONS * PER_DAEMON
const addressesOf = (daemon: number): readonly string[] =>
  Array.from({ length: PER_DAEMON }, (_, index) => `127.0.${daemon + 1}.${index + 1}`)
const UPSTREAM_PORT = 11_123

let folder: string
let network: NetworkNamespace
const children: ChildProcess[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-openntpd-"))
  network = new NetworkNamespace()
})
afterEach(async () => {
  for (const child of children.splice(0).reverse())
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM")
      await once(child, "exit")
    }
  network.remove()
  rmSync(folder, { recursive: true, force: true })
})

/** A program in the network of the test; what it said. */
const start = (command: string, args: readonly string[], env: NodeJS.ProcessEnv): (() => string) => {
  const [program = "", ...before] = network.within
  const child = spawn(program, [...before, command, ...args], { env, stdio: ["ignore", "pipe", "pipe"] })
  children.push(child)
  let said = ""
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()))
  return () => said
}

const startOpenntpd = (daemon: number): (() => string) => {
  const { command, args, env } = openntpdCommand(join(folder, `openntpd-${daemon}`), addressesOf(daemon))
  return start(command, args, env)
}

/** How the associations fare. */
class Associations {
  private readonly said: readonly (() => string)[]
  /** How much of it had been said when they were last looked at. */
  private readonly from: number[]

  constructor(said: readonly (() => string)[]) {
    this.said = said
    this.from = said.map(() => 0)
  }

  /** Whom a line names, of all that was said or of what came since they were last looked at. */
  private named(line: RegExp, isNew = false): ReadonlySet<string> {
    const text = this.said.map((said, index) => said().slice(isNew ? this.from[index] : 0)).join("\n")
    return new Set(Array.from(text.matchAll(line), ([, address]) => address!))
  }

  get toldOfNoTime(): readonly string[] {
    return [...this.named(/reply from (\S+): not synced/g)]
  }

  /** Whom a reply told that it left before the request came, or later than it arrived: they ask again in 50 minutes. */
  get toldOfLessThanNoDelay(): readonly string[] {
    return [...this.named(/reply from (\S+): negative delay/g)]
  }

  /** Nobody had the port, or nothing came back in time: they ask again in 5 minutes. */
  get silent(): ReadonlySet<string> {
    return this.named(/(?:recvmsg|no reply from) ([\d.]+)(?:: Connection refused| received)/g)
  }

  /** So many have asked since they were last looked at, and know how it went; the silent ones of before do not ask. */
  async ask(count: number): Promise<void> {
    const haveAsked =
      /(?:reply from|recvmsg) ([\d.]+)(?:: offset|: not synced|: negative|: Connection refused| received)/g
    await vi.waitUntil(() => this.named(haveAsked, true).size >= count, { timeout: PATIENCE_MS, interval: 20 })
    for (const [index, said] of this.said.entries()) this.from[index] = said().length
  }
}

/** How many datagrams came to this network for a port that nobody had. */
const unmet = (): number => {
  const [program = "", ...before] = network.within
  const text = execFileSync(program, [...before, "cat", "/proc/net/snmp"], { encoding: "utf8" })
  const [names, values] = text.split("\n").flatMap((line) => (line.startsWith("Udp: ") ? [line.split(" ")] : []))
  return Number(values![names!.indexOf("NoPorts")])
}

const available = canMakeNamespaces(SUITE) && peersAvailable(SUITE, ["openntpd", "chronyd-4.3"])

describe.runIf(available)("associations of OpenNTPD", () => {
  it(
    "are answered with time through an upgrade and a restart, and miss what found no process there alone",
    async () => {
      const chronyd = peer("chronyd-4.3")!
      writeFileSync(
        join(folder, "chrony.conf"),
        `port ${UPSTREAM_PORT}\ncmdport 0\nbindcmdaddress /\npidfile ${folder}/pid\nlocal stratum 1\nallow\n`
      )
      start(chronyd.command, [...chronyd.args, "-x", "-d", "-f", join(folder, "chrony.conf")], chronyd.env)
      const file = join(folder, "ntp.conf")
      writeFileSync(file, `server 127.0.0.1:${UPSTREAM_PORT} iburst minpoll 0 maxpoll 0\n`)
      const state = join(folder, "state")
      const startNow = async (): Promise<RunningNode> => {
        const args = ["--config", file, "--workers", "2"]
        const started = await startNode({ args, state, port: 123, within: network.within })
        children.push(started.process)
        return started
      }
      const node = await startNow()
      const statusNow = async (): Promise<NodeStatus> => (await node.status()) as unknown as NodeStatus
      await vi.waitUntil(async () => (await statusNow()).clock.synchronised, { timeout: PATIENCE_MS })
      const daemons: (() => string)[] = []
      for (let daemon = 0; daemon < DAEMONS; daemon += 1) {
        daemons.push(startOpenntpd(daemon))
        await setTimeout(1_000 / DAEMONS)
      }
      const associations = new Associations(daemons)
      await associations.ask(ALL)

      // They ask in waves: each time this is the middle of one.
      await associations.ask(ALL / 2)
      const before = await statusNow()
      node.process.kill("SIGUSR2")
      await vi.waitUntil(async () => (await statusNow().catch(() => before)).uptime < before.uptime, {
        timeout: PATIENCE_MS
      })
      await associations.ask(ALL / 2)
      expect(associations.toldOfNoTime).toEqual([])
      expect(associations.toldOfLessThanNoDelay).toEqual([])
      expect(associations.silent.size).toBe(0)

      await associations.ask(ALL / 2)
      node.process.kill("SIGTERM")
      await once(node.process, "exit")
      await startNow()
      await associations.ask(ALL)
      expect(associations.toldOfNoTime).toEqual([])
      expect(associations.toldOfLessThanNoDelay).toEqual([])
      // Whoever heard nothing had asked while no process had the port.
      expect(associations.silent.size).toBe(unmet())
    },
    5 * PATIENCE_MS
  )
})
