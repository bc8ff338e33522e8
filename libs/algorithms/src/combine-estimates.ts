/** Combines the estimates of several sources of one and the same clock into one. */
import type { OffsetEstimate } from "./source-estimator.ts"

interface EstimateMember {
  readonly estimate: OffsetEstimate
  /** Root delay, seconds: how asymmetric the path may be is unknown, and grows with it. */
  readonly delay: number
}

export type CombinedEstimate = OffsetEstimate

/** Standard deviation of a path's fixed asymmetry as a share of its delay. The bound is one half. */
const ASYMMETRY_SHARE = 0.1

/** Degrees of freedom of Student's t: a member far off counts little, one at two deviations still counts. */
const TAILS = 2
const ROUNDS = 5
/** Least part of the asymmetry that is assumed, however well members agree: they may agree by chance. */
const LEAST_SHARE = 0.1

/**
 * Weighs each by the reciprocal of its variance, asymmetry included, and less the farther it is from the others. How far
 * that is, is measured by how far they really are apart: where paths turn out to be symmetric, one that is off by less than
 * its delay would allow is seen all the same.
 *
 * The errors of different sources have our own oscillator in common, so variances are averaged, not divided by their
 * number: the claim stays true when they are all wrong together. Undefined when there are none.
 */
export const combineEstimates = (members: readonly EstimateMember[]): CombinedEstimate | undefined => {
  const first = members[0]
  if (first === undefined) return undefined
  const reference = first.estimate.offset
  const trust = trustOf(members)
  const offsetWeights = shares(members.map((member, i) => (trust[i] as number) / varianceOf(member, 1)))
  const frequencyWeights = shares(members.map(({ estimate }, i) => (trust[i] as number) / estimate.frequencyVariance))
  const sum = (weights: readonly number[], of: (estimate: OffsetEstimate) => number): number =>
    members.reduce((total, { estimate }, index) => total + (weights[index] as number) * of(estimate), 0)
  return {
    offset: reference + sum(offsetWeights, (it) => it.offset - reference),
    frequency: sum(frequencyWeights, (it) => it.frequency),
    offsetVariance: sum(offsetWeights, (it) => it.offsetVariance),
    covariance: sum(offsetWeights, (it) => it.covariance),
    frequencyVariance: sum(frequencyWeights, (it) => it.frequencyVariance),
    wander: sum(frequencyWeights, (it) => it.wander)
  }
}

/** @param share of the asymmetry that a path of this delay may have */
const varianceOf = ({ estimate, delay }: EstimateMember, share: number): number =>
  estimate.offsetVariance + (share * ASYMMETRY_SHARE * delay) ** 2

/** How far each member is to be trusted, 0 … 1, by its distance from the middle of them all. One or two are never doubted. */
const trustOf = (members: readonly EstimateMember[]): readonly number[] => {
  let trust = members.map(() => 1)
  if (members.length < 3) return trust
  const reference = (members[0] as EstimateMember).estimate.offset
  const offsets = members.map(({ estimate }) => estimate.offset - reference)
  let middle = weightedMedian(
    offsets,
    members.map((member) => 1 / varianceOf(member, 1))
  )
  const apart = offsets
    .map((offset, i) => Math.abs(offset - middle) / Math.sqrt(varianceOf(members[i] as EstimateMember, 1)))
    .toSorted((a, b) => a - b)
  const share = Math.min(1, Math.max(LEAST_SHARE, 1.5 * (apart[apart.length >> 1] as number)))
  for (let round = 0; round < ROUNDS; round += 1) {
    trust = members.map((member, i) => {
      const squared = ((offsets[i] as number) - middle) ** 2 / varianceOf(member, share)
      return (TAILS + 1) / (TAILS + 1 + squared)
    })
    const weights = shares(members.map((member, i) => (trust[i] as number) / varianceOf(member, share)))
    middle = weights.reduce((total, weight, i) => total + weight * (offsets[i] as number), 0)
  }
  return trust
}

const weightedMedian = (values: readonly number[], weights: readonly number[]): number => {
  const order = values.map((_, i) => i).toSorted((a, b) => (values[a] as number) - (values[b] as number))
  const half = weights.reduce((sum, weight) => sum + weight, 0) / 2
  let passed = 0
  for (const i of order) {
    passed += weights[i] as number
    if (passed >= half) return values[i] as number
  }
  return values[order.at(-1) as number] as number
}

const shares = (weights: readonly number[]): readonly number[] => {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight) => (Number.isFinite(total) && total > 0 ? weight / total : 1 / weights.length))
}
