/**
 * When an association polls: the reach register, bursts, the interval the discipline asks for, and patience with sources
 * that do not answer. Intervals are exponents (log2 seconds) but for bursts.
 */
import { type AssociationOptions, LEAST_POLL } from "./association-options.ts"

/** Requests of a burst, and the seconds between two (RFC 5905 §13.1; ntpd's NTP_IBURST, NTP_BURST). */
const IBURST_REQUESTS = 6
const BURST_REQUESTS = 8
const BURST_SECONDS = 2
/** Requests at the first contact without iburst: with fewer answers nothing is known of frequency and scatter. */
const CONTACT_REQUESTS = 3
/** A server that has never answered is asked again after 2, 4, 8 … s: patient, but quick where it is quick. */
const EAGER_EXPONENT = 1
/** Share of an interval by which it may be longer or shorter, so that clients that started together drift apart. */
const JITTER = 0.02
/** A packet that fills caches goes so long ahead of the one that measures (chrony's WARM_UP_DELAY). */
export const AHEAD_SECONDS = 2
/** A kiss cannot make us slower than this, or than maxpoll where that is longer (NTPsec's NTP_MAXDPOLL). */
const SLOWEST_KISS = 10

/** A source with a shorter delay is in the same network, and may be asked more than once a second (chrony.conf): seconds. */
const NEAR_DELAY = 0.01

export class PollSchedule {
  /** The last eight requests, newest lowest: 1 where a usable reply came (RFC 5905 §9.2). */
  reach = 0
  /** Requests in a row that got no usable reply. */
  unanswered = 0

  private readonly options: AssociationOptions
  private wanted: number
  /** The least interval since the source asked us to slow down. */
  private floor: number
  private burstLeft = 0
  /** Good answers that a burst somebody asked for still waits for; 0: no such burst. */
  private wantedGood = 0
  /** Requests since the source became unreachable, or since the start. */
  private retries = 0
  private everReached = false
  private isNear = false
  private ahead = false

  constructor(options: AssociationOptions) {
    this.options = options
    this.wanted = options.minpoll
    this.floor = options.minpoll
  }

  /** The interval in use while the source answers, log2 seconds. */
  get exponent(): number {
    const isClose = this.isNear && this.reach !== 0
    return Math.max(this.wanted, this.floor, isClose ? this.options.minpoll : LEAST_POLL)
  }

  /** A reply was measured. @param delay seconds */
  measured(delay: number): void {
    this.isNear = delay < NEAR_DELAY
  }

  /** A longer or shorter interval, as the discipline finds best; kept between minpoll and maxpoll. */
  want(exponent: number): void {
    const { minpoll, maxpoll } = this.options
    if (Number.isFinite(exponent)) this.wanted = Math.round(Math.min(Math.max(exponent, minpoll), maxpoll))
  }

  /** Whether the request that went out last was one ahead of a measurement. */
  get isAhead(): boolean {
    return this.ahead
  }

  /**
   * A request is due. Returns whether another goes ahead of it: where the line asks for that at intervals as long as this
   * one, the source answers, and no burst keeps caches filled.
   */
  sendsAhead(): boolean {
    const { presend } = this.options
    const isWanted = presend !== undefined && this.exponent >= presend && this.reach !== 0 && !this.isBursting
    this.ahead = isWanted && !this.ahead
    return this.ahead
  }

  /** A request goes out. Returns whether the source just became unreachable: its last eight requests had no reply. */
  requested(): boolean {
    const wasReachable = this.reach !== 0
    this.reach = (this.reach << 1) & 0xff
    this.unanswered += 1
    this.retries = this.reach === 0 ? this.retries + 1 : 0
    const isOrdered = this.wantedGood > 0
    if (this.reach === 0 && !isOrdered) this.burstLeft = 0
    else if (this.burstLeft > 0) this.burstLeft -= 1
    else if (this.options.burst && !isOrdered) this.burstLeft = BURST_REQUESTS - 1
    if (this.burstLeft === 0) this.wantedGood = 0
    return wasReachable && this.reach === 0
  }

  /** A usable reply came. Returns whether the source just became reachable. */
  replied(): boolean {
    const isNew = this.reach === 0
    if (this.wantedGood > 0) {
      this.wantedGood -= 1
      if (this.wantedGood === 0) this.burstLeft = 0
    } else if (isNew) this.burstLeft = this.firstRequests() - 1
    this.reach |= 1
    this.unanswered = 0
    this.everReached = true
    return isNew
  }

  /** Requests in a row to a source that just became reachable, the one that it answered included. */
  private firstRequests(): number {
    if (this.options.iburst) return IBURST_REQUESTS
    return this.isContact ? CONTACT_REQUESTS : 1
  }

  /** Whether this is a server that never answered before. A peer is not hurried: it is asked by the pace of both sides. */
  private get isContact(): boolean {
    return !this.everReached && this.options.mode === "client"
  }

  /** Somebody wants a burst, of so many requests at most, until so many were answered well. The first is due at once. */
  startBurst(good: number, total: number): void {
    this.wantedGood = good
    this.burstLeft = total
  }

  /** The source is to be asked no more: what it said lately counts no more either. */
  rest(): void {
    this.reach = 0
    this.unanswered = 0
    this.burstLeft = 0
    this.wantedGood = 0
    this.retries = 0
    this.ahead = false
  }

  /** The source asks us to come less often (RATE). Ends a burst. */
  slowDown(sourcePoll: number): void {
    const slowest = Math.max(this.options.maxpoll, SLOWEST_KISS)
    this.floor = Math.min(slowest, Math.max(this.exponent + 1, sourcePoll))
    this.burstLeft = 0
    this.wantedGood = 0
    this.ahead = false
  }

  /** Whether a burst that somebody asked for is under way. */
  get isOrdered(): boolean {
    return this.wantedGood > 0
  }

  /** Whether the next request comes after {@link burstSeconds} instead of the whole interval. */
  get isBursting(): boolean {
    return this.burstLeft > 0
  }

  /** Seconds between two requests of a burst. */
  get burstSeconds(): number {
    return Math.min(BURST_SECONDS, 2 ** this.exponent)
  }

  /**
   * Seconds from the request that just went out to the next. While nothing answers it doubles each time up to maxpoll, and
   * stays there for ever.
   * @param random uniform in 0 … 1
   */
  interval(random: number): number {
    return this.isBursting ? this.burstSeconds : 2 ** this.restExponent() * (1 + JITTER * (2 * random - 1))
  }

  private restExponent(): number {
    if (this.reach !== 0) return this.exponent
    const isNew = this.isContact || (this.options.iburst && !this.everReached)
    const isEager = isNew && this.floor === this.options.minpoll
    const start = isEager ? Math.min(EAGER_EXPONENT, this.exponent) : this.exponent
    return Math.max(start, Math.min(start + this.retries - 1, this.options.maxpoll))
  }
}
