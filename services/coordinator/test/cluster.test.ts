/** Three coordinators over a real three-node NATS, and what may happen to them. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import type { ClusterState, GenerationView } from "@meridian/ipc"
import {
  agreement,
  eventsOf,
  holesIn,
  leaderOf,
  describeOverNats,
  nameOf,
  NODES,
  oneLeads,
  outOfTerm,
  readyToRotate,
  sameKeys
} from "./running-cluster.ts"
import { ids, type RunningCoordinator, until } from "./running-coordinator.ts"

const ROTATION_S = 3

/** Milliseconds from its activation to its retirement. */
const lifeOf = ({ activation, retirement }: GenerationView): number =>
  Date.parse(retirement ?? "") - Date.parse(activation ?? "")

describeOverNats("three coordinators over NATS", (stage) => {
  const start = (node: string, ...args: ReadonlyArray<string>): RunningCoordinator => stage.cluster.start(node, args)

  it("elects one leader, agrees, hands commands on, and replaces a leader that is killed as it is told to rotate", async () => {
    const nodes = NODES.map((node) => start(node))
    await agreement(nodes, ({ leader, ntsKeys }) => leader !== null && ntsKeys.length === 2)
    await Promise.all(nodes.map((it) => it.keys((keys) => ids(keys).length === 2)))
    await oneLeads(nodes)

    const policy = { changes: { ntsLeadMs: 500, ntsRotationMs: 3_600_000 } }
    expect((await (nodes[0] as RunningCoordinator).command("/policy", policy)).status).toBe(200)
    await agreement(nodes, (state) => state.policy.ntsLeadMs === 500)
    const leader = await leaderOf(nodes)
    const followers = nodes.filter((it) => it !== leader)
    const rotated = await until(
      async () => {
        const answer = await (followers[0] as RunningCoordinator).ask("POST", "/keys/rotate", { kind: "nts" })
        return answer.status === 200 ? answer : undefined
      },
      () => "a rotation through a follower"
    )
    expect(rotated.text).toContain("NtsGenerationBroughtForward")

    // The leader is killed while it carries the next rotation out, which is possible once all are ready for it.
    const before = await agreement(nodes, readyToRotate)
    expect(before.ntsKeys.length).toBeGreaterThanOrEqual(3)
    const doomed = await leaderOf(nodes)
    const survivors = nodes.filter((it) => it !== doomed)
    const killed = performance.now()
    const lost = doomed.ask("POST", "/keys/rotate", { kind: "nts" }).catch(() => undefined)
    await doomed.kill()
    await lost
    const after = await agreement(survivors, ({ term, leader: name }) => term > before.term && name !== nameOf(doomed))
    process.stdout.write(
      `two nodes agree on a new leader ${Math.round(performance.now() - killed)} ms after the kill\n`
    )
    expect(after.term).toBeGreaterThan(before.term)
    let refusal = ""
    await until(
      async () => {
        const successor = await leaderOf(survivors)
        const { status, text: told } = await successor.ask("POST", "/keys/rotate", { kind: "nts" })
        refusal = told
        return status === 200 ? true : undefined
      },
      () => `a rotation under the new leader: ${refusal}`
    )
    const again = start(nameOf(doomed))
    const all = [...survivors, again]
    const last = await agreement(all, ({ ntsKeys }) => ntsKeys.length > before.ntsKeys.length)
    const numbers = last.ntsKeys.map(({ generation }) => generation)
    expect(numbers).toEqual(numbers.map((_, index) => index + 1))
    await sameKeys(all, numbers.length)
    expect(outOfTerm(await eventsOf(again, "keys.nts"))).toEqual([])

    const wrong = start("d", "--cluster-key", stage.cluster.place.clusterKey("wrong"))
    expect(await wrong.exited).toBe(1)
    expect(wrong.said()).toMatch(/wrong cluster key: .* the cluster's is [0-9a-f]{16}/)

    // No key in the clear, in any store of any server, nor in any node's directory. All have ended: files change no more.
    await Promise.all(all.map((it) => it.kill()))
    await Promise.all(stage.nats.servers.map((it) => it.end()))
    const folders = [stage.nats.directory, ...NODES.map((node) => join(stage.cluster.place.path, node))]
    const stored = Buffer.concat(
      folders.flatMap((folder) =>
        readdirSync(folder, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => readFileSync(join(entry.parentPath, entry.name)))
      )
    )
    expect(stored.includes("NtsGenerationPublished")).toBe(true)
    const { generations } = await again.keys()
    expect(generations).toHaveLength(numbers.length)
    for (const { key } of generations) {
      const bytes = Buffer.from(key)
      for (const form of [bytes, bytes.toString("hex"), bytes.toString("base64")])
        expect(stored.includes(form)).toBe(false)
    }
  })

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
    await old.report((report) => !report.leading || report.term > term)
    const events = await eventsOf(successor, "keys.nts")
    expect(holesIn(events)).toEqual([])
    // Whoever leads by now: nothing was written by a leader whose term was over.
    expect(outOfTerm(events)).toEqual([])
    const taken = events.findIndex((it) => it.type === "NtsLeaderTookOver" && it.data.term > term)
    expect(events[taken]?.node).not.toBe(nameOf(old))
    expect(agreedOn.term).toBeGreaterThan(term)
  })

  it("goes on without NATS for longer than a rotation, and catches up; a start without NATS is from the snapshot", async () => {
    const rotation = ["--rotate", String(ROTATION_S)]
    const nodes = NODES.map((node) => start(node, ...rotation))
    // Keys of the time before are good for longer than the outage lasts, however long the servers take to come back.
    const policy = { changes: { ntsAcceptPast: 40 } }
    await agreement(nodes, ({ leader, ntsKeys }) => leader !== null && ntsKeys.length >= 2)
    expect((await (nodes[0] as RunningCoordinator).command("/policy", policy)).status).toBe(200)
    await agreement(nodes, ({ ntsKeys }) =>
      ntsKeys.some((it) => it.status === "pending" && lifeOf(it) > 40 * ROTATION_S * 1_000)
    )
    const [a, b] = nodes as [RunningCoordinator, RunningCoordinator, RunningCoordinator]
    // A snapshot is there soon after keys have changed.
    const snapshot = join(b.directory, "snapshots", "coordinator.snapshot")
    await until(
      () =>
        existsSync(snapshot) && /generation..:([2-9]|\d\d)/.test(readFileSync(snapshot, "utf8")) ? true : undefined,
      () => "a snapshot"
    )
    await Promise.all(stage.nats.servers.map((it) => it.kill()))
    await b.kill()
    const restarted = start("b", ...rotation)
    const warning = await restarted.warning(/goes on from its snapshot/)
    expect(warning).toContain("no NATS at")
    const fromSnapshot = await restarted.keys(({ generations }) => generations.length > 0)
    expect(ids(fromSnapshot).length).toBeGreaterThan(0)
    const fresh = start("d", ...rotation)
    await fresh.warning(/has no snapshot and waits/)
    expect(fresh.allKeys).toEqual([])

    // The future generation becomes active by the clock, and no node invents another. What NATS had sent before its end has
    // come by the time at which its absence is noticed.
    await a.report(({ adapter }) => adapter === null)
    const newest = Math.max(...ids(await a.keys()))
    await a.keys(({ generations }) => generations.find(({ id }) => id === newest)?.activation === 0)
    expect(Math.max(...ids(await a.keys()))).toBe(newest)

    await Promise.all(stage.nats.servers.map((it) => it.start()))
    const all = [a, nodes[2] as RunningCoordinator, restarted, fresh]
    const after = await until(
      async () => {
        const states = await Promise.all(all.map((it) => it.state())).catch((): ReadonlyArray<ClusterState> => [])
        const good =
          states.length > 0 && states.every(({ ntsKeys }) => ntsKeys.some(({ generation }) => generation > newest))
        return good ? states[0] : undefined
      },
      () => "a generation minted after the outage"
    )
    const numbers = after.ntsKeys.map(({ generation }) => generation)
    expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index))
    // The servers kept the key store in memory only: the leader has laid the keys of the time before in again.
    await fresh.keysOnce((keys) => ids(keys).includes(newest) && ids(keys).some((id) => id > newest))
  })
})
