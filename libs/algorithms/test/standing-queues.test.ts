/** Queues that stand for hours on one way, and ways that have none: one test for each cause of error behind them. */
import { describe, expect, it } from "vitest"
import { DelayFloor } from "../src/delay-floor.ts"
import { SourceEstimator } from "../src/source-estimator.ts"
import { uniform } from "./uniform.ts"

const HOUR = 3600

const SEEDS = [15, 16, 17, 18, 19, 20]

interface World {
  readonly hours: number
  readonly settling: number
  /** Between exchanges, seconds. */
  readonly interval: number
  /** Mean of the exponential jitter on the ways there and back, seconds. */
  readonly jitter: readonly [there: number, back: number]
  /** What is on the way there besides, seconds. */
  readonly queue?: (t: number) => number
}

/** Mean and root mean square of the error after settling, seconds: our clock is as right as the server's. */
const errorIn = ({ hours, settling, interval, jitter, queue = () => 0 }: World) => {
  let [sum, squares, count] = [0, 0, 0]
  for (const seed of SEEDS) {
    const random = uniform(seed)
    const exponential = (): number => -Math.log(1 - random())
    const estimator = new SourceEstimator(1e-6)
    for (let t = 0; t < hours * HOUR; t += interval) {
      const there = 8e-3 + jitter[0] * exponential() + queue(t)
      const back = 8e-3 + jitter[1] * exponential()
      estimator.add({ time: t, offset: (there - back) / 2, delay: there + back, dispersion: 1e-6 })
      if (t < settling * HOUR) continue
      const error = estimator.estimate(t)?.offset ?? 0
      sum += error
      squares += error ** 2
      count += 1
    }
  }
  return { mean: sum / count, rms: Math.sqrt(squares / count) }
}

const sawtooth =
  (height: number, period: number) =>
  (t: number): number =>
    (height * (t % period)) / period

describe("queues that stand", () => {
  it("learns from one draining that a queue of hours is on one way, and does not unlearn it from jitter that is on both", () => {
    const queue = sawtooth(0.02, 8 * HOUR)
    const { rms } = errorIn({ hours: 32, settling: 9, interval: 512, jitter: [1e-3, 1e-3], queue })
    expect(rms).toBeLessThan(1.2e-3)
  })

  it("finds the least delay of a queue whose polls meet it empty once in days", () => {
    const floor = new DelayFloor()
    // Polls that drift through the queue's period by half a minute each time it drains.
    for (let t = 0; t < 60 * HOUR; t += 1024) floor.add(t, 0.016 + sawtooth(0.1, 2 * HOUR)(t))
    expect(floor.least).toBe(0.016)
    const { rms } = errorIn({
      hours: 60,
      settling: 12,
      interval: 1024,
      jitter: [1e-3, 1e-3],
      queue: sawtooth(0.1, 2 * HOUR)
    })
    expect(rms).toBeLessThan(1.5e-3)
  })

  it("says of the last packets what all of them met", () => {
    const floor = new DelayFloor()
    for (const [i, delay] of [0.01, 0.03, 0.02, 0.025, 0.04].entries()) floor.add(64 * i, delay)
    expect(floor.common).toBe(0.02)
    floor.add(320, 0.012)
    expect(floor.common).toBe(0.012)
  })

  it("counts in the jitter of the way that has no queues, which is never negative", () => {
    const { mean } = errorIn({ hours: 24, settling: 8, interval: 64, jitter: [0.2e-3, 4e-3] })
    expect(Math.abs(mean)).toBeLessThan(0.08e-3)
  })
})
