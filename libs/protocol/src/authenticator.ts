/**
 * One way in which requests prove who sent them and replies do the same. A server has a list of them and asks each in turn
 * whether a request with a trailer is its own. Requests are taken in one by one and decided together, so that a batch costs
 * two calls of the implementation that computes:
 *
 *     begin → admit each → verify → (for each: verdict, the reply's header is written, reply) → seal
 *
 * Nothing is allocated for a packet; slots are the batch's.
 */
import type { Trailer } from "@meridian/wire/trailer"
import type { Outcome, Pending } from "./outcome.ts"
import type { RequestBatch } from "./request-batch.ts"

export interface Authenticator {
  /**
   * Called before the first request of a batch that has a trailer.
   * @param now Unix seconds, by which keys' lifetimes are judged
   * @param monotonic CLOCK_MONOTONIC, seconds
   */
  readonly begin: (batch: RequestBatch, now: number, monotonic: number) => void
  /**
   * Takes in the request of `length` bytes at `offset`, whose trailer has been scanned.
   * @returns undefined where it is none of this authenticator's; `pending` where verify decides it; else its outcome at once,
   *   and where that is a reply (a crypto-NAK), {@link reply} is called next
   */
  readonly admit: (slot: number, offset: number, length: number, trailer: Trailer) => Outcome | Pending | undefined
  /** Decides all that were admitted and are pending. */
  readonly verify: () => void
  /** What became of a slot after verify, asked once; undefined where the slot holds no request of this authenticator. */
  readonly verdict: (slot: number) => Outcome | undefined
  /**
   * Completes the reply whose header the server has written over the request at `offset`. Never longer than the request.
   * @returns its length; its bytes are final after seal
   */
  readonly reply: (slot: number, offset: number) => number
  /**
   * Seals the batch's replies and forgets every slot.
   * @param stampedAt CLOCK_MONOTONIC, seconds, of the reading that their transmit timestamps were made of: each is moved on by
   *   the time since, just before its reply is sealed
   */
  readonly seal: (stampedAt: number) => void
}
