/**
 * Who may ask, and how often: the question that a server puts before it looks at a request any closer. The access list and the
 * rate limit answer it; a server without any admits everybody. Nothing here may allocate for a packet.
 */
import type { Ignore, Kiss } from "./outcome.ts"
import type { RequestBatch } from "./request-batch.ts"

export interface Admission {
  /** Whether it passes over whom it does not know where a crowd asks for that; it changes with who asks. */
  readonly sheds: boolean
  /**
   * Called before the first question of each batch. The batch stays as it is until the next call.
   * @param monotonic CLOCK_MONOTONIC, seconds
   * @param count datagrams that the batch is known to have, in its slots from 0 on; more may be asked for
   * @param crowd one of Crowd's numbers (request-batch.ts)
   */
  readonly begin: (batch: RequestBatch, monotonic: number, count?: number, crowd?: number) => void
  /**
   * Called once for every datagram, whatever it is. The sender's family, address and port are those of the batch at `slot`.
   * @param firstByte leap, version and mode as they were sent; 0 of an empty datagram
   * @param length the datagram's, which may be below a header's and above what was kept
   * @returns why it gets no time, or a kiss (RFC 5905 §7.4) in its place; undefined admits it
   */
  readonly judge: (slot: number, firstByte: number, length: number) => Ignore | Kiss | undefined
  /**
   * Called once for every admitted request that would get time now, when it is known whether it proved who sent it.
   * @returns the same
   */
  readonly judgeProof: (slot: number, isAuthenticated: boolean) => Ignore | Kiss | undefined
  /** Whether a reply to the sender may be signed for a Windows client (`restrict … mssntp`); asked after judge. */
  readonly signsFor: (slot: number) => boolean
  /** Whether the sender of an authenticated symmetric packet may become a peer that no line names. */
  readonly mayPeer: (slot: number) => boolean
}
