/**
 * MACs by the list: the port through which a server verifies a batch of requests and seals its replies in one call each,
 * under keys that were prepared before. The reference implementation is here, over a {@link DigestPort}.
 */
import { moveTimestamp } from "@meridian/time/timestamp"
import type { SymmetricKey } from "./key-table.ts"
import { type DigestPort, equalRange, MAXIMUM_DIGEST_BYTES } from "./mac.ts"
import type { MacAlgorithmName } from "./mac-algorithms.ts"

/**
 * A job is {@link MAC_JOB_STRIDE} integers in an Int32Array, at the positions below. All positions of bytes are offsets
 * into the buffer `packets`, all lengths are bytes.
 */
export const MAC_JOB_STRIDE = 8
export const MacJob = {
  /** {@link MAC_SEAL}, or 0 to verify. */
  flags: 0,
  /** The key's place in the list that was prepared. */
  key: 1,
  messageAt: 2,
  messageLength: 3,
  digestAt: 4,
  /** From 1 to the algorithm's own: the digest's first bytes are written or compared. */
  digestLength: 5,
  /**
   * A 64-bit NTP timestamp within the message that is moved on, just before the MAC is computed, by the time since
   * `stampedAt`; one that is 0 stays 0. 0 here for none: no packet has its timestamp at the start of the buffer.
   */
  stampAt: 6,
  /** Written by run: 1 when sealed or verified, else 0. */
  status: 7
} as const

/** Write the digest; compare it when the flag is not set. */
export const MAC_SEAL = 1

export interface MacBatch {
  readonly kind: "native" | "reference"
  /** Whether this platform has the algorithm. */
  readonly supports: (algorithm: MacAlgorithmName) => boolean
  /**
   * Takes over keys, all of algorithms that are supported, in place of those before: their memory is wiped where it is the
   * implementation's own.
   */
  readonly useKeys: (keys: readonly SymmetricKey[]) => void
  /**
   * Does jobs 0 … count-1. Digests are compared in constant time. Jobs name different packets: none may use what another
   * writes. Throws RangeError for a key that is not there and for ranges outside the buffer: those are mistakes of the
   * caller, never of the packet's sender.
   * @param stampedAt CLOCK_MONOTONIC, seconds, of the reading that the stamps were made of
   */
  readonly run: (jobs: Int32Array, count: number, packets: Uint8Array, stampedAt: number) => void
}

/**
 * A batch over single digests.
 * @param monotonic CLOCK_MONOTONIC, seconds, read before each reply is sealed
 */
export const macBatchOver = (digests: DigestPort, monotonic: () => number): MacBatch => {
  let keys: readonly SymmetricKey[] = []
  const digest = new Uint8Array(MAXIMUM_DIGEST_BYTES)

  const runJob = (jobs: Int32Array, at: number, packets: Uint8Array, stampedAt: number): boolean => {
    const key = keys[jobs[at + MacJob.key]!]
    const messageAt = jobs[at + MacJob.messageAt]!
    const messageLength = jobs[at + MacJob.messageLength]!
    const digestAt = jobs[at + MacJob.digestAt]!
    const digestLength = jobs[at + MacJob.digestLength]!
    const stampAt = jobs[at + MacJob.stampAt]!
    if (key === undefined) throw new RangeError(`a MAC job names key ${jobs[at + MacJob.key]} of ${keys.length}`)
    if (!isWithin(packets, messageAt, messageLength) || !isWithin(packets, digestAt, digestLength))
      throw new RangeError(`a MAC job names bytes outside a buffer of ${packets.length}`)
    if (stampAt !== 0) moveTimestamp(viewOf(packets), stampAt, stampedAt, monotonic())
    digests.digest(key.algorithm.name, key.secret, packets, messageAt, messageLength, digest)
    if ((jobs[at + MacJob.flags]! & MAC_SEAL) === 0) return equalRange(packets, digestAt, digest, digestLength)
    for (let index = 0; index < digestLength; index += 1) packets[digestAt + index] = digest[index]!
    return true
  }

  return {
    kind: "reference",
    supports: digests.supports,
    useKeys: (next) => {
      keys = next
    },
    run: (jobs, count, packets, stampedAt) => {
      for (let at = 0; at < count * MAC_JOB_STRIDE; at += MAC_JOB_STRIDE)
        jobs[at + MacJob.status] = runJob(jobs, at, packets, stampedAt) ? 1 : 0
    }
  }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const isWithin = (bytes: Uint8Array, at: number, length: number): boolean =>
  at >= 0 && length >= 0 && at + length <= bytes.length
