/**
 * Three nodes of a cluster behind one address and a router with real BIRDs: what has a node's route go, and what must not; and
 * that clients with and without NTS notice as little of it as they should.
 */
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { makeCertificate } from "@meridian/testkit/certificates"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { Fleet, SERVICE } from "@meridian/testkit/fleet"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peersAvailable } from "@meridian/testkit/real-peers"
import type { ChildProcess } from "node:child_process"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { AskingClient } from "./asking.ts"

const SUITE = "nodes behind one address"
const available =
  canMakeNamespaces(SUITE) &&
  peersAvailable(SUITE, ["bird", "nats-server-2.10", "chronyd-4.3", "chronyc-4.3"]) &&
  process.platform === "linux"

const NODES = [1, 2, 3] as const
/** The first has its address on the loopback, and its route by BIRD's control socket alone. */
const hasDevice = (number: number): boolean => number > 1
/** More of the same kind than a run of every test has time for. */
const isLong = process.env["MERIDIAN_LONG"] !== undefined
const patient = { timeout: 2 * PATIENCE_MS, interval: 100 }

let fleet: Fleet
let nats: ChildProcess
let source: ChildProcess
let client: AskingClient
const birds = new Map<number, ChildProcess>()

/** How long each took: what `npm run figures` has no place for. */
const took = (what: string, milliseconds: number): void => {
  if (process.env["MERIDIAN_FIGURES"] !== undefined) process.stderr.write(`${what}: ${Math.round(milliseconds)} ms\n`)
}

const startNats = (): ChildProcess => {
  const store = ["-js", "-sd", fleet.file("nats"), "-a", "0.0.0.0", "-p", "4222"]
  return fleet.start(fleet.router, "nats-server-2.10", store)
}

const linesOf = (number: number): readonly string[] => [
  `node n${number}`,
  `server 10.9.${number}.1 iburst minpoll 0 maxpoll 0`,
  `nts enable cert ${fleet.file("cert.pem")} key ${fleet.file("key.pem")}`,
  `cluster nats 10.9.${number}.1:4222 key ${fleet.file("cluster-key")}`,
  `anycast bird ${fleet.file(`bird${number}.ctl`)} protocol ntp4`,
  ...(hasDevice(number) ? ["anycast device meridian0"] : []),
  "drain wait 1 grace 1"
]
const startNode = (number: number) => fleet.startNode(number, linesOf(number))

const chronyc = (...args: readonly string[]): Promise<string> =>
  fleet.run(fleet.client, "chronyc-4.3", ["-n", "-h", fleet.file("chrony.sock"), ...args])

/** Requests that chronyd sent, answers that it took, NAKs that it got and key exchanges that it tried. */
const chronyd = async () => {
  const data = await chronyc("ntpdata")
  const [, , , , , attempts, naks] = (await chronyc("-c", "authdata")).trim().split(",")
  const number = (pattern: RegExp): number => Number(pattern.exec(data)?.[1])
  return {
    sent: number(/Total TX\s+: (\d+)/),
    good: number(/Total good RX\s+: (\d+)/) || number(/Total valid RX\s+: (\d+)/),
    attempts: Number(attempts),
    naks: Number(naks)
  }
}
const exchanges = async (): Promise<number> => {
  const all = await Promise.all([...fleet.nodes.keys()].map((number) => fleet.status(number)))
  return all.flatMap(({ ntsKe }) => ntsKe).reduce((sum, { outcomes }) => sum + (outcomes["agreed"] ?? 0), 0)
}

beforeAll(async () => {
  if (!available) return
  fleet = new Fleet()
  makeCertificate({ key: fleet.file("key.pem"), certificate: fleet.file("cert.pem"), names: `IP:${SERVICE}` })
  writeFileSync(fleet.file("cluster-key"), `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 })
  for (const number of NODES) fleet.network(number)
  nats = startNats()
  source = fleet.startTimeSource(["10.9.1.1", "10.9.2.1", "10.9.3.1"])
  fleet.startRouter(NODES.length)
  for (const number of NODES) birds.set(number, fleet.startBird(number, hasDevice(number)))
  await Promise.all(NODES.map((number) => startNode(number)))
  await fleet.untilRouted(...NODES)
  const lines = [
    `server ${SERVICE} nts iburst minpoll 0 maxpoll 0`,
    `ntstrustedcerts ${fleet.file("cert.pem")}`,
    "cmdport 0",
    `bindcmdaddress ${fleet.file("chrony.sock")}`,
    `pidfile ${fleet.file("chrony.pid")}`
  ]
  writeFileSync(fleet.file("chrony.conf"), `${lines.join("\n")}\n`)
  execFileSync("chmod", ["750", fleet.folder])
  client = new AskingClient(fleet)
  fleet.start(fleet.client, "chronyd-4.3", ["-x", "-d", "-f", fleet.file("chrony.conf")])
})
afterAll(async () => {
  if (available) await fleet.end()
})

describe.runIf(available)("nodes behind one address", () => {
  it("serves chronyd by NTS, and a plain client", async () => {
    await expect.poll(async () => (await chronyd()).good, patient).toBeGreaterThan(3)
    await client.more(50)
    expect(client.troubles(0).lost).toEqual([])
  })

  it("loses nothing in a drain, and comes back", async () => {
    const [first = 0] = fleet.routed()
    const before = { chrony: await chronyd(), exchanges: await exchanges(), at: Date.now() }
    for (const number of isLong ? NODES : [first]) {
      const rest = NODES.filter((other) => other !== number)
      await fleet.command(number, "cluster", "drain", `n${number}`)
      took(`drain of node ${number}`, await fleet.untilRouted(...rest))
      await expect.poll(async () => (await fleet.status(number)).drain?.state, patient).toBe("drained")
      await fleet.command(number, "cluster", "undrain", `n${number}`)
      took(`undrain of node ${number}`, await fleet.untilRouted(...NODES))
    }
    await client.more(50)
    expect(client.troubles(before.at)).toEqual({ repeated: [], lost: [] })
    const after = await chronyd()
    // One may be on its way.
    expect(after.sent - before.chrony.sent - (after.good - before.chrony.good)).toBeLessThanOrEqual(1)
    expect([after.naks, await exchanges()]).toEqual([before.chrony.naks, before.exchanges])
  })

  it("goes while the clock is off by more than the bound, and says why", async () => {
    source.stdin!.write("10.9.1.1 0.9\n")
    took("upstream's root dispersion beyond the bound", await fleet.untilRouted(2, 3))
    const { anycast } = await fleet.status(1)
    expect(anycast?.problems.join()).toMatch(/served time may be off by|not synchronised/)
    source.stdin!.write("10.9.1.1 0.001\n")
    await fleet.untilRouted(...NODES)
  })

  it.runIf(isLong)("goes when no worker answers, and comes with the next", async () => {
    const { workers } = await fleet.status(3)
    process.kill(workers[0]!.pid!, "SIGSTOP")
    took("worker stopped", await fleet.untilRouted(1, 2))
    await fleet.untilRouted(...NODES)
    expect((await fleet.status(3)).anycast?.announced).toBe(true)
  })

  it("stays when the announcing process is killed, and without NATS", async () => {
    const before = await fleet.status(1)
    fleet.killProcess(1, before.anycast!.pid!)
    const gone = new Promise((done) => nats.once("exit", done))
    nats.kill("SIGKILL")
    await gone
    const seen = new Set<string>()
    const unreachable = async (): Promise<boolean> => {
      seen.add(fleet.routed().join())
      return (await fleet.status(1)).coordinator?.adapter === null
    }
    await expect.poll(unreachable, patient).toBe(true)
    await expect.poll(async () => (await fleet.status(1)).anycast?.announced, patient).toBe(true)
    seen.add(fleet.routed().join())
    expect([...seen]).toEqual(["1,2,3"])
    await client.more(50)
  })

  it.runIf(isLong)("goes when a key is missing that the log names, and comes when the key does", async () => {
    // Its copies of the keys are lost, and the cluster's key store is out of reach.
    rmSync(join(fleet.file("state2"), "shelf"), { recursive: true })
    fleet.killProcess(2, coordinatorOf(2))
    took("key missing, with the coordinator's start", await fleet.untilRouted(1, 3))
    expect((await fleet.status(2)).anycast?.problems.join()).toMatch(/a key is missing|no NTS master key is active/)
    nats = startNats()
    await fleet.untilRouted(...NODES)
  })

  it.runIf(isLong)("tells a BIRD that was started anew what it told the one before", async () => {
    birds.get(3)!.kill("SIGKILL")
    took("BIRD killed", await fleet.untilRouted(1, 2))
    birds.set(3, fleet.startBird(3, hasDevice(3)))
    await fleet.untilRouted(...NODES)
    expect(fleet.routed()).toEqual(NODES)
  })

  it("is routed to again soon after an alarm of BFD, for which BIRD by itself waits a minute", async () => {
    const bird = birds.get(2)!
    bird.kill("SIGSTOP")
    took("BIRD stopped", await fleet.untilRouted(1, 3))
    bird.kill("SIGCONT")
    const back = await fleet.untilRouted(...NODES)
    took("BIRD goes on", back)
    expect(back).toBeLessThan(50_000)
  })

  it("loses no request that is asked twice, and none at all once the route is gone, when a node is killed", async () => {
    const at = Date.now()
    // BIRD lives on, and nobody tells it anything: the device is gone.
    fleet.kill(2, "/bird ")
    took("all of Meridian killed", await fleet.untilRouted(1, 3))
    const moved = Date.now()
    await client.more(100)
    expect(client.troubles(at).lost).toEqual([])
    expect(client.troubles(moved).repeated).toEqual([])

    // The announcing process outlives it, and withdraws.
    fleet.nodes.get(1)!.process.kill("SIGKILL")
    took("supervisor killed", await fleet.untilRouted(3))
    const { good } = await chronyd()
    await expect.poll(async () => (await chronyd()).good, patient).toBeGreaterThan(good + 1)
    expect((await chronyd()).naks).toBe(0)

    // The whole machine, its BIRD as well.
    fleet.kill(3)
    took("machine killed", await fleet.untilRouted())
  })
})

/** The process id of a node's coordinator, by what it was started with. */
const coordinatorOf = (number: number): number => {
  const found = fleet.processes(number).find(({ command }) => command.includes("services/coordinator/"))
  if (found === undefined) throw new Error(`node ${number} has no coordinator`)
  return found.pid
}
