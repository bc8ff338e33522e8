/**
 * Which packet answers which: the origin test of RFC 5905 §9.2 and its interleaved form (RFC 9769), for clients. What is
 * common to clients and symmetric peers is {@link Exchanges}; the peers' side is in association-symmetric.ts.
 *
 * A basic reply tells when the source sent it, as far as the source knew beforehand. An interleaved one tells when the
 * reply before it really left; the sample is then of the exchange before.
 */
import { differenceSeconds, type NtpTimestamp } from "@meridian/time/timestamp"
import { Mode, type NtpHeader } from "@meridian/wire/ntp"
import type { DropReason } from "./association-action.ts"
import type { ExchangeTimes } from "./association-measurement.ts"
import type { Moment } from "./association-options.ts"

/** How a packet relates to what we sent. */
export type Match = "basic" | "interleaved" | DropReason

export const isMatched = (match: Match): match is "basic" | "interleaved" =>
  match === "basic" || match === "interleaved"

export interface Exchanges {
  /** Whether a packet that answers nothing still carries the protocol on, once it is found authentic. */
  readonly learnsUnasked: boolean
  /** The header to send now. A reply to what was sent before is not waited for any more. */
  readonly begin: (exchange: number, now: Moment, poll: number) => NtpHeader
  /** When a packet left, by our clock: a better stamp than the moment it was made. */
  readonly transmitted: (exchange: number, stamp: NtpTimestamp) => void
  /** Judges by timestamps alone, and changes nothing. */
  readonly match: (header: NtpHeader) => Match
  /** Takes note of an authentic packet. Gives the times of the exchange it completes, if any. */
  readonly take: (
    header: NtpHeader,
    match: Match,
    arrival: NtpTimestamp,
    monotonic: number
  ) => ExchangeTimes | DropReason
  /** Forgets what was sent and heard: nothing under way can be measured any more. */
  readonly forget: () => void
}

export const NO_TIME = 0n as NtpTimestamp

/** A request under way. */
export interface Sent {
  readonly exchange: number
  readonly receiveField: NtpTimestamp
  readonly transmitField: NtpTimestamp
  left: NtpTimestamp
}

/** An exchange that is complete but for the true transmit time of its reply. */
export interface Completed {
  readonly exchange: number
  t1: NtpTimestamp
  readonly t2: NtpTimestamp
  readonly t4: NtpTimestamp
  readonly time: number
  /** Whether a basic sample was made of it already. */
  readonly measured: boolean
}

/** The times of an exchange once its reply's transmit time is known; only later than its receipt and before the next one. */
const interleavedTimes = (before: Completed | undefined, header: NtpHeader): ExchangeTimes | DropReason => {
  if (before === undefined) return "unasked"
  if (differenceSeconds(header.receive, header.transmit) < 0) return "server-timestamps"
  if (before.measured) return "measured-already"
  const { t1, t2, t4, time } = before
  return { t1, t2, t3: header.transmit, t4, time, interleaved: true }
}

/**
 * What a reply that answers a request measures, and what is kept of it for the next one.
 * @param before the exchange before it, whose transmit time an interleaved reply brings
 * @param monotonic seconds, of its arrival
 */
export const completedBy = (
  { sent, before, match }: { readonly sent: Sent; readonly before: Completed | undefined; readonly match: Match },
  header: NtpHeader,
  arrival: NtpTimestamp,
  monotonic: number
): { readonly completed: Completed; readonly times: ExchangeTimes | DropReason } => {
  const now = { exchange: sent.exchange, t1: sent.left, t2: header.receive, t4: arrival, time: monotonic }
  const { t1, t2, t4, time } = now
  return {
    completed: { ...now, measured: match === "basic" },
    times:
      match === "interleaved"
        ? interleavedTimes(before, header)
        : { t1, t2, t3: header.transmit, t4, time, interleaved: false }
  }
}

/** A client's requests. They tell nothing of the client: its timestamps are random (draft-ietf-ntp-data-minimization). */
export class ClientExchanges implements Exchanges {
  readonly learnsUnasked = false
  private readonly version: number
  private readonly interleaves: boolean
  private readonly nonce: () => NtpTimestamp
  private sent: Sent | undefined
  private completed: Completed | undefined
  /** The origin of the reply taken last: its copies are told from forgeries. */
  private taken = NO_TIME

  /** @param nonce gives 64 unpredictable bits, never zero and never twice the same in a row */
  constructor(version: number, interleaves: boolean, nonce: () => NtpTimestamp) {
    this.version = version
    this.interleaves = interleaves
    this.nonce = nonce
  }

  /**
   * Interleaved when the request before was answered: its origin is then the receive timestamp of that reply, which is how
   * the server finds its true transmit time. After a lost reply a basic one starts over.
   */
  begin(exchange: number, now: Moment, poll: number): NtpHeader {
    if (this.sent !== undefined) this.completed = undefined
    const before = this.interleaves ? this.completed : undefined
    const receiveField = before === undefined ? NO_TIME : this.nonce()
    const transmitField = this.nonce()
    this.sent = { exchange, receiveField, transmitField, left: now.wall }
    return {
      leap: 0,
      version: this.version,
      mode: Mode.client,
      stratum: 0,
      poll,
      precision: 0x20,
      rootDelay: 0,
      rootDispersion: 0,
      referenceId: 0,
      reference: NO_TIME,
      origin: before?.t2 ?? NO_TIME,
      receive: receiveField,
      transmit: transmitField
    }
  }

  transmitted(exchange: number, stamp: NtpTimestamp): void {
    if (this.sent?.exchange === exchange) this.sent.left = stamp
    else if (this.completed?.exchange === exchange) this.completed.t1 = stamp
  }

  match(header: NtpHeader): Match {
    const { origin } = header
    if (origin === 0n) return "zero-origin"
    if (origin === this.taken) return "duplicate"
    if (this.sent === undefined) return "unasked"
    if (origin === this.sent.transmitField) return "basic"
    return origin === this.sent.receiveField ? "interleaved" : "bogus-origin"
  }

  take(header: NtpHeader, match: Match, arrival: NtpTimestamp, monotonic: number): ExchangeTimes | DropReason {
    const { sent, completed: before } = this
    if (sent === undefined) return "unasked"
    this.sent = undefined
    this.taken = header.origin
    const { completed, times } = completedBy({ sent, before, match }, header, arrival, monotonic)
    this.completed = completed
    return times
  }

  forget(): void {
    this.sent = undefined
    this.completed = undefined
  }
}
