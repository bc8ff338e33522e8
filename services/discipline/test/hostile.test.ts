/** Servers that lie, fail or vanish, asked by the real process: each has a named outcome and none is followed. */
import { describe, expect, it } from "vitest"
import type { DisciplineReport } from "@meridian/ipc/discipline-report"
import { foldClock } from "./clock-fold.ts"
import { onStage } from "./stage.ts"
import type { FakeAnswer } from "./fake-server.ts"
import { monotonic, servedOffset, upstream } from "./running-discipline.ts"

const isUnsynchronised = ({ tracking }: DisciplineReport): boolean => tracking.stratum === 16

describe.concurrent("a packet that must not be believed", () => {
  const stamps = { zero: 0n as never, wrong: 0x1234567890abcdefn as never }
  it.each([
    ["stratum 0", { header: { stratum: 0, referenceId: 0x494e4954 } }, "unsynchronised", "unsynchronised"],
    ["stratum 16", { header: { stratum: 16 } }, "unsynchronised", "unsynchronised"],
    ["leap 3", { header: { leap: 3 } }, "unsynchronised", "unsynchronised"],
    ["a wrong origin", { header: { origin: stamps.wrong } }, "bogus-origin", "unreachable"],
    ["no origin", { header: { origin: stamps.zero } }, "zero-origin", "unreachable"],
    ["no transmit timestamp", { header: { transmit: stamps.zero } }, "zero-timestamp", "unreachable"],
    [
      "an absurd root distance",
      { header: { rootDelay: 0x200000, rootDispersion: 0x200000 } },
      "root-distance",
      "distance"
    ],
    ["the mode of a client", { header: { mode: 3 } }, "mode", "unreachable"]
  ] satisfies readonly (readonly [string, FakeAnswer, string, string])[])(
    "with %s is dropped under its name",
    (_what, answer, reason, verdict) =>
      onStage(async (stage) => {
        const [server] = await stage.fakes(answer)
        const discipline = await stage.follow([server!])
        const report = await discipline.report(({ sources }) => (sources[0]?.dropped[reason] ?? 0) > 0)
        const source = discipline.source(report, server!.address)
        expect(source).toMatchObject({ verdict, reach: "000", offset: null })
        expect(isUnsynchronised(report)).toBe(true)
        expect(report.tracking.waitingFor.join()).toContain("127.0.1.1")
        expect(discipline.page().stratum).toBe(16)
      })()
  )

  it(
    "is taken once of several copies",
    onStage(async (stage) => {
      const discipline = await stage.follow(await stage.fakes({ copies: 3 }))
      const report = await discipline.report(({ tracking }) => tracking.state === "synchronised")
      // The port is closed with the first answer, so that copies may not even be counted.
      expect(report.sources[0]).toMatchObject({ verdict: "system-peer", stratum: 2 })
      expect(Math.abs(report.tracking.offset ?? 1)).toBeLessThan(0.05)
    })
  )
})

describe.concurrent("time that must not be believed", () => {
  it(
    "is not followed when it is 68 years off, and says that a person is waited for",
    onStage(async (stage) => {
      const discipline = await stage.follow(await stage.fakes({ offset: 2_100_000_000 }))
      const report = await discipline.report(({ tracking }) => tracking.waitingFor.some((it) => it.includes("panic")))
      expect(isUnsynchronised(report)).toBe(true)
      expect(discipline.warnings.join()).toContain("panic threshold")
    })
  )

  it(
    "is not followed when all lie differently",
    onStage(async (stage) => {
      const discipline = await stage.follow(await stage.fakes({ offset: 100 }, { offset: -70 }, { offset: 5 }))
      const report = await discipline.report(
        ({ sources }) => sources.length === 3 && sources.every(({ verdict }) => verdict === "falseticker")
      )
      expect(report.tracking).toMatchObject({ state: "unset", stratum: 16, systemPeer: null })
      expect(report.tracking.waitingFor).toHaveLength(3)
      expect(report.sources[0]?.reason).toContain("no majority")
    })
  )

  it(
    "does not move the leap indicator when a minority announces a leap second",
    onStage(async (stage) => {
      const discipline = await stage.follow(await stage.fakes({ header: { leap: 1 } }, {}, {}))
      const report = await discipline.report(
        ({ tracking, sources }) => tracking.state === "synchronised" && sources.every(({ reach }) => reach !== "000")
      )
      expect(report.tracking).toMatchObject({ leap: 0, leapArmed: null })
      expect(report.sources.map(({ leap }) => leap)).toEqual([1, 0, 0])
    })
  )

  it(
    "of one of three that is five seconds off is rejected with its reason",
    onStage(async (stage) => {
      const discipline = await stage.follow(await stage.fakes({}, { offset: 5 }, {}))
      const report = await discipline.report(
        ({ tracking, sources }) =>
          tracking.state === "synchronised" && sources[1]?.verdict === "falseticker" && sources[1].offset !== null
      )
      expect(["127.0.1.1", "127.0.1.3"]).toContain(report.tracking.systemPeer)
      expect(report.sources[1]?.reason).toMatch(/^5\.0\d\d s ± .* is outside .* where the majority agrees$/)
      expect(report.sources[1]?.offset).toBeCloseTo(5, 1)
      expect(Math.abs(servedOffset(discipline.page()))).toBeLessThan(0.05)
    })
  )
})

describe.concurrent("servers that go", () => {
  it.each([
    ["say that they lost their time", { header: { leap: 3, stratum: 0, referenceId: 0x53544550 } }, "unsynchronised"],
    ["claim next to nothing any more", { header: { rootDispersion: 0x200000 } }, "distance"]
  ] satisfies readonly (readonly [string, FakeAnswer, string])[])(
    "and %s are left at once, not when their reach has run out",
    (_what, later, verdict) =>
      onStage(async (stage) => {
        let answer: FakeAnswer = {}
        const [server] = await stage.fakes(() => answer)
        const discipline = await stage.follow([server!])
        await discipline.report(({ tracking }) => tracking.state === "synchronised")
        answer = later
        const report = await discipline.report(({ tracking }) => tracking.state === "holdover")
        const source = discipline.source(report, server!.address)
        expect(source).toMatchObject({ verdict })
        expect(source.reach).not.toBe("000")
        expect(report.tracking.waitingFor.join()).toContain(`127.0.1.1:${server!.port}: ${verdict}`)
        answer = {}
        await discipline.report(({ tracking }) => tracking.state === "synchronised")
      })()
  )

  it(
    "leave the clock in holdover, with a bound that grows, and an event that says why",
    onStage(async (stage) => {
      const servers = await stage.fakes({})
      const discipline = await stage.follow(servers)
      await discipline.report(({ tracking }) => tracking.state === "synchronised")
      await servers[0]!.stop()
      const first = await discipline.report(({ tracking }) => tracking.state === "holdover")
      const before = discipline.page()
      expect(before.stratum).toBe(3)
      expect(first.tracking.holdoverSince).not.toBeNull()
      const later = await discipline.report(
        ({ tracking }) => tracking.rootDispersion > first.tracking.rootDispersion * 1.001
      )
      expect(later.tracking).toMatchObject({ state: "holdover", stratum: 3, systemPeer: null })
      expect(later.sources[0]).toMatchObject({ verdict: "unreachable", reach: "000" })
      const { state, judged } = foldClock(discipline.events)
      expect(judged).toEqual([
        "SourceReachabilityChanged",
        "SystemPeerChosen",
        "SourceReachabilityChanged",
        "HoldoverEntered"
      ])
      expect(state).toMatchObject({ holdover: true, peer: null, reachable: [] })
      expect(discipline.events.find(({ _tag }) => _tag === "EnterHoldover")).toMatchObject({
        reason: "127.0.1.1: unreachable"
      })
    })
  )

  it(
    "deny, and are left alone",
    onStage(async (stage) => {
      const [server] = await stage.fakes({ header: { stratum: 0, referenceId: 0x44454e59 } })
      const discipline = await stage.follow([server!])
      await discipline.report(({ sources }) => sources.length === 0)
      expect(server!.requests()).toBe(1)
      expect(discipline.warnings.join()).toContain("refuses to serve us")
    })
  )

  it(
    "that never were are waited for by name, and nothing is vouched for meanwhile",
    onStage(async (stage) => {
      const discipline = await stage.start({
        sources: [upstream("127.0.1.9", 9), upstream("no-such-host.invalid", 123)],
        localReference: { stratum: 12 }
      })
      const report = await discipline.report(({ tracking }) => {
        const waiting = tracking.waitingFor.join()
        return waiting.includes("no-such-host.invalid:") && waiting.includes("127.0.1.9 port 9 (asked")
      })
      expect(report.tracking).toMatchObject({ stratum: 16, state: "unset", systemPeer: null })
      expect(report.sources[0]).toMatchObject({ verdict: "unreachable", dropped: { ECONNREFUSED: expect.any(Number) } })
      expect(discipline.warnings.join()).toContain("no-such-host.invalid cannot be looked up")
    })
  )
})

describe.concurrent("without sources", () => {
  it(
    "the local reference is served at once",
    onStage(async (stage) => {
      const discipline = await stage.start({ localReference: { stratum: 10 } })
      expect(discipline.page()).toMatchObject({ stratum: 10, leap: 0, offset: 0 })
      expect((await discipline.report()).tracking).toMatchObject({ state: "local", waitingFor: [] })
    })
  )

  it(
    "and without a local reference nothing is vouched for",
    onStage(async (stage) => {
      const discipline = await stage.start()
      expect(discipline.page()).toMatchObject({ stratum: 16, leap: 3 })
      expect((await discipline.report()).tracking.waitingFor).toHaveLength(1)
      expect(discipline.page().deadline).toBeLessThan(monotonic())
    })
  )
})
