/**
 * The ring of cookie master keys. A generation is minted before it is used, seals cookies while it is the newest active
 * one, and goes on opening them until it retires. Rings are immutable: a rotation makes a new ring, which a worker takes
 * over in one assignment.
 */

/** Bytes of a master key: AEAD_AES_SIV_CMAC_256. */
export const MASTER_KEY_BYTES = 32

/** Generations one ring can hold; a rotation each day and a year of them fits nowhere near. */
export const MAXIMUM_GENERATIONS = 64

export interface Generation {
  /** 0 … 2^32-1, written in every cookie it seals. */
  readonly id: number
  /** {@link MASTER_KEY_BYTES} bytes. */
  readonly key: Uint8Array
  /** Unix seconds from which it seals. Before that it opens: a neighbour's clock may be ahead of ours. */
  readonly activation: number
  /** Unix seconds from which it neither seals nor opens. */
  readonly retirement: number
  /** Withdrawn by an operator: neither seals nor opens, whatever the time. */
  readonly revoked: boolean
}

/** Why a generation does not open a cookie. */
export type Refusal = "unknown" | "retired" | "revoked"

/** A list of generations that cannot be a ring. */
export class InvalidKeyRing extends Error {
  readonly _tag = "InvalidKeyRing"
}

export class KeyRing {
  static readonly empty = new KeyRing([])

  /** By activation, oldest first. */
  readonly generations: readonly Generation[]

  private constructor(generations: readonly Generation[]) {
    this.generations = generations
  }

  /** A ring of these generations, in any order. Throws {@link InvalidKeyRing}, which names the generation. */
  static of(generations: readonly Generation[]): KeyRing {
    if (generations.length > MAXIMUM_GENERATIONS)
      throw new InvalidKeyRing(
        `a ring holds at most ${MAXIMUM_GENERATIONS} generations, found ${generations.length}: drop the retired ones`
      )
    const seen = new Set<number>()
    for (const generation of generations) {
      const problem = problemOf(generation) ?? (seen.has(generation.id) ? "its id is used twice" : undefined)
      if (problem !== undefined) throw new InvalidKeyRing(`master key generation ${generation.id}: ${problem}`)
      seen.add(generation.id)
    }
    return new KeyRing(generations.toSorted((a, b) => a.activation - b.activation || a.id - b.id))
  }

  /** The generation that seals at this moment (Unix seconds): the latest activated that is neither retired nor revoked. */
  activeAt(now: number): Generation | undefined {
    return this.generations.findLast(
      (generation) => generation.activation <= now && refusalAt(generation, now) === undefined
    )
  }

  /** The generation that opens cookies carrying this id at this moment (Unix seconds), or why none does. */
  accept(id: number, now: number): Generation | Refusal {
    const generation = this.generations.find((candidate) => candidate.id === id)
    return generation === undefined ? "unknown" : (refusalAt(generation, now) ?? generation)
  }
}

/** Why a generation may not be used at a moment (Unix seconds), undefined when it may. */
export const refusalAt = (generation: Generation, now: number): Refusal | undefined =>
  generation.revoked ? "revoked" : now >= generation.retirement ? "retired" : undefined

const problemOf = (generation: Generation): string | undefined => {
  if (!Number.isInteger(generation.id) || generation.id < 0 || generation.id > 0xffffffff)
    return "expected an id from 0 to 4294967295"
  if (generation.key.length !== MASTER_KEY_BYTES)
    return `expected a key of ${MASTER_KEY_BYTES} bytes, found ${generation.key.length}`
  // Written so that NaN is refused too.
  if (!(generation.activation < generation.retirement)) return "expected its activation before its retirement"
  return undefined
}
