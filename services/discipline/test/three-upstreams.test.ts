/**
 * A whole node as a user starts it, with a configuration file that names three real servers: chronyd with NTS, NTPsec's
 * ntpd with an AES key, and another node; and a fourth that lies. What it serves, shows and remembers when one is killed.
 */
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { resolve } from "node:path"
import { makeCertificate } from "@meridian/testkit/certificates"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { until } from "./answers.ts"
import type { SourceReport, TrackingReport } from "@meridian/ipc/discipline-report"
import { clientRequest } from "@meridian/protocol/sntp-client"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { ntpdigOnPort, peer, type PeerCommand, peersAvailable } from "@meridian/testkit/real-peers"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { ntpTimestamp } from "@meridian/time/timestamp"
import { decodeHeader, type NtpHeader } from "@meridian/wire/ntp"
import { startChronyd, startNtpsec } from "./real-upstreams.ts"
import { makeFolder } from "./running-discipline.ts"

const suite = "three upstreams"
const available = peersAvailable(suite, ["chronyd-4.3", "ntpsec-ntpd", "ntpsec-ntpdig"]) && canMakeNamespaces(suite)

const CHRONYD = "192.0.2.1"
const NTPSEC = "192.0.2.2"
const SECOND_NODE = "192.0.2.3"
const LIAR = "192.0.2.4"
const NODE = "192.0.2.10"
const PORT = 11123
const here: PeerCommand = { command: process.execPath, args: [], env: process.env, program: process.execPath }

interface Explained {
  readonly clocks: readonly {
    readonly peer: string | null
    readonly event: string | null
    readonly reason: string | null
  }[]
}

describe.runIf(available)("a node with chronyd, NTPsec and another node as its sources", () => {
  const folder = makeFolder()
  const ending: (() => unknown)[] = [folder.remove]
  const servers = new Map<string, () => Promise<unknown>>()
  let network: NetworkNamespace
  let node: RunningNode

  const run = (command: PeerCommand, args: readonly string[]): Promise<string> =>
    new Promise((done) => {
      const [program = "", ...whole] = [...network.within, command.command, ...command.args, ...args]
      execFile(program, whole, { env: command.env, timeout: PATIENCE_MS }, (_error, stdout, stderr) =>
        done(stdout + stderr)
      )
    })
  const asked = async <A>(...args: readonly string[]): Promise<A> => {
    const { stdout, stderr } = await meridian([...args, "--state", node.state, "--json"])
    expect(stderr).toBe("")
    return JSON.parse(stdout) as A
  }
  const sources = () => asked<readonly SourceReport[]>("sources")
  const tracking = () => asked<TrackingReport>("tracking")
  const explained = async (at: string) => (await asked<Explained>("explain", "--at", at)).clocks[0]!
  const now = (): string => new Date().toISOString()
  /** The reply's 48 bytes as they came over the wire. */
  const rawReply = async (): Promise<NtpHeader> => {
    const request = Buffer.from(clientRequest(4, ntpTimestamp(7, 11))).toString("hex")
    const script = `const s = require("node:dgram").createSocket("udp4")
      s.on("message", (it) => { process.stdout.write(it.toString("hex")); s.close() })
      s.send(Buffer.from("${request}", "hex"), ${PORT}, "${NODE}")`
    const header = decodeHeader(Buffer.from(await run(here, ["-e", script]), "hex"))
    if ("_tag" in header) throw new Error("no header came")
    return header
  }
  /** An answer, and what the node told when it gave it. Sources that are as good as each other may take turns meanwhile. */
  const whileFollowing = async <A>(ask: () => Promise<A>) => {
    const followedNow = async () => (await sources()).find(({ verdict }) => verdict === "system-peer")
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const followed = await followedNow()
      const answer = await ask()
      const told = await tracking()
      const after = await followedNow()
      if (followed !== undefined && [told.systemPeer, after?.address].every((it) => it === followed.address))
        return { answer, followed, told }
    }
    throw new Error("its system peer is another each time")
  }
  /** Seconds that chronyd finds this machine's clock to be wrong by, if a server were right. */
  const chronydFinds = async (line: string): Promise<number> => {
    const output = await run(peer("chronyd-4.3")!, ["-Q", "-x", "-t", "30", line])
    return Number(/wrong by (-?[0-9.]+) seconds/.exec(output)?.[1])
  }

  beforeAll(async () => {
    network = new NetworkNamespace([CHRONYD, NTPSEC, SECOND_NODE, LIAR, NODE])
    const { name, within } = network
    ending.unshift(() => network.remove())
    const [key, certificate, keys] = ["key.pem", "certificate.pem", "ntp.keys"].map(folder.file) as [
      string,
      string,
      string
    ]
    makeCertificate({ key, certificate, names: `IP:${CHRONYD}` })
    writeFileSync(keys, "5 AES 0102030405060708090a0b0c0d0e0f10\n", { mode: 0o600 })
    const nts = [`ntsserverkey ${key}`, `ntsservercert ${certificate}`, "ntsport 4460", `ntsdumpdir ${folder.path}`]
    const chronyd = await startChronyd(folder, CHRONYD, nts, 2, { namespace: name, port: PORT })
    servers.set(CHRONYD, chronyd.stop)
    ending.unshift(chronyd.stop)
    const ntpsec = await startNtpsec(folder, name, [`keys ${keys}`, "trustedkey 5"])
    servers.set(NTPSEC, ntpsec.stop)
    ending.unshift(ntpsec.stop)
    const second = await startNode({
      args: ["--listen", SECOND_NODE, "--stratum", "3", "--workers", "1"],
      within,
      port: PORT
    })
    servers.set(SECOND_NODE, () => second.stop("SIGKILL"))
    ending.unshift(() => second.stop())
    const lies = [resolve(import.meta.dirname, "lying-server.ts"), LIAR, String(PORT), "5"]
    const [program = "", ...rest] = [...within, process.execPath, ...lies]
    const lying = spawn(program, rest, { stdio: ["ignore", "pipe", "inherit"] })
    ending.unshift(async () => {
      lying.kill("SIGKILL")
      await once(lying, "exit")
    })
    await once(lying.stdout, "data")
    const configuration = folder.file("ntp.conf")
    const lines = [
      `listen ${NODE}`,
      `keys ${keys}`,
      "trustedkey 5",
      `nts ca ${certificate}`,
      // A server that has just begun claims little.
      "tos maxdist 16",
      `server ${CHRONYD} nts iburst minpoll 0 maxpoll 0`,
      `server ${NTPSEC} key 5 iburst minpoll 0 maxpoll 0`,
      `server ${SECOND_NODE}:${PORT} iburst minpoll 0 maxpoll 0`,
      `server ${LIAR}:${PORT} iburst minpoll 0 maxpoll 0`
    ]
    writeFileSync(configuration, `${lines.join("\n")}\n`)
    node = await startNode({ args: ["--config", configuration, "--workers", "1"], within, port: PORT })
    ending.unshift(() => node.stop())
  })
  afterAll(async () => {
    for (const end of ending) await end()
  })

  it("says on its first screen whom it asks and how to ask it", () => {
    expect(node.stdout()).toContain(
      `asking ${CHRONYD}, ${NTPSEC}, ${SECOND_NODE}:${PORT}, ${LIAR}:${PORT}; answers nobody until it has time`
    )
    expect(node.stdout()).toContain(`&& npx meridian query ${NODE}:${PORT}`)
    expect(node.stdout()).toContain(`'server ${NODE} port ${PORT} iburst'`)
  })

  it("shows one system peer, two more that are true, and the liar as what it is", async () => {
    // A first volley that a busy machine disturbed puts served time off by milliseconds, which are then slewed away.
    const all = await until(sources, (it) =>
      [CHRONYD, NTPSEC, SECOND_NODE].every((address) => {
        const source = it.find((one) => one.address === address)
        return ["system-peer", "candidate"].includes(source?.verdict ?? "") && Math.abs(source?.offset ?? 1) < 1e-3
      })
    )
    expect(all.filter(({ verdict }) => verdict === "system-peer")).toHaveLength(1)
    expect(all.map(({ authentication }) => authentication)).toEqual([
      { kind: "nts", cookies: expect.any(Number) as number },
      { kind: "symmetric", key: 5 },
      { kind: "none" },
      { kind: "none" }
    ])
    const liar = all.find(({ address }) => address === LIAR)
    expect(liar).toMatchObject({ verdict: "falseticker", reach: expect.stringMatching(/[1-7]/) as string })
    expect(liar?.offset).toBeCloseTo(5, 1)
    const { stdout } = await meridian(["sources", "--state", node.state])
    expect(stdout).toMatch(/^\^x {2}192\.0\.2\.4:\d+ .* \+5\.00s .*\n +falseticker: 5\.0/m)
    expect(stdout.match(/^\^\*/gm)).toHaveLength(1)
    expect((await tracking()).waitingFor).toEqual([])
  })

  it("serves what it follows: stratum, reference id, root delay and dispersion", async () => {
    const { answer: reply, followed, told } = await whileFollowing(rawReply)
    expect(told).toMatchObject({ state: "synchronised", systemPeer: followed.address, stratum: followed.stratum + 1 })
    expect(reply).toMatchObject({ leap: 0, version: 4, mode: 4, stratum: followed.stratum + 1 })
    expect(reply.origin).toBe(ntpTimestamp(7, 11))
    const [a, b, c, d] = followed.address.split(".").map(Number) as [number, number, number, number]
    expect(reply.referenceId).toBe(((a << 24) | (b << 16) | (c << 8) | d) >>> 0)
    // NTP short: 1/65536 s. Both move between two questions, neither by much.
    const claimed = { delay: reply.rootDelay / 65_536, dispersion: reply.rootDispersion / 65_536 }
    expect(claimed.delay).toBeGreaterThan(0)
    const apart = async (): Promise<number> => {
      const { answer, told: shown } = await whileFollowing(rawReply)
      return Math.abs(answer.rootDelay / 65_536 - shown.rootDelay)
    }
    await expect.poll(apart, { timeout: PATIENCE_MS }).toBeLessThan(5e-3)
    expect(claimed.dispersion).toBeGreaterThan(0)
    expect(claimed.dispersion).toBeLessThan(0.1)
    const ntpdig = await whileFollowing(() => run(ntpdigOnPort(PORT)!, ["-j", NODE]))
    const digged = JSON.parse(ntpdig.answer) as { offset: number; stratum: number }
    expect(digged.stratum).toBe(ntpdig.followed.stratum + 1)
  })

  it("agrees with its upstream within a millisecond, as chronyd measures both", async () => {
    let difference = Infinity
    // A volley that another test's load disturbed says little: one must be good.
    for (const end = performance.now() + PATIENCE_MS; !(difference < 1e-3) && performance.now() < end;) {
      const own = await chronydFinds(`server ${NODE} port ${PORT} iburst`)
      const theirs = await chronydFinds(`server ${CHRONYD} port ${PORT} iburst`)
      difference = Math.abs(own - theirs)
    }
    expect(difference).toBeLessThan(1e-3)
  })

  it("follows another when its system peer's server is killed, says why, and explains both moments", async () => {
    const before = (await tracking()).systemPeer!
    const early = await until(
      () => explained(now()),
      ({ peer: chosen }) => chosen === before
    )
    const beforeKill = now()
    await servers.get(before)!()
    const after = await until(tracking, ({ systemPeer }) => systemPeer !== null && systemPeer !== before)
    const successor = after.systemPeer!
    expect([CHRONYD, NTPSEC, SECOND_NODE]).toContain(successor)
    const all = await until(sources, (it) => it.find(({ address }) => address === before)?.verdict === "unreachable")
    expect(all.find(({ address }) => address === before)).toMatchObject({ verdict: "unreachable", reach: "000" })
    expect(all.find(({ address }) => address === LIAR)).toMatchObject({ verdict: "falseticker" })
    const served = await whileFollowing(rawReply)
    expect(served.answer).toMatchObject({ leap: 0, stratum: served.followed.stratum + 1 })

    const late = await until(
      () => explained(now()),
      ({ peer: chosen }) => chosen === successor
    )
    expect(late.reason).toContain(`${before}, followed before: unreachable, no answer to the last eight polls`)
    const past = await explained(beforeKill)
    expect(past).toMatchObject({ peer: before, event: early.event })
    expect(past.event).not.toBe(late.event)
    const { stdout } = await meridian(["log", "--state", node.state, "--json"])
    const event = (id: string | null) => stdout.split("\n").find((line) => line.includes(`"${id}"`))
    expect(event(early.event)).toContain(`"peer":"${before}"`)
    expect(event(late.event)).toContain(`"previous":"${before}"`)
  })
})
