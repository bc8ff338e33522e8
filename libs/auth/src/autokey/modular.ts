/**
 * Arithmetic modulo a number, for the identity schemes. Times depend on the numbers: this is for proofs that take place once an
 * hour with fresh random numbers, not for long-term decryption.
 */

/** base^exponent mod modulus, exponent >= 0, modulus > 0. */
export const power = (base: bigint, exponent: bigint, modulus: bigint): bigint => {
  if (modulus === 1n) return 0n
  // Windows of four bits: a quarter of the multiplications by the base.
  const powers: bigint[] = [1n]
  const reduced = base % modulus
  for (let index = 1; index < 16; index += 1) powers.push((powers[index - 1]! * reduced) % modulus)
  let result = 1n
  for (const digit of exponent.toString(16)) {
    result = (result * result) % modulus
    result = (result * result) % modulus
    result = (result * result) % modulus
    result = (result * result) % modulus
    const window = Number.parseInt(digit, 16)
    if (window > 0) result = (result * powers[window]!) % modulus
  }
  return result
}

export const greatestCommonDivisor = (a: bigint, b: bigint): bigint => {
  let [left, right] = [a, b]
  while (right !== 0n) [left, right] = [right, left % right]
  return left
}

/** The inverse of `value` modulo `modulus`; undefined where there is none. */
export const inverse = (value: bigint, modulus: bigint): bigint | undefined => {
  let [r, next] = [modulus, ((value % modulus) + modulus) % modulus]
  let [t, nextT] = [0n, 1n]
  while (next !== 0n) {
    const quotient = r / next
    ;[r, next] = [next, r - quotient * next]
    ;[t, nextT] = [nextT, t - quotient * nextT]
  }
  return r === 1n ? ((t % modulus) + modulus) % modulus : undefined
}

/** Octets it takes to write a number. */
export const octetLength = (value: bigint): number => Math.ceil(value.toString(16).length / 2)
