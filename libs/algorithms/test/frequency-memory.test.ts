import { describe, expect, it } from "vitest"
import { ClockDiscipline, defaultDisciplineOptions, type DisciplineOptions } from "../src/discipline.ts"
import { FrequencyMemory } from "../src/frequency-memory.ts"
import { type SourceReport, TrackedSource } from "../src/tracked-source.ts"

describe("what is remembered of the frequency", () => {
  const HOUR = 3600
  /** Ten days at 1 ppm, then two hours at 5 ppm. */
  const warmed = (memory: FrequencyMemory): FrequencyMemory => {
    for (let hour = 0; hour < 240; hour += 1) memory.add(1e-6, HOUR)
    for (let quarter = 0; quarter < 8; quarter += 1) memory.add(5e-6, HOUR / 4)
    return memory
  }

  it("suits the length of the absence by itself", () => {
    const memory = warmed(new FrequencyMemory())
    expect(memory.after(60, 7e-6)).toBe(7e-6)
    expect(memory.after(2 ** 10, 7e-6)).toBeCloseTo(5e-6, 7)
    expect(memory.after(2 ** 19, 7e-6)).toBeLessThan(1.1e-6)
  })

  it("under fallbackdrift is asked from 2^MIN seconds on, at each doubling, and up to 2^MAX", () => {
    const memory = warmed(new FrequencyMemory({ min: 15, max: 17 }))
    expect(memory.after(2 ** 15 - 1, 7e-6)).toBe(7e-6)
    const [first, second, third, later] = [15, 16, 17, 19].map((exponent) => memory.after(2 ** exponent, 7e-6))
    expect(first).toBeGreaterThan(second!)
    expect(second).toBeGreaterThan(third!)
    expect(later).toBe(third)
  })

  it("under fallbackdrift is not asked before it has seen as much as it is over", () => {
    const memory = new FrequencyMemory({ min: 12, max: 13 })
    memory.add(1e-6, 2 ** 12 - 1)
    expect(memory.after(2 ** 13, 7e-6)).toBe(7e-6)
    memory.add(1e-6, 2)
    expect(memory.after(2 ** 13, 7e-6)).toBeCloseTo(1e-6, 12)
  })
})

describe("maxupdateskew", () => {
  const report: SourceReport = { stratum: 1, leap: 0, rootDelay: 0, rootDispersion: 1e-5, loop: false }
  const path = { id: "s", prefer: false, noselect: false, alwaysTrue: false, minpoll: 6, maxpoll: 10 }

  /** A source that is 10 ms ahead and gains 20 ppm on a clock with a drift file of 3 ppm. */
  const after = (polls: number, options: Partial<DisciplineOptions>): ClockDiscipline => {
    const source = new TrackedSource(path, 1e-7)
    const discipline = new ClockDiscipline({ ...defaultDisciplineOptions, ...options }, 0, 3e-6)
    for (let poll = 1; poll <= polls; poll += 1) {
      const time = 64 * poll
      source.polled()
      source.answered({ time, offset: 0.01 + 2e-5 * time, delay: 0.002, dispersion: 1e-6 }, report)
      discipline.decide([source], time)
    }
    return discipline
  }

  it("keeps the frequency while it is known no better, and follows the offset", () => {
    const held = after(40, { maxUpdateSkew: 1e-12 })
    expect(held.tracking(2560)?.frequency).toBe(3e-6)
    expect(held.tracking(2560)?.offset).toBeCloseTo(0.01 + 2e-5 * 2560, 3)
    // The bound says what holding on may cost.
    expect(held.rootDispersion(2560 + 1024) - held.rootDispersion(2560)).toBeGreaterThan(17e-6 * 1024)
  })

  it("has no say once it is known better, and none without a line", () => {
    expect(after(40, { maxUpdateSkew: 1e-3 }).tracking(2560)?.frequency).toBeCloseTo(2e-5, 6)
    expect(after(40, {}).tracking(2560)?.frequency).toBeCloseTo(2e-5, 6)
  })
})
