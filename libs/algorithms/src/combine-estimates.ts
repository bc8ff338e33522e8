/** Combines the estimates of several sources of one and the same clock into one. */
import type { OffsetEstimate } from "./source-estimator.ts"

export interface EstimateMember {
  readonly estimate: OffsetEstimate
  /** Root delay, seconds: how asymmetric the path may be is unknown, and grows with it. */
  readonly delay: number
}

export type CombinedEstimate = OffsetEstimate

/** Standard deviation of a path's fixed asymmetry as a share of its delay. The bound is one half. */
const ASYMMETRY_SHARE = 0.1

/**
 * Weighs each by the reciprocal of its variance, asymmetry included. The errors of different sources have our own
 * oscillator in common, so variances are averaged, not divided by their number: the claim stays true when they are all
 * wrong together. Undefined when there are none.
 */
export const combineEstimates = (members: readonly EstimateMember[]): CombinedEstimate | undefined => {
  const first = members[0]
  if (first === undefined) return undefined
  const offsetWeights = shares(
    members.map(({ estimate, delay }) => 1 / (estimate.offsetVariance + (ASYMMETRY_SHARE * delay) ** 2))
  )
  const frequencyWeights = shares(members.map(({ estimate }) => 1 / estimate.frequencyVariance))
  const sum = (weights: readonly number[], of: (estimate: OffsetEstimate) => number): number =>
    members.reduce((total, { estimate }, index) => total + (weights[index] as number) * of(estimate), 0)
  const reference = first.estimate.offset
  return {
    offset: reference + sum(offsetWeights, (it) => it.offset - reference),
    frequency: sum(frequencyWeights, (it) => it.frequency),
    offsetVariance: sum(offsetWeights, (it) => it.offsetVariance),
    covariance: sum(offsetWeights, (it) => it.covariance),
    frequencyVariance: sum(frequencyWeights, (it) => it.frequencyVariance),
    wander: sum(frequencyWeights, (it) => it.wander)
  }
}

const shares = (weights: readonly number[]): readonly number[] => {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight) => (Number.isFinite(total) && total > 0 ? weight / total : 1 / weights.length))
}
