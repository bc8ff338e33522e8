/**
 * A Kalman filter of one clock against one source. Its state is what a line needs, and one thing more:
 *
 * - offset theta (seconds) and frequency (seconds per second) of the source against our oscillator;
 * - asymmetry: the share of a packet's extra delay that shows in its offset, -0.5 when all queues are on the way back,
 *   +0.5 when all are on the way there, 0 when both are alike.
 *
 * Frequency does a random walk of `wander` (seconds per second per root second). Plain numbers, changed in place.
 */
export interface ClockState {
  offset: number
  frequency: number
  asymmetry: number
  /** Covariance, upper triangle: o offset, f frequency, a asymmetry. */
  oo: number
  of: number
  oa: number
  ff: number
  fa: number
  aa: number
}

/** How fast the asymmetry of a path may change: from symmetric to a tenth off in a day. Variance per second. */
const ASYMMETRY_WANDER = 0.03 ** 2 / 86_400

/** How sure of a path's symmetry one is before having seen it: variance. */
export const ASYMMETRY_PRIOR = 0.15 ** 2

export const copyState = (from: ClockState, to: ClockState): void => void Object.assign(to, from)

/** Moves the state `seconds` ahead under a frequency wander of variance `q` per second. */
export const predict = (s: ClockState, seconds: number, q: number): void => {
  const t = seconds
  s.offset += s.frequency * t
  s.oo += t * (2 * s.of + t * s.ff) + (q * t * t * t) / 3
  s.of += t * s.ff + (q * t * t) / 2
  s.oa += t * s.fa
  s.ff += q * t
  s.aa = Math.min(s.aa + ASYMMETRY_WANDER * t, ASYMMETRY_PRIOR)
  keepCovariance(s)
}

/**
 * Over a gap of days the variances of offset and frequency are so far apart from the samples' that rounding may leave a variance below zero, or
 * two that go together by more than they vary: then what a sample should be has a negative variance, and its likelihood is no number.
 */
const keepCovariance = (s: ClockState): void => {
  s.oo = Math.max(s.oo, 0)
  s.ff = Math.max(s.ff, 0)
  s.aa = Math.max(s.aa, 0)
  s.of = within(s.of, Math.sqrt(s.oo * s.ff))
  s.oa = within(s.oa, Math.sqrt(s.oo * s.aa))
  s.fa = within(s.fa, Math.sqrt(s.ff * s.aa))
}

const within = (value: number, most: number): number => Math.max(-most, Math.min(most, value))

/** Variance of the offset `seconds` from now, without moving the state. */
export const offsetVarianceAhead = (s: Readonly<ClockState>, seconds: number, q: number): number =>
  s.oo + seconds * (2 * s.of + seconds * s.ff) + (q * seconds ** 3) / 3

/** What the next sample with this extra delay should be, and the variance of the guess without the sample's own noise. */
export const expected = (
  s: Readonly<ClockState>,
  extra: number
): { readonly offset: number; readonly variance: number } => ({
  offset: s.offset + s.asymmetry * extra,
  variance: s.oo + extra * (2 * s.oa + extra * s.aa)
})

/**
 * Takes in a sample: `innovation` is the sample less what was expected, `noise` its own variance, seconds squared. The
 * covariance is updated in Joseph's form, which stays positive where the short form loses all digits.
 */
export const correct = (s: ClockState, innovation: number, extra: number, noise: number): void => {
  // Rows of P·Hᵀ with H = [1, 0, extra].
  const po = s.oo + extra * s.oa
  const pf = s.of + extra * s.fa
  const pa = s.oa + extra * s.aa
  const variance = po + extra * pa + noise
  const [ko, kf, ka] = [po / variance, pf / variance, pa / variance]
  s.offset += ko * innovation
  s.frequency += kf * innovation
  s.asymmetry += ka * innovation
  // A = I - K·H, its corners from sums of positive terms; B = A·P; then A·P·Aᵀ + noise·K·Kᵀ.
  const [a00, a02] = [(extra * pa + noise) / variance, -ko * extra]
  const [a10, a12] = [-kf, -kf * extra]
  const [a20, a22] = [-ka, (po + noise) / variance]
  const [b00, b01, b02] = [a00 * s.oo + a02 * s.oa, a00 * s.of + a02 * s.fa, a00 * s.oa + a02 * s.aa]
  const [b10, b11, b12] = [
    a10 * s.oo + s.of + a12 * s.oa,
    a10 * s.of + s.ff + a12 * s.fa,
    a10 * s.oa + s.fa + a12 * s.aa
  ]
  const [b20, b22] = [a20 * s.oo + a22 * s.oa, a20 * s.oa + a22 * s.aa]
  s.oo = b00 * a00 + b02 * a02 + noise * ko * ko
  s.of = b00 * a10 + b01 + b02 * a12 + noise * ko * kf
  s.oa = b00 * a20 + b02 * a22 + noise * ko * ka
  s.ff = b10 * a10 + b11 + b12 * a12 + noise * kf * kf
  s.fa = b10 * a20 + b12 * a22 + noise * kf * ka
  s.aa = b20 * a20 + b22 * a22 + noise * ka * ka
  keepCovariance(s)
  keepPossible(s)
}

/** No more than all of the delay is on one way. What is taken back of the share is taken back of what was learnt with it. */
const keepPossible = (s: ClockState): void => {
  const possible = Math.max(-0.5, Math.min(0.5, s.asymmetry))
  if (possible === s.asymmetry || s.aa <= 0) return
  const back = (possible - s.asymmetry) / s.aa
  s.offset += back * s.oa
  s.frequency += back * s.fa
  s.asymmetry = possible
}

/** A sample as the start of a filter needs it. */
export interface FirstSample {
  readonly offset: number
  /** Delay over the least, seconds. */
  readonly extra: number
  /** Variance of its noise, seconds squared. */
  readonly noise: number
}

/**
 * Starts a state from two samples alone, `seconds` apart, with nothing known of the frequency before. What a wide prior
 * would give, without its loss of digits.
 */
export const startFromTwo = (
  s: ClockState,
  first: FirstSample,
  second: FirstSample,
  seconds: number,
  q: number
): void => {
  const difference = second.extra - first.extra
  const aa = ASYMMETRY_PRIOR
  s.offset = second.offset
  s.frequency = (second.offset - first.offset) / seconds
  s.asymmetry = 0
  s.oo = second.noise + second.extra ** 2 * aa
  s.of = (second.noise + second.extra * difference * aa) / seconds
  s.oa = -second.extra * aa
  s.ff = (first.noise + second.noise + difference ** 2 * aa) / seconds ** 2 + (q * seconds) / 3
  s.fa = (-difference * aa) / seconds
  s.aa = aa
}

/**
 * The least delay is now another by `seconds`: theta is what a packet of least delay shows, so it moves along the asymmetry.
 * Up as down: when the packet that met no queue is forgotten, what the next one showed is not taken for the same.
 */
export const moveLeastDelay = (s: ClockState, seconds: number): void => {
  s.offset += s.asymmetry * seconds
  s.oo += seconds * (seconds * s.aa + 2 * s.oa)
  s.of += seconds * s.fa
  s.oa += seconds * s.aa
}
