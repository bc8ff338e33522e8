/**
 * Why the clock once erred more than chronyd's where networks are ugly, one test for each cause. Each must fail on the code
 * that was before they were mended: `npx node infra/workspace/former.ts` runs them there and says so.
 */
import { describe, expect, it } from "vitest"
import { combineEstimates } from "../src/combine-estimates.ts"
import { rootDistance } from "../src/root-distance.ts"
import type { ClockSample } from "../src/sample.ts"
import type { TrackedSource } from "../src/tracked-source.ts"
import { errorOf, errorOverDraws, exchange, group, jitter, normal, ordinary, report } from "./exchanges.ts"
import { uniform } from "./uniform.ts"

describe("a slow queue is no new route", () => {
  it("takes a queue that grows by 20 ms in half an hour for no new route", () => {
    const random = uniform(1)
    const { rms } = errorOf(1350, 64, (_, t) =>
      exchange(t, 8e-3 + jitter(random) + (0.02 * (t % 1800)) / 1800, 8e-3 + jitter(random))
    )
    expect(rms).toBeLessThan(1e-3)
  })
})

describe("a busy upload says nothing of everyday jitter", () => {
  it("does not hold everyday jitter for one-sided because uploads are", () => {
    const rms = errorOverDraws(1350, 64, (random, t) =>
      exchange(t, 8e-3 + jitter(random) + (t % 3600 < 1200 ? 0.1 * random() : 0), 8e-3 + jitter(random))
    )
    expect(rms).toBeLessThan(0.2e-3)
  })
})

describe("late packets are no noise of those on time", () => {
  it("leaves clean samples clean where one packet in three is late", () => {
    const random = uniform(3)
    const late = (): number => 5e-3 + jitter(random) / 2 + (random() < 0.3 ? 0.1 * random() : 0)
    const { rms, deviation } = errorOf(400, 64, (_, t) => exchange(t, late(), late()))
    expect(rms).toBeLessThan(0.4e-3)
    expect(deviation).toBeLessThan(0.5e-3)
  })
})

describe("delays that tell nothing", () => {
  it("are taken for nothing: they vary about a mean, both ways alike", () => {
    const rms = errorOverDraws(400, 64, (random, t) =>
      exchange(t, 0.01 + 1e-3 * normal(random), 0.01 + 1e-3 * normal(random))
    )
    expect(rms).toBeLessThan(0.22e-3)
  })
})

describe("an oscillator", () => {
  it("is not held for one that wanders when it does not, however rarely it is asked", () => {
    const random = uniform(13)
    const tiny = (): number => 5e-5 + jitter(random) / 1000
    expect(errorOf(300, 1024, (_, t) => exchange(t, tiny(), tiny())).rms).toBeLessThan(0.15e-6)
  })
})

describe("liars among good servers", () => {
  it("readmits a swinging liar neither at its turns nor on its way back", () => {
    const random = uniform(5)
    const { poll } = group(3)
    const swing = (t: number): number => 5e-3 * (1 - Math.cos((2 * Math.PI * t) / 21_600))
    let worst = 0
    let believed = 0
    for (let t = 256; t < 86_400; t += 256) {
      const { error, verdicts } = poll(t, [ordinary(random, t, swing(t)), ordinary(random, t), ordinary(random, t)])
      if (t < 7200) continue
      worst = Math.max(worst, Math.abs(error))
      if (verdicts[0]?.verdict !== "falseticker") believed += 1
    }
    expect(worst).toBeLessThan(1e-3)
    expect(believed).toBe(0)
  })

  it("lets one count little that is off by less than its path would allow", () => {
    const member = (offset: number) => ({
      estimate: { offset, frequency: 0, offsetVariance: 1e-8, covariance: 0, frequencyVariance: 1e-18, wander: 0 },
      delay: 0.016
    })
    expect(Math.abs(combineEstimates([member(5e-3), member(1e-4), member(-1e-4)])?.offset ?? 1)).toBeLessThan(3e-4)
  })

  it("ages an interval by what the estimator knows, not by 15 ppm", () => {
    const random = uniform(8)
    const source = group(1).sources[0] as TrackedSource
    for (let t = 64; t <= 86_400; t += 64) {
      source.polled()
      source.answered(ordinary(random, t), report)
    }
    const [now, later] = [86_400, 86_400 + 1024]
    const grown = rootDistance(source.view(later, 1024), later) - rootDistance(source.view(now, 1024), now)
    expect(grown).toBeGreaterThan(0)
    expect(grown).toBeLessThan(2e-3)
  })
})

describe("what is claimed", () => {
  it("vouches for no less than the distance to what most others say, when a near source says otherwise", () => {
    const random = uniform(9)
    const { poll } = group(3)
    let bound = 0
    let error = 0
    for (let t = 64; t < 6400; t += 64) {
      const far = (): ClockSample => exchange(t, 0.04 + jitter(random), 0.04 + jitter(random))
      const found = poll(t, [exchange(t, 1e-4, 1e-4, 0.02), far(), far()])
      bound = found.bound
      error = found.error
    }
    expect(Math.abs(error)).toBeLessThan(bound)
  })

  it("vouches for no less than a server has leapt, and follows one no closer that leaps all the time", () => {
    const random = uniform(10)
    const { poll } = group(1)
    let untrue = 0
    let squares = 0
    let count = 0
    for (let t = 64; t < 43_200; t += 64) {
      const error = (0.01 * (t % 1800)) / 1800
      const found = poll(t, [exchange(t, 1e-4 + jitter(random) / 50, 1e-4 + jitter(random) / 50, error)])
      if (t < 14_400) continue
      count += 1
      squares += found.error ** 2
      if (Math.abs(found.error) > found.bound) untrue += 1
    }
    expect(untrue).toBe(0)
    expect(Math.sqrt(squares / count)).toBeLessThan(5.6e-3)
  })
})
