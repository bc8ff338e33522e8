import { describe, expect, it } from "vitest"
import { Chance, type RateLimit, RateLimiter, RateVerdict } from "@meridian/protocol/access/rate-limit"

const ntpsec: RateLimit = { law: "score", average: 1, burst: 20, kod: 0.5 }
const classic: RateLimit = { law: "headway", average: 3, minimum: 2 }
const chrony: RateLimit = { law: "tokens", interval: 3, burst: 8, leak: 2, kod: 0 }

/** Packets `every` seconds for `seconds`: what became of each. */
const ask = (
  limit: RateLimit,
  every: number,
  seconds: number,
  chance: (index: number) => number = () => 0.999
): RateVerdict[] => {
  let packet = 0
  const limiter = new RateLimiter(limit, { next: () => chance(packet) })
  limiter.begin()
  let { level } = limiter
  const verdicts: RateVerdict[] = [RateVerdict.pass]
  for (let index = 1; index * every < seconds; index += 1) {
    packet = index
    verdicts.push(limiter.judge(level, every))
    level = limiter.level
  }
  return verdicts
}
const passed = (verdicts: readonly RateVerdict[]): number => verdicts.filter((one) => one === RateVerdict.pass).length
const kissed = (verdicts: readonly RateVerdict[]): number => verdicts.filter((one) => one === RateVerdict.kiss).length

describe("NTPsec's limit", () => {
  it("lets a burst through and one packet a second for ever", () => {
    expect(passed(ask(ntpsec, 0.001, 0.019))).toBe(19)
    expect(passed(ask({ ...ntpsec, average: 1.1 }, 1, 10_000))).toBe(10_000)
  })

  it("answers nobody who stays over it, and kisses half a burst of his packets", () => {
    const verdicts = ask(ntpsec, 0.0005, 60)
    expect(passed(verdicts)).toBe(20)
    expect(kissed(verdicts)).toBe(10)
  })

  it("answers him again when he has paused", () => {
    const limiter = new RateLimiter(ntpsec, new Chance(1))
    expect(limiter.judge(2000, 60)).toBe(RateVerdict.drop)
    expect(limiter.judge(2000, 200)).toBe(RateVerdict.pass)
    expect(limiter.isOver(2000, 60)).toBe(true)
    expect(limiter.isOver(2000, 200)).toBe(false)
  })
})

describe("the classic ntpd's discard", () => {
  it("answers for ever who keeps the average", () => {
    expect(passed(ask(classic, 8, 80_000))).toBe(10_000)
  })

  it("is silent when the reserve is spent, but for a kiss every nine seconds, until he pauses", () => {
    const verdicts = ask(classic, 1, 400)
    const first = verdicts.indexOf(RateVerdict.kiss)
    expect(first).toBe(13)
    expect(passed(verdicts)).toBe(first)
    expect(kissed(verdicts.slice(first))).toBe(Math.ceil((400 - first) / 9))
    const limiter = new RateLimiter(classic, new Chance(1))
    expect(limiter.judge(72, 17)).toBe(RateVerdict.pass)
  })

  it("keeps two packets apart", () => {
    const limiter = new RateLimiter({ ...classic, minimum: 4 }, new Chance(1))
    expect(limiter.judge(0, 1)).toBe(RateVerdict.kiss)
    expect(limiter.judge(0, 3)).toBe(RateVerdict.pass)
  })
})

describe("chrony's ratelimit", () => {
  it("gives a burst and then a token each interval", () => {
    expect(passed(ask(chrony, 0.001, 0.1))).toBe(8)
    expect(passed(ask(chrony, 1, 800))).toBeGreaterThanOrEqual(107)
    expect(passed(ask(chrony, 1, 800))).toBeLessThanOrEqual(108)
  })

  it("leaks by chance, and kisses of what it drops", () => {
    const uniform = (index: number): number => ((index * 7919) % 1000) / 1000
    const verdicts = ask({ ...chrony, kod: 1 }, 0.001, 10, uniform)
    expect(passed(verdicts) / verdicts.length).toBeCloseTo(1 / 4, 1)
    expect(kissed(verdicts) / verdicts.length).toBeCloseTo(3 / 8, 1)
    expect(passed(ask({ ...chrony, leak: 0 }, 0.001, 10, () => 0))).toBe(9)
  })

  it("takes none back for what it drops: twice the limit gets exactly the limit", () => {
    expect(passed(ask({ ...chrony, interval: -3, burst: 8, leak: 0 }, 1 / 16, 100))).toBe(807)
  })
})
