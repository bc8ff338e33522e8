import { expect, it } from "vitest"
import { ReportPace } from "../src/report-pace.ts"

it("passes over reports that repeat the last two, but for one each ten seconds", () => {
  const pace = new ReportPace()
  const sent = (from: number, ...said: readonly string[]): string =>
    said.map((says, second) => (pace.isDue(says, (from + second) * 1e3) ? "s" : "-")).join("")
  expect(sent(100, "a", "a", "a", "a", "b", "c", "c", "c", "b")).toBe("ss--sss-s")
  expect(sent(117, ...Array.from({ length: 26 }, () => "b"))).toBe("s--s---------s---------s--")
})

it("has whoever repeats himself look half as often", () => {
  const pace = new ReportPace()
  const intervals = ["a", "a", "a", "b"].map((says) => {
    pace.isDue(says, 0)
    return pace.interval()
  })
  expect(intervals).toEqual([1_000, 1_000, 2_000, 1_000])
})

it("compares what is said of one moment, and goes on from what was sent of another", () => {
  const pace = new ReportPace()
  // What is known changes at 3; what is said of it, by the moment that is said of.
  const said = (known: number, moment: number): string => `${known} by ${moment}`
  let moment = 0
  const sent = Array.from({ length: 8 }, (_, second) => {
    const known = second < 3 ? 0 : 1
    if (!pace.isDue(said(known, moment), 1e3 + second)) return "-"
    moment = second
    pace.sends(said(known, moment))
    return "s"
  })
  expect(sent.join("")).toBe("ss-ss---")
})
