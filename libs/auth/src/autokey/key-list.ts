/**
 * Key lists (RFC 5906 §9.2): a chain of key ids, each the hash of the one before, spent from its end to its start. Who knows
 * an id can check that it hashes to an earlier one, and cannot tell the next.
 */
import { type AutokeyValues, HIGHEST_SYMMETRIC_KEY_ID } from "@meridian/wire/autokey-fields"
import type { AddressPair, SessionKeys } from "./session-key.ts"

/** NTP_MAXSESSION of the reference: ids in a list. */
const MOST_KEY_IDS = 100
/** 2^12 s, `automax` of the reference: a list lasts no longer, whatever the poll interval. */
const LONGEST_LIST_SECONDS = 4_096

/** A list and where it stands. */
export class KeyList {
  /** What the other side checks the list against. */
  readonly values: AutokeyValues
  private readonly keyIds: readonly number[]
  private left: number

  private constructor(keyIds: readonly number[], values: AutokeyValues) {
    this.keyIds = keyIds
    this.values = values
    this.left = keyIds.length
  }

  /**
   * Hashes a list from a random start. It is shorter than asked where an id comes up that names a symmetric key, or twice.
   * @param pair in the direction in which the packets will go
   * @param randomKeyId above {@link HIGHEST_SYMMETRIC_KEY_ID}
   * @param length 1 … {@link MOST_KEY_IDS}
   */
  static make(keys: SessionKeys, pair: AddressPair, cookie: number, randomKeyId: number, length: number): KeyList {
    const keyIds: number[] = []
    const seen = new Set<number>()
    let keyId = randomKeyId >>> 0
    while (keyIds.length < Math.max(1, Math.min(length, MOST_KEY_IDS))) {
      keyIds.push(keyId)
      seen.add(keyId)
      keyId = keys.nextKeyId(pair, keyId, cookie)
      if (keyId <= HIGHEST_SYMMETRIC_KEY_ID || seen.has(keyId)) break
    }
    return new KeyList(keyIds, { keyId, sequence: keyIds.length - 1 })
  }

  /** As {@link make}, from a start that is drawn. @param randomWord 32 random bits */
  static begin(
    keys: SessionKeys,
    pair: AddressPair,
    cookie: number,
    randomWord: () => number,
    length: number
  ): KeyList {
    let start = 0
    while (start <= HIGHEST_SYMMETRIC_KEY_ID) start = randomWord() >>> 0
    return KeyList.make(keys, pair, cookie, start, length)
  }

  get isSpent(): boolean {
    return this.left === 0
  }

  /** The next packet's key id; undefined when the list is spent. */
  take(): number | undefined {
    if (this.left === 0) return undefined
    this.left -= 1
    return this.keyIds[this.left]
  }
}

/** How many ids a list has whose packets leave once in `pollSeconds`. */
export const keyListLength = (pollSeconds: number): number =>
  Math.max(1, Math.min(MOST_KEY_IDS, Math.floor(LONGEST_LIST_SECONDS / pollSeconds)))

/**
 * Whether a received key id belongs to a chain: hashing it at most `most` times more gives the id received before. Returns the
 * number of packets that are missing between the two, or undefined.
 * @param pair in the packet's direction
 * @param known the id of the packet before, or of the autokey values
 */
export const followsInChain = (
  keys: SessionKeys,
  pair: AddressPair,
  cookie: number,
  keyId: number,
  known: readonly number[],
  most: number
): number | undefined => {
  let hashed = keyId
  for (let missing = 0; missing <= most; missing += 1) {
    hashed = keys.nextKeyId(pair, hashed, cookie)
    if (known.includes(hashed)) return missing
  }
  return undefined
}
