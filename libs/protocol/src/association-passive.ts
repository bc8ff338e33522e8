/**
 * The passive half of a symmetric association (RFC 5905 §3.1, §9.2): mobilised by an authentic packet of somebody whom no
 * line names, kept for as long as that peer is heard.
 *
 * It sends nothing of its own accord, unlike ntpd's: each authentic packet is answered at once, one for one, as a server
 * would. So the peer sets the pace, is measured by its next packet, and an address that somebody made up gets nothing.
 */
import type { PollSchedule } from "./association-schedule.ts"

/** Polls in a row that a peer was not heard at after which it is let go; RFC 5905 UNREACH. */
export const UNREACH = 12
/** The same for who never answered a packet of ours: all that is known of it could be a replay. */
export const UNREACH_UNPROVEN = 3
/** A peer polls at most so rarely, log2 seconds; NTP_MAXDPOLL of ntpd. Others are forgotten in between. */
export const GREATEST_PASSIVE_POLL = 10
/** A peer is late after so many of its intervals and so many seconds more: pace and packets vary. */
const LATE_INTERVALS = 1.5
const LATE_SECONDS = 2

export class PassiveWatch {
  /** Whether a packet of ours came back to us in one of the peer's: it is there now, and hears us. */
  isProven = false
  private missed = 0

  /** An authentic packet came. @param isAnswer whether it echoes what we sent last */
  heard(isAnswer: boolean): void {
    this.isProven ||= isAnswer
    this.missed = 0
  }

  /** The peer is late, once more. Returns whether it is to be let go. */
  late(): boolean {
    this.missed += 1
    return this.missed >= (this.isProven ? UNREACH : UNREACH_UNPROVEN)
  }

  /**
   * Whether a client's request from the peer's address outweighs what is known of the peer: requests that come to this
   * association are lost to the workers, which would answer them.
   */
  get isDoubtful(): boolean {
    return !this.isProven || this.missed > 0
  }
}

/** Seconds from a peer's packet to when its next one is late, or from then on to when it is again. */
export const lateAfter = (schedule: PollSchedule, wasLate: boolean): number =>
  wasLate ? 2 ** schedule.exponent : LATE_INTERVALS * 2 ** schedule.exponent + LATE_SECONDS
