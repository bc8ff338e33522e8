/** Combining (RFC 5905 §11.2.3): the survivors' offsets averaged, each weighted by the reciprocal of its root distance. */

interface CombineMember {
  /** Seconds. */
  readonly offset: number
  /** Root distance, seconds, above zero. */
  readonly distance: number
  /** The peer's own jitter, seconds. */
  readonly jitter: number
}

interface Combined {
  /** Seconds; never outside the members' offsets. */
  readonly offset: number
  /** Selection jitter of the ensemble against its first member, and that member's own jitter, in quadrature; seconds. */
  readonly jitter: number
}

/** Combines members, the system peer first. Undefined when there are none or a number is not finite or not positive. */
export const combine = (members: readonly CombineMember[]): Combined | undefined => {
  const first = members[0]
  if (first === undefined) return undefined
  let weights = 0
  let offsets = 0
  let squares = 0
  for (const { offset, distance } of members) {
    const weight = 1 / distance
    if (!(distance > 0) || !Number.isFinite(weight) || !Number.isFinite(offset)) return undefined
    weights += weight
    // Differences from the first member, so that a common offset of years costs no precision.
    offsets += weight * (offset - first.offset)
    squares += weight * (offset - first.offset) ** 2
  }
  return {
    offset: first.offset + offsets / weights,
    jitter: Math.hypot(Math.sqrt(squares / weights), first.jitter)
  }
}
