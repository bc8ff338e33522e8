/**
 * A simulated oscillator and the two clocks that run on it: one that nobody steps (CLOCK_MONOTONIC) and one that somebody
 * may (CLOCK_REALTIME). Errors are kept as differences from true time, so that a month of simulation loses no digits.
 */
import type { RandomStream } from "./sim-random.ts"

export interface OscillatorModel {
  /** Wall clock less true time at the start, seconds. */
  readonly offset: number
  /** Seconds gained per second, constant part. */
  readonly frequency: number
  /** Standard deviation of the change of frequency in one second (random walk). */
  readonly wander: number
  /** Further frequency as a function of true time: temperature, aging. */
  readonly frequencyAt?: (seconds: number) => number
  /** Steps of the wall clock: what is added in the second that begins at this true time. */
  readonly stepAt?: (seconds: number) => number
  /** Reading granularity of both clocks, seconds. */
  readonly quantum?: number
}

interface Oscillator {
  /** Monotonic reading less true time at true time `t`, which may not go back by more than the running second. */
  readonly monotonicError: (t: number) => number
  /** Wall reading less true time. */
  readonly wallError: (t: number) => number
  /** Frequency error in the running second. */
  readonly frequency: () => number
  /** Ends the running second; returns by how much the wall clock was stepped at its end. */
  readonly tick: () => number
  /** Error of one reading, from the granularity: up to half a quantum either way. */
  readonly readingError: () => number
}

export const makeOscillator = (model: OscillatorModel, wander: RandomStream, reading: RandomStream): Oscillator => {
  let second = 0
  let monotonic = 0
  let steps = model.offset
  let walk = 0
  let frequency = model.frequency + (model.frequencyAt?.(0) ?? 0)
  const monotonicError = (t: number): number => monotonic + frequency * (t - second)
  return {
    monotonicError,
    wallError: (t) => monotonicError(t) + steps,
    frequency: () => frequency,
    tick: () => {
      monotonic += frequency
      second += 1
      if (model.wander > 0) walk += model.wander * wander.normal()
      frequency = model.frequency + walk + (model.frequencyAt?.(second) ?? 0)
      const step = model.stepAt?.(second) ?? 0
      steps += step
      return step
    },
    readingError: () => (model.quantum === undefined ? 0 : model.quantum * (reading.uniform() - 0.5))
  }
}
