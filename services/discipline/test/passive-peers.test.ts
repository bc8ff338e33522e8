/**
 * `peer` lines on the other side only, in a network of its own: a node that has no more than the key takes the peer, and
 * lets it go when it is not heard any more. Whoever has no key moves nothing.
 */
import { execFile, execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import type { TrackingReport } from "@meridian/ipc/discipline-report"
import type { WorkerCounters } from "@meridian/ipc/worker-report"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peer, type PeerName, peersAvailable } from "@meridian/testkit/real-peers"
import { meridian, type RunningNode } from "@meridian/testkit/running-node"
import { classicLines, isReached, onStage, OTHER, OURS, sources, THIRD, until } from "./peer-stage.ts"
import { startChronyd, startClassicNtpd } from "./real-upstreams.ts"

const suite = "passive peers"
const programs = ["chronyd-4.3", "chronyc-4.3", "classic-ntpd", "classic-ntpq"] as const satisfies readonly PeerName[]
const available = peersAvailable(suite, programs) && canMakeNamespaces(suite)
const options = { timeout: 400_000 }

const tracking = async (node: RunningNode): Promise<TrackingReport> => {
  const { stdout } = await meridian(["tracking", "--state", node.state, "--json"])
  return JSON.parse(stdout) as TrackingReport
}
const logged = async (node: RunningNode): Promise<readonly string[]> => {
  const { stdout } = await meridian(["log", "--state", node.state, "--json"])
  return stdout.split("\n").filter((line) => line.includes("PassivePeerChanged"))
}

describe.runIf(available)("a peer line on the other side only", options, () => {
  it("a node takes another that has the key, follows it, and lets it go", () =>
    onStage(async (stage) => {
      stage.keep(await startChronyd(stage.folder, THIRD, [], 2, { namespace: stage.network.name, port: 11123 }))
      const ours = await stage.node(OURS, [])
      const other = await stage.node(OTHER, [
        `server ${THIRD}:11123 iburst minpoll 0 maxpoll 0`,
        `peer ${OURS} key 5 minpoll 0 maxpoll 0`
      ])
      const [taken] = await until(sources(ours), ([it]) => it?.verdict === "system-peer" && isReached(it.reach))
      expect(taken).toMatchObject({
        address: OTHER,
        port: 123,
        name: null,
        mode: "passive",
        stratum: 3,
        authentication: { kind: "symmetric", key: 5 }
      })
      expect(Math.abs(taken?.offset ?? 1)).toBeLessThan(1e-2)
      expect(await tracking(ours)).toMatchObject({ systemPeer: OTHER, stratum: 4, passivePeers: { now: 1, most: 16 } })
      const [, back] = await until(sources(other), ([, it]) => isReached(it?.reach) && it?.stratum === 4)
      expect(back).toMatchObject({ address: OURS, mode: "active", verdict: "loop" })
      const said = (await meridian(["sources", "--state", ours.state])).stdout
      expect(said).toMatch(/^<\* {2}192\.0\.2\.1 .*\n +key 5, /m)
      await other.stop()
      await until(sources(ours), (all) => all.length === 0)
      const events = await until(
        () => logged(ours),
        (lines) => lines.length === 2
      )
      expect(events[0]).toContain('"taken":true')
      expect(events[1]).toContain("not heard for long")
    })())

  it("a node takes chronyd that has the key, and lets it go", () =>
    onStage(async (stage) => {
      const socket = stage.folder.file("chronyd.sock")
      const lines = [
        `keyfile ${stage.keys}`,
        "deny all",
        `bindcmdaddress ${socket}`,
        // Else whichever is first follows the other.
        `peer ${OURS} key 5 noselect minpoll 0 maxpoll 0`
      ]
      const node = await stage.node(OURS, [])
      const place = { namespace: stage.network.name, port: 123 }
      const chronyd = stage.keep(await startChronyd(stage.folder, OTHER, lines, 4, place))
      const [taken] = await until(sources(node), ([it]) => it?.verdict === "system-peer" && isReached(it.reach))
      expect(taken).toMatchObject({ address: OTHER, mode: "passive", stratum: 4 })
      const asked = () => stage.run(peer("chronyc-4.3")!, ["-n", "-h", socket, "sources", "-a"])
      const reach = (output: string) => /^=.\s192\.0\.2\.2\s+\d+\s+\d+\s+([0-7]+)\s/m.exec(output)?.[1]
      await until(asked, (output) => isReached(reach(output)))
      await chronyd.stop()
      await until(sources(node), (all) => all.length === 0)
    })())

  it("a node takes classic ntpd that has the key, and lets it go at once when the key is withdrawn", () =>
    onStage(async (stage) => {
      const node = await stage.node(OURS, [])
      const lines = [...classicLines(stage.keys), `peer ${OURS} key 6 noselect minpoll 3 maxpoll 3`]
      stage.keep(await startClassicNtpd(stage.folder, stage.network.name, lines))
      const [taken] = await until(sources(node), ([it]) => it?.verdict === "system-peer")
      expect(taken).toMatchObject({ address: OTHER, mode: "passive", stratum: 6, authentication: { key: 6 } })
      expect(Math.abs(taken?.offset ?? 1)).toBeLessThan(1e-2)
      const asked = () => stage.run(peer("classic-ntpq")!, ["-c", "peers", "-c", "associations", "-n", "127.0.0.1"])
      const output = await until(asked, (it) => /^.192\.0\.2\.2\s+\S+\s+\d+\s+s\s.*\s[137]*[37]\s/m.test(it))
      expect(output).toMatch(/yes\s+yes\s+ok/)
      writeFileSync(stage.keys, "5 SHA1 a-key-that-is-ascii\n", { mode: 0o600 })
      node.process.kill("SIGHUP")
      await until(sources(node), (all) => all.length === 0)
      await until(
        () => logged(node),
        (all) => all[1]?.includes("its key is not trusted any more") === true
      )
    })())
})

const totals = async (node: RunningNode): Promise<WorkerCounters> =>
  ((await node.status()) as unknown as { totals: WorkerCounters }).totals

/** Resident memory of all processes of a node, bytes. */
const memory = (node: RunningNode): number => {
  const output = execFileSync("ps", ["-o", "rss=", "--ppid", String(node.process.pid)], { encoding: "utf8" })
  return output.split("\n").reduce((sum, line) => sum + 1024 * Number(line), 0)
}

describe.runIf(available)("who has no key, or only what others sent", options, () => {
  it("moves nothing, from however many addresses; who has the key gets no more than there are places", () =>
    onStage(async (stage) => {
      const node = await stage.node(OURS, ["passivepeers 4"])
      const flood = (count: number, kind: string) =>
        promisify(execFile)(stage.network.within[0]!, [
          ...stage.network.within.slice(1),
          process.execPath,
          join(import.meta.dirname, "forge-peers.ts"),
          OURS,
          "123",
          String(count),
          kind
        ])
      // So that what is loaded once is there.
      await flood(10, "first")
      const before = memory(node)
      const counts = { plain: 4_000, forged: 3_000, first: 1_500, replayed: 1_500 }
      for (const [kind, count] of Object.entries(counts)) await flood(count, kind)
      // The kernel may drop some of a flood, and counts come once a second.
      const arrived = async () => {
        await flood(500, "plain")
        return totals(node)
      }
      await until(arrived, ({ received }) => received > 5_000)
      expect(await sources(node)()).toEqual([])
      expect(await tracking(node)).toMatchObject({ passivePeers: { now: 0, most: 4, taken: 0, refused: {} } })
      expect(memory(node) - before).toBeLessThan(48e6)
      await flood(500, "fresh")
      const { passivePeers } = await until(
        () => tracking(node),
        (it) => (it.passivePeers?.refused["full"] ?? 0) > 0
      )
      expect(passivePeers?.now).toBeLessThanOrEqual(4)
      const kept = (await sources(node)()).map(({ mode, verdict }) => `${mode} ${verdict}`)
      expect(kept.length).toBeLessThanOrEqual(4)
      expect(new Set(kept)).toEqual(new Set(["passive unreachable"]))
      // None of them ever answers, so their places are free again soon, for one that does.
      await until(sources(node), (all) => all.length === 0)
      const line = [`keyfile ${stage.keys}`, `peer ${OURS} key 5 minpoll 0 maxpoll 0`]
      stage.keep(await startChronyd(stage.folder, OTHER, line, 4, { namespace: stage.network.name, port: 123 }))
      await until(sources(node), ([it]) => it?.address === OTHER && isReached(it.reach))
    })())

  it("is answered at most: chronyd without a key, and under a key that the node does not have", () =>
    onStage(async (stage) => {
      const node = await stage.node(OURS, [])
      const keys = stage.folder.file("chrony.keys")
      writeFileSync(keys, "7 SHA1 another-key\n", { mode: 0o600 })
      const line = `peer ${OURS} minpoll 0 maxpoll 0`
      const place = { namespace: stage.network.name, port: 123 }
      stage.keep(await startChronyd(stage.folder, OTHER, [line], 4, place))
      stage.keep(await startChronyd(stage.folder, THIRD, [`keyfile ${keys}`, `${line} key 7`], 4, place))
      const { served, dropped } = await until(
        () => totals(node),
        (it) => it.served["served"]! >= 3 && it.dropped["unknown-key"]! >= 3
      )
      expect([served["served-peer"], dropped["bad-mac"]]).toEqual([0, 0])
      expect(await sources(node)()).toEqual([])
      expect(await tracking(node)).toMatchObject({ passivePeers: { now: 0, most: 16, taken: 0, refused: {} } })
    })())

  it("is answered at most where `passivepeers 0` says so: chronyd with the key", () =>
    onStage(async (stage) => {
      const node = await stage.node(OURS, ["passivepeers 0"])
      const lines = [`keyfile ${stage.keys}`, `peer ${OURS} key 5 minpoll 0 maxpoll 0`]
      stage.keep(await startChronyd(stage.folder, OTHER, lines, 4, { namespace: stage.network.name, port: 123 }))
      await until(
        () => totals(node),
        ({ served }) => served["served-peer"]! >= 4
      )
      expect(await sources(node)()).toEqual([])
      expect((await tracking(node)).passivePeers).toBeUndefined()
    })())
})
