/** Exchanges with servers over paths as tests want them, and what an estimator or a whole discipline makes of them. */
import { ClockDiscipline, defaultDisciplineOptions } from "../src/discipline.ts"
import type { ClockSample } from "../src/sample.ts"
import { SourceEstimator } from "../src/source-estimator.ts"
import { type SourceReport, TrackedSource } from "../src/tracked-source.ts"
import { uniform } from "./uniform.ts"

/** A server of stratum 1. */
export const report: SourceReport = { stratum: 1, leap: 0, rootDelay: 0, rootDispersion: 1e-5, loop: false }

/** An exchange with a server that is `error` ahead, over ways that take `there` and `back`: seconds. */
export const exchange = (time: number, there: number, back: number, error = 0): ClockSample => ({
  time,
  offset: error + (there - back) / 2,
  delay: there + back,
  dispersion: 1e-6
})

/** What everyday queues add to one way of 1 ms on the average, seconds. */
export const jitter = (random: () => number): number => -1e-3 * Math.log(1 - random())

/** A number drawn from the standard normal distribution, nearly. */
export const normal = (random: () => number): number =>
  Array.from({ length: 12 }, random).reduce((sum, it) => sum + it, -6)

/** Root mean square of the error, and the deviation that was claimed: seconds. */
export interface EstimateError {
  readonly rms: number
  readonly deviation: number
}

/** Feeds exchanges to an estimator, and says how far off its offset is in the second half: the truth is 0. */
export const errorOf = (
  count: number,
  interval: number,
  sample: (i: number, t: number) => ClockSample
): EstimateError => {
  const estimator = new SourceEstimator(1e-6)
  let squares = 0
  let variances = 0
  for (let i = 0; i < count; i += 1) {
    estimator.add(sample(i, i * interval))
    const found = estimator.estimate(i * interval)
    if (i < count / 2) continue
    squares += (found?.offset ?? 0) ** 2
    variances += found?.offsetVariance ?? 0
  }
  return { rms: Math.sqrt((2 * squares) / count), deviation: Math.sqrt((2 * variances) / count) }
}

/** The same of ten draws, each with numbers of its own: the root mean square of all errors, seconds. */
export const errorOverDraws = (
  count: number,
  interval: number,
  sample: (random: () => number, t: number) => ClockSample
): number => {
  let squares = 0
  for (let seed = 1; seed <= 10; seed += 1) {
    const random = uniform(7 * seed)
    squares += errorOf(count, interval, (_, t) => sample(random, t)).rms ** 2
  }
  return Math.sqrt(squares / 10)
}

/** Sources of a discipline that are asked together, and what it serves: our clock is right, and true time is 0. */
export const group = (count: number) => {
  const sources = Array.from(
    { length: count },
    (_, i) =>
      new TrackedSource(
        { id: `s${i}`, prefer: false, noselect: false, alwaysTrue: false, minpoll: 6, maxpoll: 10 },
        1e-7
      )
  )
  const discipline = new ClockDiscipline(defaultDisciplineOptions)
  return {
    sources,
    discipline,
    poll: (now: number, samples: readonly ClockSample[]) => {
      for (const [i, source] of sources.entries()) {
        source.polled()
        source.answered(samples[i] as ClockSample, report)
      }
      const { decision } = discipline.decide(sources, now)
      return {
        error: discipline.served(now).offset,
        bound: discipline.rootDistance(now),
        verdicts: decision.verdicts
      }
    }
  }
}

/** An exchange over a path of 16 ms with everyday jitter both ways. */
export const ordinary = (random: () => number, t: number, error = 0): ClockSample =>
  exchange(t, 8e-3 + jitter(random), 8e-3 + jitter(random), error)
