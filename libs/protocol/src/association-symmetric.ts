/**
 * Symmetric peers (RFC 5905 §9.2; RFC 9769 §3 for interleaved): each packet answers the one heard last and is answered by
 * the next one heard, at whatever pace either side polls. Both measure. Where we are the active side, the other is active
 * too, or answers in symmetric passive mode; where we are the passive one (association-passive.ts), the other is active.
 */
import { secondsToShort } from "@meridian/time/short"
import { differenceSeconds, type NtpTimestamp } from "@meridian/time/timestamp"
import { Mode, type NtpHeader } from "@meridian/wire/ntp"
import type { DropReason } from "./association-action.ts"
import {
  type Completed,
  completedBy,
  type Exchanges,
  isMatched,
  type Match,
  NO_TIME,
  type Sent
} from "./association-exchange.ts"
import type { ExchangeTimes } from "./association-measurement.ts"
import type { Moment, SystemVariables } from "./association-options.ts"

/** The peer's last packet. */
interface Heard {
  readonly receive: NtpTimestamp
  readonly transmit: NtpTimestamp
  readonly arrival: NtpTimestamp
}

interface SymmetricSettings {
  /** As sent. */
  readonly mode: typeof Mode.symmetricActive | typeof Mode.symmetricPassive
  readonly version: number
  readonly interleaves: boolean
  /** Of our clock, log2 seconds. */
  readonly precision: number
  readonly system: () => SystemVariables
}

export class SymmetricExchanges implements Exchanges {
  readonly learnsUnasked = true
  private readonly settings: SymmetricSettings
  private sent: Sent | undefined
  private sentAnswered = false
  private heard: Heard | undefined
  /** Packets of ours since the peer was heard last, and between the last two times it was heard. */
  private sentSinceHeard = 0
  private sentBetween = 0
  private completed: Completed | undefined

  constructor(settings: SymmetricSettings) {
    this.settings = settings
  }

  /**
   * Interleaved while the two take turns: the transmit field then says when our last packet really left, and the origin is
   * the peer's receive field. Otherwise, as which packet is meant would not be clear, basic.
   */
  begin(exchange: number, now: Moment, poll: number): NtpHeader {
    const { mode, version, interleaves, precision, system } = this.settings
    const { heard, sent } = this
    const state = system()
    const takesTurns = this.sentSinceHeard === 0 && this.sentBetween === 1
    const told = interleaves && takesTurns && this.completed !== undefined ? sent?.left : undefined
    const transmitField = told ?? now.wall
    const receiveField = heard?.arrival ?? NO_TIME
    this.sent = { exchange, receiveField, transmitField, left: now.wall }
    this.sentAnswered = false
    this.sentSinceHeard += 1
    return {
      leap: state.leap,
      version,
      mode,
      stratum: state.stratum,
      poll,
      precision,
      rootDelay: secondsToShort(state.rootDelay),
      rootDispersion: secondsToShort(state.rootDispersion),
      referenceId: state.referenceId,
      reference: state.reference,
      origin: (told === undefined ? heard?.transmit : heard?.receive) ?? NO_TIME,
      receive: receiveField,
      transmit: transmitField
    }
  }

  transmitted(exchange: number, stamp: NtpTimestamp): void {
    if (this.completed?.exchange === exchange) this.completed.t1 = stamp
    if (this.sent?.exchange === exchange) this.sent.left = stamp
  }

  /**
   * What echoes our last packet is fresh, whatever its own timestamps say: the peer's clock may have been stepped. Of the
   * rest, what is older than the packet heard last is a replay and must not take us back to timestamps that were.
   */
  match(header: NtpHeader): Match {
    const { heard, sent, sentAnswered } = this
    const { origin, transmit } = header
    if (transmit === 0n) return "zero-timestamp"
    if (sent !== undefined && !sentAnswered && origin !== 0n) {
      if (origin === sent.transmitField) return "basic"
      if (origin === sent.receiveField) return "interleaved"
    }
    if (heard !== undefined && differenceSeconds(transmit, heard.transmit) <= 0) return "duplicate"
    if (origin === 0n) return "zero-origin"
    return sent === undefined || sentAnswered ? "unasked" : "bogus-origin"
  }

  take(header: NtpHeader, match: Match, arrival: NtpTimestamp, monotonic: number): ExchangeTimes | DropReason {
    const { sent, completed: before } = this
    this.heard = { receive: header.receive, transmit: header.transmit, arrival }
    this.sentBetween = this.sentSinceHeard
    this.sentSinceHeard = 0
    this.completed = undefined
    if (!isMatched(match) || sent === undefined) return isMatched(match) ? "unasked" : match
    this.sentAnswered = true
    const { completed, times } = completedBy({ sent, before, match }, header, arrival, monotonic)
    this.completed = completed
    return times
  }

  forget(): void {
    this.sent = undefined
    this.heard = undefined
    this.sentSinceHeard = 0
    this.sentBetween = 0
    this.completed = undefined
  }
}
