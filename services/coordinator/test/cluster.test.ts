/** Three coordinators over a real three-node NATS, and what may happen to them. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { StateView } from "../src/state-view.ts"
import { natsBinary, type RunningNats, startNats } from "./nats-cluster.ts"
import {
  agreement,
  eventsOf,
  holesIn,
  keysText,
  leaderOf,
  makeCluster,
  NODES,
  type RunningCluster
} from "./running-cluster.ts"
import { ids, type RunningCoordinator, until } from "./running-coordinator.ts"

const binary = natsBinary()
const why =
  binary === undefined ? " NOT RUN: no nats-server of Debian trixie (set PEERS, or let infra/peers fetch it)" : ""
describe.runIf(binary !== undefined)(`three coordinators over NATS${why}`, () => {
  let nats: RunningNats
  let cluster: RunningCluster
  const start = (node: string, ...args: ReadonlyArray<string>): RunningCoordinator => cluster.start(node, args)

  beforeEach(async () => {
    nats = await startNats(binary ?? [])
    cluster = makeCluster(() => nats.urls)
  })
  afterEach(async () => {
    await cluster.stop()
    await nats.stop()
  })

  it("elects one leader, agrees, hands commands on, and replaces a leader that is killed as it is told to rotate", async () => {
    const nodes = NODES.map((node) => start(node))
    const first = await agreement(nodes, ({ leader, ntsKeys }) => leader !== null && ntsKeys.length === 2)
    await Promise.all(nodes.map((it) => it.keys((keys) => ids(keys).length === 2)))
    const leader = await leaderOf(nodes)
    const followers = nodes.filter((it) => it !== leader)
    const reports = await Promise.all(nodes.map((it) => it.report()))
    expect(reports.filter(({ leading }) => leading)).toHaveLength(1)

    const policy = { changes: { ntsLeadMs: 500, ntsRotationMs: 60_000 } }
    expect((await (followers[0] as RunningCoordinator).ask("POST", "/policy", policy)).status).toBe(200)
    await until(
      async () => ((await leader.state()).policy.ntsLeadMs === 500 ? true : undefined),
      () => "policy"
    )
    const rotated = await until(
      async () => {
        const answer = await (followers[0] as RunningCoordinator).ask("POST", "/keys/rotate", { kind: "nts" })
        return answer.status === 200 ? answer : undefined
      },
      () => "a rotation through a follower"
    )
    expect(rotated.text).toContain("NtsGenerationBroughtForward")
    await agreement(nodes, ({ ntsKeys }) => ntsKeys.length === 3)

    // The leader is killed while it carries the next rotation out.
    await new Promise((done) => setTimeout(done, 700))
    const killed = performance.now()
    const lost = leader.ask("POST", "/keys/rotate", { kind: "nts" }).catch(() => undefined)
    await leader.kill()
    await lost
    const after = await agreement(followers, (state) => state.leader !== first.leader)
    expect(performance.now() - killed).toBeLessThan(10_000)
    expect(after.term).toBeGreaterThan(first.term)
    const survivor = await leaderOf(followers)
    let refusal = ""
    await until(
      async () => {
        const { status, text: told } = await survivor.ask("POST", "/keys/rotate", { kind: "nts" })
        refusal = told
        return status === 200 ? true : undefined
      },
      () => `a rotation under the new leader: ${refusal}`
    )
    const again = start(leader.directory.slice(-1))
    const all = [...followers, again]
    const last = await agreement(all, ({ ntsKeys }) => ntsKeys.length >= 4)
    const numbers = last.ntsKeys.map(({ generation }) => generation)
    expect(numbers).toEqual(numbers.map((_, index) => index + 1))
    const sent = await until(
      () => {
        const texts = all.map((it) => it.allKeys.at(-1)).map((it) => (it === undefined ? "" : keysText(it)))
        return new Set(texts).size === 1 && texts[0] !== "" ? texts[0] : undefined
      },
      () => "the same keys everywhere"
    )
    expect((JSON.parse(sent) as ReadonlyArray<unknown>).length).toBe(numbers.length)

    // No key in the clear, in any store of any server, nor in any node's directory.
    const folders = [nats.directory, ...NODES.map((node) => join(cluster.place.path, node))]
    const stored = Buffer.concat(
      folders.flatMap((folder) =>
        readdirSync(folder, { recursive: true, withFileTypes: true })
          // A snapshot that is being written may be gone the next moment.
          .filter((entry) => entry.isFile() && !entry.name.endsWith(".new"))
          .map((entry) => readFileSync(join(entry.parentPath, entry.name)))
      )
    )
    for (const { key } of again.allKeys.at(-1)?.generations ?? []) {
      const bytes = Buffer.from(key)
      for (const form of [bytes, bytes.toString("hex"), bytes.toString("base64")])
        expect(stored.includes(form)).toBe(false)
    }

    const wrong = start("d", "--cluster-key", cluster.place.clusterKey("wrong"))
    expect(await wrong.exited).toBe(1)
    expect(wrong.stderr()).toMatch(/wrong cluster key: .* the cluster's is [0-9a-f]{16}/)
  }, 240_000)

  it("fences a leader that was stopped for longer than its lease and wakes up believing in it", async () => {
    const nodes = NODES.map((node) => start(node, "--rotate", "2"))
    await agreement(nodes, ({ leader, ntsKeys }) => leader !== null && ntsKeys.length >= 2)
    const old = await leaderOf(nodes)
    const others = nodes.filter((it) => it !== old)
    const { term } = await old.state()
    old.process.kill("SIGSTOP")
    const successor = await until(
      async () => {
        const states = await Promise.all(others.map((it) => it.state()))
        const at = states.findIndex((it) => it.leading && it.term > term)
        return others[at]
      },
      () => "a successor"
    )
    old.process.kill("SIGCONT")
    const answer = await old.ask("POST", "/keys/rotate", { kind: "nts" })
    // It hands the command on, or is told so by the log; it does not carry it out itself.
    expect([200, 409, 503]).toContain(answer.status)
    const agreedOn = await agreement(nodes, (state) => state.term > term)
    expect(agreedOn.leader).toBe((await successor.state()).node)
    await old.report((report) => !report.leading && report.leader === agreedOn.leader)
    const events = await eventsOf(successor, "keys.nts")
    expect(holesIn(events)).toEqual([])
    const taken = events.findLastIndex(({ type }) => type === "NtsLeaderTookOver")
    const writers = new Set(events.slice(taken).map(({ node }) => node))
    expect([...writers]).toEqual([agreedOn.leader])
  }, 240_000)

  it("goes on without NATS for longer than a rotation, and catches up; a start without NATS is from the snapshot", async () => {
    const rotation = ["--rotate", "3"]
    const nodes = NODES.map((node) => start(node, ...rotation))
    await agreement(nodes, ({ leader, ntsKeys }) => leader !== null && ntsKeys.length >= 2)
    const [a, b] = nodes as [RunningCoordinator, RunningCoordinator, RunningCoordinator]
    // A snapshot is there soon after keys have changed.
    const snapshot = join(b.directory, "snapshots", "coordinator.snapshot")
    await until(
      () => (existsSync(snapshot) && /generation..:2,/.test(readFileSync(snapshot, "utf8")) ? true : undefined),
      () => "a snapshot"
    )
    await Promise.all(nats.servers.map((it) => it.kill()))
    const held = ids(await a.keys())
    const newest = Math.max(...held)
    await b.kill()
    const restarted = start("b", ...rotation)
    const warning = await restarted.warning(/goes on from its snapshot/)
    expect(warning).toContain("no NATS at")
    const fromSnapshot = await restarted.keys(({ generations }) => generations.length > 0)
    expect(ids(fromSnapshot).length).toBeGreaterThan(0)
    const fresh = start("d", ...rotation)
    await fresh.warning(/has no snapshot and waits/)
    expect(fresh.allKeys).toEqual([])

    // The future generation becomes active by the clock, and no node invents another.
    await a.keys(({ generations }) => generations.find(({ id }) => id === newest)?.activation === 0)
    expect(Math.max(...ids(await a.keys()))).toBe(newest)
    await a.report(({ adapter }) => adapter === null)

    await Promise.all(nats.servers.map((it) => it.start()))
    const all = [a, nodes[2] as RunningCoordinator, restarted, fresh]
    const after = await until(
      async () => {
        const states = await Promise.all(all.map((it) => it.state())).catch((): ReadonlyArray<StateView> => [])
        const good =
          states.length > 0 && states.every(({ ntsKeys }) => ntsKeys.some(({ generation }) => generation > newest))
        return good ? states[0] : undefined
      },
      () => "a generation minted after the outage"
    )
    const numbers = after.ntsKeys.map(({ generation }) => generation)
    expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index))
    // The servers kept the shelf in memory only: the leader has laid the keys of the time before in again.
    await fresh.keys((keys) => ids(keys).includes(newest) && ids(keys).some((id) => id > newest))
  }, 240_000)
})
