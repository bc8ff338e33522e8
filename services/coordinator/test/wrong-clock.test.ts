/** Three coordinators over a real NATS, one of them with a clock that is a year or an hour off. */
import { afterEach, expect, it } from "vitest"
import { fromIso } from "@meridian/events"
import { agreement, eventsOf, keysText, describeOverNats } from "./running-cluster.ts"
import { type RunningCoordinator, until } from "./running-coordinator.ts"

const YEAR_S = 31_557_600

describeOverNats("a node whose clock is wrong", (stage) => {
  let telling: NodeJS.Timeout | undefined
  afterEach(() => clearInterval(telling))

  /** Has the nodes say something every second, so that others hear what time they have. */
  const keepTelling = (nodes: ReadonlyArray<RunningCoordinator>): void => {
    let workers = 0
    telling = setInterval(() => {
      workers = (workers % 8) + 1
      for (const node of nodes) node.send({ type: "health", workers, synchronised: true, stratum: 2 })
    }, 1_000)
  }

  it("does not lead, ends no key before its time, writes no wrong time down, and says so", async () => {
    const startedAt = Date.now()
    // It is the first and has nobody but NATS to compare with.
    const early = stage.cluster.start("a", [`--clock-offset=${YEAR_S}`])
    expect(await early.warning(/ahead of NATS/)).toMatch(/3155\d{4} s ahead of NATS: it does not lead until/)
    await early.stateWhen(({ clockDoubt, leader }) => clockDoubt.includes("ahead of NATS") && leader === null)

    const good = ["b", "c"].map((node) => stage.cluster.start(node))
    keepTelling(good)
    const first = await agreement(
      [early, ...good],
      ({ ntsKeys, members }) => ntsKeys.length === 2 && members.length === 3
    )
    expect(["b", "c"]).toContain(first.leader)
    // By then the nodes have outvoted it.
    const state = await early.stateWhen(({ clockDoubt }) => clockDoubt.includes("ahead of nodes b, c"))
    expect(state.ntsKeys.map(({ status }) => status)).toEqual(["active", "pending"])
    // With the leader gone it is one of two, and NATS knows which of them is right.
    const leader = good.find((it) => it.directory.endsWith(`/${first.leader}`)) as RunningCoordinator
    const other = good.find((it) => it !== leader) as RunningCoordinator
    await leader.kill()
    await other.report(({ leading }) => leading)
    await until(
      () => {
        const [last, its] = [other.allKeys.at(-1), early.allKeys.at(-1)]
        return last !== undefined && its !== undefined && keysText(last) === keysText(its) ? true : undefined
      },
      () => "the same keys on the node with the wrong clock"
    )
    const events = await eventsOf(other)
    const isWrong = (time: number): boolean => time < startedAt - 120_000 || time > Date.now() + 120_000
    const late = events.filter(({ time }) => isWrong(fromIso(time)))
    expect(late.map(({ type, node, time }) => [type, node, time])).toEqual([])
    expect(events.filter(({ node, subject }) => node === "a" && subject.startsWith("keys."))).toEqual([])
    expect(events.filter(({ type }) => type === "NtsGenerationRetired")).toEqual([])

    // The same node a day's rotation behind: what is active stays so.
    await early.kill()
    const behind = stage.cluster.start("a", ["--clock-offset=-3600"])
    expect(await behind.warning(/behind/)).toMatch(/ 3[56]\d\d s behind/)
    const same = await agreement([behind, other], ({ members }) => members.length === 3)
    expect(same.ntsKeys.map(({ status }) => status)).toEqual(["active", "pending"])
  })
})
