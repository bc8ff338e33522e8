/**
 * Session-keyed MACs by the list: the port through which a server verifies a batch of requests and seals its replies in one
 * call each (RFC 5906 §9.1, §11.4). All of it is computed from addresses, key ids and the server's secret; nothing is kept. The
 * reference implementation is here, over a {@link DigestPort}.
 */
import { HEADER_BYTES, Offset } from "@meridian/wire/ntp"
import { moveTimestamp } from "@meridian/time/timestamp"
import { type DigestPort, equalRange, KEY_ID_BYTES, MAXIMUM_DIGEST_BYTES } from "../symmetric/mac.ts"
import type { MacAlgorithmName } from "../symmetric/mac-algorithms.ts"
import { SessionKeys } from "./session-key.ts"

/** A job is {@link SESSION_JOB_STRIDE} integers in an Int32Array, at the positions below. */
export const SESSION_JOB_STRIDE = 5
/** {@link SESSION_SEAL} or 0 to verify, and {@link SESSION_IPV6}. */
export const SESSION_JOB_FLAGS = 0
/** In the buffer of addresses: the client's at once, the server's {@link SESSION_ADDRESS_STRIDE} bytes behind. */
export const SESSION_JOB_ADDRESSES_AT = 1
/** In the buffer of packets: a header, a key id and room for the digest, which a MAC cuts at 20 bytes. */
export const SESSION_JOB_PACKET_AT = 2
/** Written when a request is verified, read when its reply is sealed: 32 bits. */
export const SESSION_JOB_COOKIE = 3
/** Written by run: 1 when sealed or verified, else 0. */
export const SESSION_JOB_STATUS = 4

export const SESSION_SEAL = 1
export const SESSION_IPV6 = 2
export const SESSION_ADDRESS_STRIDE = 16

export interface SessionBatch {
  readonly kind: "native" | "reference"
  /** Octets of a MAC, key id included. */
  readonly macBytes: number
  /**
   * Does jobs 0 … count-1. A request is verified by the cookie of the current secret, and where that fails by the previous
   * one's; a reply's transmit timestamp is moved on by the time since `stampedAt` before its MAC is computed. Digests are
   * compared in constant time. Throws RangeError for ranges outside the buffers: those are mistakes of the caller.
   * @param stampedAt CLOCK_MONOTONIC, seconds; -Infinity where no job seals
   */
  readonly run: (
    jobs: Int32Array,
    count: number,
    packets: Uint8Array,
    addresses: Uint8Array,
    current: number | undefined,
    previous: number | undefined,
    stampedAt: number
  ) => void
}

/**
 * A batch over single digests.
 * @param monotonic CLOCK_MONOTONIC, seconds, read before each reply is sealed
 * @throws RangeError for a digest that this platform lacks
 */
export const sessionBatchOver = (
  digests: DigestPort,
  algorithm: MacAlgorithmName,
  monotonic: () => number
): SessionBatch => {
  const keys = new SessionKeys(digests, algorithm)
  const { macBytes } = keys
  const digestBytes = macBytes - KEY_ID_BYTES
  const digest = new Uint8Array(MAXIMUM_DIGEST_BYTES)
  const packetBytes = HEADER_BYTES + macBytes

  return {
    kind: "reference",
    macBytes,
    run: (jobs, count, packets, addresses, current, previous, stampedAt) => {
      const view = new DataView(packets.buffer, packets.byteOffset, packets.byteLength)
      for (let at = 0; at < count * SESSION_JOB_STRIDE; at += SESSION_JOB_STRIDE) {
        const flags = jobs[at + SESSION_JOB_FLAGS]!
        const addressesAt = jobs[at + SESSION_JOB_ADDRESSES_AT]!
        const packetAt = jobs[at + SESSION_JOB_PACKET_AT]!
        if (addressesAt < 0 || addressesAt + 2 * SESSION_ADDRESS_STRIDE > addresses.length)
          throw new RangeError(`a session job names addresses outside a buffer of ${addresses.length}`)
        if (packetAt < 0 || packetAt + packetBytes > packets.length)
          throw new RangeError(`a session job names a packet outside a buffer of ${packets.length}`)
        const length = (flags & SESSION_IPV6) === 0 ? 4 : 16
        const serverAt = addressesAt + SESSION_ADDRESS_STRIDE
        const client = addresses.subarray(addressesAt, addressesAt + length)
        const server = addresses.subarray(serverAt, serverAt + length)
        const macAt = packetAt + HEADER_BYTES
        const keyId = view.getUint32(macAt)
        if ((flags & SESSION_SEAL) !== 0) {
          moveTimestamp(view, packetAt + Offset.transmit, stampedAt, monotonic())
          const back = { source: server, destination: client }
          const key = keys.sessionKey(back, keyId, jobs[at + SESSION_JOB_COOKIE]! >>> 0)
          digests.digest(algorithm, key, packets, packetAt, HEADER_BYTES, digest)
          packets.set(digest.subarray(0, digestBytes), macAt + KEY_ID_BYTES)
          jobs[at + SESSION_JOB_STATUS] = 1
          continue
        }
        const pair = { source: client, destination: server }
        jobs[at + SESSION_JOB_STATUS] = 0
        for (const secret of [current, previous]) {
          if (secret === undefined || jobs[at + SESSION_JOB_STATUS] === 1) continue
          const cookie = keys.cookie(pair, secret)
          const key = keys.sessionKey(pair, keyId, cookie)
          digests.digest(algorithm, key, packets, packetAt, HEADER_BYTES, digest)
          jobs[at + SESSION_JOB_COOKIE] = cookie | 0
          const isGood = equalRange(packets, macAt + KEY_ID_BYTES, digest, digestBytes)
          jobs[at + SESSION_JOB_STATUS] = isGood ? 1 : 0
        }
      }
    }
  }
}
