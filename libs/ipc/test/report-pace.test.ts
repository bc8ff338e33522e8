import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { ReportPace, reportEverySecond } from "../src/channel/report-pace.ts"

it("passes over reports that repeat the last two, but for one each twelve seconds", () => {
  const pace = new ReportPace()
  const sent = (from: number, ...said: readonly string[]): string =>
    said.map((says, second) => (pace.isDue(says, (from + second) * 1e3) ? "s" : "-")).join("")
  expect(sent(96, "a", "a", "a", "a", "b", "c", "c", "c", "b")).toBe("ss--sss-s")
  expect(sent(117, ...Array.from({ length: 30 }, () => "b"))).toBe("s--s-----------s-----------s--")
})

it("passes over what repeats the last, where no rate is counted", () => {
  const pace = new ReportPace(0)
  const sent = ["a", "a", "b", "a", "a"].map((says, second) => pace.isDue(says, 12e3 + second))
  expect(sent).toEqual([true, false, true, true, false])
})

describe("whoever reports", () => {
  beforeEach(
    () => void vi.useFakeTimers({ now: 12_400, toFake: ["Date", "performance", "setTimeout", "clearTimeout"] })
  )
  afterEach(() => void vi.useRealTimers())

  it("looks each second, each fourth while nothing is new, and within a second where something has happened", () => {
    const pace = new ReportPace()
    let says = "a"
    const looks: string[] = []
    const reporting = reportEverySecond(pace, () =>
      looks.push(`${Date.now()} ${pace.isDue(says) ? "reports" : "looks"}`)
    )
    vi.advanceTimersByTime(8_000)
    expect(looks).toEqual(["13000 reports", "14000 reports", "15000 looks", "16000 looks", "20000 looks"])
    looks.length = 0
    for (const change of ["b", "b", "c"]) {
      says = change
      reporting.stir()
    }
    vi.advanceTimersByTime(8_000)
    expect(looks).toEqual(["21000 reports", "22000 reports", "23000 looks", "24000 reports", "28000 looks"])
    looks.length = 0
    reporting.stir()
    vi.advanceTimersByTime(8_000)
    expect(looks).toEqual(["29000 looks", "32000 looks", "36000 reports"])
  })
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
