/**
 * The client's half of a broadcast association (RFC 5905 §3.1, §9.2 and appendix A.5.2): a server tells the time to many, and
 * nothing is asked but at the beginning, when a few exchanges measure how long its packets are on their way.
 *
 * What is told carries one timestamp of the server's, which is old by half of the round trip that was measured.
 */
import { PHI } from "@meridian/time/clock-curve"
import { differenceSeconds, type NtpTimestamp } from "@meridian/time/timestamp"
import type { NtpHeader } from "@meridian/wire/ntp"
import { drop, type Drop, type Sample } from "./association-action.ts"
import { saidOf } from "./association-measurement.ts"
import { NO_TIME } from "./association-exchange.ts"
import { headerFault } from "./association-measurement.ts"
import { UNREACH } from "./association-passive.ts"

/** Exchanges that measure the delay; ntpd's volley has six. */
const VOLLEY = 6
/** Requests of the volley in a row without an answer after which the server is let go. */
const VOLLEY_PATIENCE = 8
/** Packets that come sooner after one another than the server says, by more than this, are replays. Seconds; as in ntpd. */
const HASTE_SECONDS = 3

export class BroadcastWatch {
  /** Round trip, seconds; undefined until something is known. */
  private delay: number | undefined
  private measurements = 0
  private unanswered = 0
  private missed = 0
  private told = NO_TIME
  private toldAt = -Infinity

  /** @param delay the round trip, seconds, where it is known: then nothing is asked */
  constructor(delay: number | undefined) {
    this.delay = delay
    if (delay !== undefined) this.measurements = VOLLEY
  }

  /** Whether the delay is known, so that nothing more is asked. */
  get isCalibrated(): boolean {
    return this.measurements >= VOLLEY
  }

  /** A request of the volley goes out. Returns whether the server is to be let go. */
  requested(): boolean {
    this.unanswered += 1
    return this.unanswered > VOLLEY_PATIENCE
  }

  /** An authentic answer came. */
  answered(): void {
    this.unanswered = 0
  }

  /** An exchange of the volley: the shortest delay is the truest. */
  measured(delay: number): void {
    this.measurements += 1
    this.answered()
    this.delay = Math.min(this.delay ?? Infinity, delay)
  }

  /** The server is late, once more. Returns whether it is to be let go. */
  late(): boolean {
    this.missed += 1
    return this.missed >= UNREACH
  }

  /**
   * An authentic packet in broadcast mode.
   * @param arrival by our clock
   * @param monotonic CLOCK_MONOTONIC, seconds
   * @param precision of our clock, log2 seconds
   */
  heard(header: NtpHeader, arrival: NtpTimestamp, monotonic: number, precision: number): Sample | Drop {
    if (this.told !== NO_TIME && differenceSeconds(header.transmit, this.told) <= 0) return drop("duplicate")
    if (monotonic - this.toldAt < 2 ** header.poll - HASTE_SECONDS) return drop("duplicate")
    const fault = headerFault({ ...header, receive: header.transmit })
    if (fault !== undefined) return drop(fault)
    this.told = header.transmit
    this.toldAt = monotonic
    this.missed = 0
    const { delay } = this
    if (delay === undefined) return drop("delay-unknown")
    // As if it had been asked for a round trip ago, and answered at once.
    const t1 = BigInt.asUintN(64, arrival - BigInt(Math.round(delay * 2 ** 32))) as NtpTimestamp
    return {
      _tag: "Sample",
      t1,
      t2: header.transmit,
      t3: header.transmit,
      t4: arrival,
      time: monotonic,
      interleaved: false,
      offset: differenceSeconds(header.transmit, arrival) + delay / 2,
      delay: Math.max(delay, 2 ** precision),
      dispersion: 2 ** header.precision + 2 ** precision + PHI * delay,
      ...saidOf(header)
    }
  }
}
