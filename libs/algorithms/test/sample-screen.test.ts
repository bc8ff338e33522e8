import { describe, expect, it } from "vitest"
import type { ClockSample } from "../src/sample.ts"
import { SampleScreen } from "../src/sample-screen.ts"
import { TrackedSource } from "../src/tracked-source.ts"

const sample = (time: number, offset: number, delay: number): ClockSample => ({ time, offset, delay, dispersion: 1e-6 })

describe("what is known of a path (chrony.conf's server options)", () => {
  it("passes on what no option speaks of", () => {
    expect(new SampleScreen({}).take(sample(0, 1, 60), undefined)).toEqual(sample(0, 1, 60))
  })

  it("turns away what is later than maxdelay, or than so many times the least", () => {
    const screen = new SampleScreen({ maxdelay: 0.1, maxdelayratio: 2 })
    expect(screen.take(sample(0, 0, 0.11), undefined)).toBe("maxdelay")
    expect(screen.take(sample(1, 0, 0.02), undefined)).toMatchObject({ delay: 0.02 })
    expect(screen.take(sample(2, 0, 0.041), undefined)).toBe("maxdelayratio")
    expect(screen.take(sample(3, 0, 0.039), undefined)).toMatchObject({ delay: 0.039 })
  })

  it("turns away what is late by deviations, unless the clock was stepped", () => {
    const screen = new SampleScreen({ maxdelaydevratio: 2 })
    const foretold = { offset: 0, deviation: 1e-3 }
    screen.take(sample(0, 0, 0.02), foretold)
    expect(screen.take(sample(1, 1e-3, 0.025), foretold)).toBe("maxdelaydevratio")
    expect(screen.take(sample(2, 1e-3, 0.023), foretold)).toMatchObject({ delay: 0.023 })
    expect(screen.take(sample(3, 0.5, 0.03), foretold)).toMatchObject({ offset: 0.5 })
  })

  it("takes known jitter of one way out of the offset", () => {
    const screen = new SampleScreen({ mindelay: 0.02, asymmetry: 0.5 })
    // 10 ms of queue on the way back: the offset is 5 ms too low.
    expect(screen.take(sample(0, -5e-3, 0.03), undefined)).toMatchObject({ offset: expect.closeTo(0, 9), delay: 0.02 })
    const there = new SampleScreen({ mindelay: 0.02, asymmetry: -0.5 })
    expect(there.take(sample(0, 5e-3, 0.03), undefined)).toMatchObject({ offset: expect.closeTo(0, 9), delay: 0.02 })
  })

  it("makes so many samples one, their median", () => {
    const screen = new SampleScreen({ filter: 3 })
    expect(screen.take(sample(0, 3e-3, 0.02), undefined)).toBe("collected")
    expect(screen.take(sample(1, 9, 0.02), undefined)).toBe("collected")
    expect(screen.take(sample(2, 1e-3, 0.02), undefined)).toMatchObject({ offset: 3e-3, time: 0 })
    expect(screen.take(sample(3, 1e-3, 0.02), undefined)).toBe("collected")
  })

  it("counts an answer that is not used as an answer", () => {
    const source = new TrackedSource(
      {
        id: "a",
        prefer: false,
        noselect: false,
        alwaysTrue: false,
        minpoll: 6,
        maxpoll: 10,
        screen: { maxdelay: 0.01 }
      },
      1e-7
    )
    source.polled()
    const report = { stratum: 1, leap: 0, rootDelay: 0, rootDispersion: 0, loop: false }
    expect(source.answered(sample(1, 0, 0.02), report)).toBe("maxdelay")
    expect(source.reach).toBe(1)
    expect(source.estimate(1)).toBeUndefined()
    source.polled()
    expect(source.answered(sample(65, 0, 0.009), report)).toBe("used")
  })
})
