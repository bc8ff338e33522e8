/**
 * Seeded randomness in named streams. Each part of a simulation draws from its own stream, so that changing how often one
 * part draws leaves the others' numbers as they were: two disciplines meet the same oscillator and the same network.
 */
export interface RandomStream {
  /** Uniform in [0, 1). */
  readonly uniform: () => number
  /** Standard normal. */
  readonly normal: () => number
  /** Exponential of mean one. */
  readonly exponential: () => number
}

/** One stream alone, mulberry32: numbers in [0, 1). */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** 32 bits of FNV-1a, with a finish that mixes well enough to seed from. */
const hash = (text: string, basis: number): number => {
  let value = basis >>> 0
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x7feb352d)
  return (value ^ (value >>> 15)) >>> 0
}

/** The stream of this name under this seed: xoshiro128** started from hashes of both. */
export const randomStream = (seed: number, name: string): RandomStream => {
  const text = `${seed}/${name}`
  let [a, b, c, d] = [
    hash(text, 0x811c9dc5),
    hash(text, 0x01234567),
    hash(text, 0x89abcdef),
    hash(text, 0x2545f491) | 1
  ]
  const next = (): number => {
    const scrambled = Math.imul(b, 5)
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = (d << 11) | (d >>> 21)
    return result
  }
  for (let i = 0; i < 16; i += 1) next()
  const uniform = (): number => (next() * 2 ** 21 + (next() >>> 11)) / 2 ** 53
  let spare: number | undefined
  /** Marsaglia's polar method. */
  const normal = (): number => {
    if (spare !== undefined) {
      const value = spare
      spare = undefined
      return value
    }
    for (;;) {
      const x = 2 * uniform() - 1
      const y = 2 * uniform() - 1
      const square = x * x + y * y
      if (square >= 1 || square === 0) continue
      const scale = Math.sqrt((-2 * Math.log(square)) / square)
      spare = y * scale
      return x * scale
    }
  }
  return { uniform, normal, exponential: () => -Math.log(1 - uniform()) }
}
