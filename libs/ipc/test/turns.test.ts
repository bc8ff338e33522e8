import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { everyTurn, untilTurn } from "../src/turns.ts"

describe("turns", () => {
  beforeEach(
    () => void vi.useFakeTimers({ now: 10_400, toFake: ["Date", "performance", "setTimeout", "clearTimeout"] })
  )
  afterEach(() => void vi.useRealTimers())

  it("come at whole multiples, whenever they were begun, and so together", () => {
    const seen: string[] = []
    const first = everyTurn(1_000, () => seen.push(`a ${Date.now()}`))
    vi.advanceTimersByTime(130)
    const second = everyTurn(500, () => seen.push(`b ${Date.now()}`))
    const late = everyTurn(1_000, () => seen.push(`c ${Date.now()}`), { after: 25 })
    vi.advanceTimersByTime(1_500)
    first.stop()
    vi.advanceTimersByTime(1_000)
    second.stop()
    late.stop()
    expect(seen).toEqual([
      "a 11000",
      "b 11000",
      "c 11025",
      "b 11500",
      "a 12000",
      "b 12000",
      "c 12025",
      "b 12500",
      "b 13000",
      "c 13025"
    ])
    expect(vi.getTimerCount()).toBe(0)
  })

  it("come sooner where asked to, and never later", () => {
    const seen: number[] = []
    const turns = everyTurn(4_000, () => seen.push(Date.now()), { after: 25 })
    turns.sooner(1_000)
    turns.sooner(4_000)
    vi.advanceTimersByTime(2_000)
    turns.sooner(1_000)
    vi.advanceTimersByTime(8_000)
    turns.stop()
    expect(seen).toEqual([11_025, 12_025, 13_025, 16_025, 20_025])
  })

  it("go on when the clock is set, at most one interval late", () => {
    const seen: number[] = []
    const turns = everyTurn(1_000, () => seen.push(performance.now()))
    vi.advanceTimersByTime(700)
    vi.setSystemTime(3_600_000)
    const set = performance.now()
    vi.advanceTimersByTime(3_000)
    turns.stop()
    const gaps = [set, ...seen.filter((at) => at > set)].map((at, index, all) =>
      index === 0 ? 0 : at - all[index - 1]!
    )
    expect(seen.length).toBeGreaterThanOrEqual(4)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(2_000)
  })

  it("do not take others with them where one throws", () => {
    let turned = 0
    const bad = everyTurn(1_000, () => {
      throw new Error("no")
    })
    const good = everyTurn(1_000, () => void (turned += 1))
    expect(() => vi.advanceTimersByTime(1_000)).toThrow("no")
    expect(() => vi.advanceTimersByTime(1_000)).toThrow("no")
    bad.stop()
    vi.advanceTimersByTime(1_000)
    good.stop()
    expect(turned).toBeGreaterThanOrEqual(1)
  })

  it("do not come twice where a timer was early", () => {
    expect(untilTurn(1_000, 0, 9_999)).toBe(1_001)
    expect(untilTurn(1_000, 25, 0)).toBe(25)
    expect(untilTurn(250, 0, 1_100)).toBe(150)
  })
})
