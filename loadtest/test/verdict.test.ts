/** What a load test's figures are summed to, and when a bound is kept. */
import { describe, expect, it } from "vitest"
import { thresholdsOf } from "../fleet/k6-run.ts"
import type { Bound } from "../fleet/scenario.ts"
import { parseLine, percentileOf, secondsOf, type SeriesLine, sumOf } from "../fleet/seconds.ts"
import { judge, rampSteps, saturationOf } from "../fleet/verdict.ts"
import { scenarios } from "../scenarios/all.ts"

const line = (second: number, metric: string, sum: number, more: Partial<SeriesLine> = {}): SeriesLine => ({
  second,
  metric,
  load: "plain",
  step: "",
  tag: "",
  sum,
  count: 0,
  percentiles: undefined,
  ...more
})
const duration = (second: number, count: number, p99: number, load = "plain"): SeriesLine =>
  line(second, "ntp_req_duration", 0, { count, load, percentiles: { p50: p99 / 2, p95: p99 / 1.1, p99, max: p99 } })

describe("a line of k6's timeline", () => {
  it("is read as it is written", () => {
    const text = '{"second":7,"metric":"ntp_lost","load":"plain","tag":"timeout","sum":3,"count":0}'
    expect(parseLine(text)).toEqual(line(7, "ntp_lost", 3, { tag: "timeout" }))
    expect(
      parseLine('{"second":7,"metric":"x","sum":1,"count":1,"p50":1,"p95":2,"p99":3,"max":4}').percentiles
    ).toEqual({
      p50: 1,
      p95: 2,
      p99: 3,
      max: 4
    })
    expect(() => parseLine('{"second":"7"}')).toThrow("expected a line")
  })
})

describe("seconds", () => {
  it("are all there, also those without a request", () => {
    const seconds = secondsOf([line(100, "ntp_requests", 5), line(102, "ntp_requests", 7), duration(102, 7, 20)], 100)
    expect(seconds.map(({ at, requests, p99 }) => [at, requests, p99])).toEqual([
      [0, 5, null],
      [1, 0, null],
      [2, 7, 20]
    ])
  })

  it("weigh in a percentile by how much was measured in each", () => {
    const lines = [duration(1, 1_000, 10), duration(2, 5, 900), duration(3, 1, 5, "other")]
    expect(percentileOf(lines, "ntp_req_duration", 99, "plain")).toEqual({ value: 10, samples: 1_005 })
    expect(percentileOf(lines, "ntp_req_duration", 50, "nobody")).toBeUndefined()
    expect(sumOf([line(1, "ntp_lost", 2), line(2, "ntp_lost", 3, { load: "nts" })], "ntp_lost")).toBe(5)
  })
})

describe("a verdict", () => {
  const judged = (bound: Bound, ...lines: readonly SeriesLine[]): boolean | undefined =>
    judge([bound], lines, [])[0]?.met

  it("is never good for a latency that nobody measured", () => {
    const bound = { kind: "latency", metric: "ntp_req_duration", percentile: 99, below: 50, samples: 10 } as const
    expect(judged(bound)).toBe(false)
    expect(judged(bound, duration(1, 9, 10))).toBe(false)
    expect(judged(bound, duration(1, 10, 10))).toBe(true)
    expect(judged(bound, duration(1, 10, 60))).toBe(false)
    expect(thresholdsOf([bound])).toEqual({ ntp_req_duration: ["p(99)<50"], ntp_replies: ["count>=10"] })
  })

  it("holds loss to what was sent, and nothing sent is a loss", () => {
    const bound = { kind: "loss", below: 1e-4 } as const
    expect(judged(bound)).toBe(false)
    expect(judged(bound, line(1, "ntp_requests", 100_000), line(1, "ntp_lost", 9))).toBe(true)
    expect(judged(bound, line(1, "ntp_requests", 100_000), line(1, "ntp_lost", 10))).toBe(false)
  })

  it("holds a pace to the time that sending took, and nothing sent is none", () => {
    const bound = { kind: "pace", load: "plain", atLeast: 950 } as const
    const took = (seconds: number): SeriesLine => line(9, "ntp_flow_seconds", seconds)
    expect(judged(bound)).toBe(false)
    expect(judged(bound, line(1, "ntp_requests", 10_000), took(10))).toBe(true)
    // All of them, but in more time than they were asked for.
    expect(judged(bound, line(1, "ntp_requests", 10_000), took(11))).toBe(false)
  })

  it("takes both ends of a sum, and what a step found", () => {
    const bound = { kind: "sum", metric: "ntp_wrong", atLeast: 1, atMost: 2 } as const
    expect([0, 1, 2, 3].map((sum) => judged(bound, line(1, "ntp_wrong", sum)))).toEqual([false, true, true, false])
    const findings = [{ what: "gone", found: 0.4, limit: 1, unit: "s" } as const]
    expect(judge([], [], findings)).toEqual([{ what: "gone", found: "0.40 s", wanted: "at most 1.00 s", met: true }])
  })
})

describe("a ramp", () => {
  /** Ten seconds' requests at a rate: how long they took to send, how many were lost, how many answered late. */
  const step = (rate: number, { took = 10, lost = 0, late = 0 } = {}): readonly SeriesLine[] => [
    line(1, "ntp_requests", 10 * rate, { step: String(rate) }),
    line(2, "ntp_flow_seconds", took, { step: String(rate) }),
    line(2, "ntp_lost", lost, { step: String(rate) }),
    line(2, "ntp_late", late, { step: String(rate) })
  ]
  const saturationWith = (...last: readonly SeriesLine[]): number | undefined =>
    saturationOf(rampSteps([1_000, 2_000, 3_000], [...step(1_000), ...step(2_000), ...last]))

  it("is saturated above the last step that was sent at its pace and answered in time", () => {
    expect(saturationWith(...step(3_000, { took: 10.4, lost: 29, late: 200 }))).toBe(3_000)
    expect(saturationOf([])).toBeUndefined()
  })

  it("does not take a step whose requests were all sent and answered, but in more time", () => {
    expect(saturationWith(...step(3_000, { took: 13 }))).toBe(2_000)
  })

  it("does not take a step that lost requests, or had many wait", () => {
    expect(saturationWith(...step(3_000, { lost: 30 }))).toBe(2_000)
    expect(saturationWith(...step(3_000, { late: 300 }))).toBe(2_000)
  })

  it("does not take a step that was never played", () => {
    expect(rampSteps([3_000], [])).toEqual([{ rate: 3_000, sent: 0, lost: 1, late: 1, p99: null }])
    expect(saturationWith()).toBe(2_000)
  })
})

describe("every scenario", () => {
  it.each(scenarios.map((scenario) => [scenario.name, scenario] as const))(
    "%s: has names that k6 takes, and bounds",
    (_, scenario) => {
      const setting = { seconds: scenario.seconds, rate: 10_000 }
      const loads = scenario.loads(setting)
      const names = loads.map(({ name }) => name)
      expect(names.every((name) => /^[\w-]+$/.test(name))).toBe(true)
      expect(new Set(names).size).toBe(names.length)
      const bounds = scenario.bounds(setting)
      expect(bounds.some(({ kind }) => kind === "latency" || kind === "sum")).toBe(true)
      for (const { load } of bounds) expect([undefined, ...names]).toContain(load)
      for (const { at } of scenario.steps?.(setting) ?? []) expect(at).toBeLessThan(scenario.seconds)
    }
  )
})
