/**
 * How often one address may ask: three laws over the same two numbers that are kept of an address, a level and the time of
 * its last packet. The level rises with packets and falls with time.
 *
 * - `score` (NTPsec's `limit`): packets a second, as an exponential average. Packets over the limit count as well, so one who
 *   does not slow down gets nothing.
 * - `headway` (the classic ntpd's `discard`): each answer costs 2^average seconds less the two of grace, of a reserve of eight times that; who
 *   overdraws it waits until most of it is back.
 * - `tokens` (chrony's `ratelimit`): each answer costs a token, which come back at a steady rate; who has none left is answered at random
 *   now and then, so that nobody can silence a victim by asking in its name.
 *
 * Time and the seed of all chance are arguments, and nothing is allocated.
 */

/** Chances from a seed: xorshift32, good enough to lose a packet by. */
export class Chance {
  private state: number

  /** @param seed any number */
  constructor(seed: number) {
    this.state = seed | 1
  }

  /** Uniform in [0, 1). */
  next(): number {
    let word = this.state
    word ^= word << 13
    word ^= word >>> 17
    word ^= word << 5
    this.state = word
    return (word >>> 0) / 2 ** 32
  }
}

export type RateLimit =
  | {
      readonly law: "score"
      /** Packets a second, on average. */
      readonly average: number
      /** Packets at once; also the time constant of the average, in seconds at one packet a second. */
      readonly burst: number
      /** Kisses are sent while the score is at most this above the average. */
      readonly kod: number
    }
  | {
      readonly law: "headway"
      /** log2 seconds between packets, on average. */
      readonly average: number
      /** Seconds between two packets, at least. */
      readonly minimum: number
    }
  | {
      readonly law: "tokens"
      /** log2 seconds in which a token comes back. */
      readonly interval: number
      /** Tokens at most. */
      readonly burst: number
      /** Of what is over the limit, one in 2^leak is answered all the same; 0 for none. */
      readonly leak: number
      /** Of what is dropped, one in 2^kod is answered with a kiss; 0 for none. */
      readonly kod: number
    }

/** What {@link RateLimiter.judge} found: to answer, to drop, or to drop where a kiss may be sent. */
export const RateVerdict = { pass: 0, drop: 1, kiss: 2 } as const
export type RateVerdict = (typeof RateVerdict)[keyof typeof RateVerdict]

/** The classic ntpd's reserve in headways (NTP_SHIFT), and the seconds that it lets each answer off. */
const HEADWAYS = 8
const HEADWAY_GRACE = 2

export class RateLimiter {
  private readonly limit: RateLimit
  private readonly chance: { readonly next: () => number }
  /** The level after {@link judge}. */
  level = 0

  constructor(limit: RateLimit, chance: { readonly next: () => number }) {
    this.limit = limit
    this.chance = chance
  }

  /** Judges the first packet of an address: it passes, whatever the limit. */
  begin(): void {
    const { limit } = this
    this.level = limit.law === "score" ? 1 / limit.burst : limit.law === "tokens" ? 1 : 0
  }

  /**
   * Judges a later packet.
   * @param level what this address was left with
   * @param elapsed seconds since its last packet
   */
  judge(level: number, elapsed: number): RateVerdict {
    const { limit } = this
    switch (limit.law) {
      case "score": {
        const score = level * Math.exp(-elapsed / limit.burst) + 1 / limit.burst
        this.level = score
        if (score < limit.average) return RateVerdict.pass
        return score <= limit.average + limit.kod ? RateVerdict.kiss : RateVerdict.drop
      }
      case "headway": {
        // ntpd counts whole seconds, rounded.
        const interval = Math.floor(elapsed + 0.5)
        const left = Math.max(0, level - interval)
        const headway = 2 ** limit.average
        const reserve = HEADWAYS * headway
        if (interval + 1 >= limit.minimum && left + headway < reserve) {
          this.level = left + headway - HEADWAY_GRACE
          return RateVerdict.pass
        }
        this.level = left < reserve ? reserve + headway : left
        return left < reserve ? RateVerdict.kiss : RateVerdict.drop
      }
      case "tokens": {
        const spent = Math.max(0, level - elapsed / 2 ** limit.interval)
        this.level = spent
        if (spent + 1 <= limit.burst) {
          this.level = spent + 1
          return RateVerdict.pass
        }
        const chance = this.chance.next()
        const leaks = limit.leak === 0 ? 0 : 2 ** -limit.leak
        if (chance < leaks) return RateVerdict.pass
        const kisses = limit.kod === 0 ? 0 : 2 ** -limit.kod
        return chance < leaks + (1 - leaks) * kisses ? RateVerdict.kiss : RateVerdict.drop
      }
    }
  }

  /** Whether an address that was left with a level so many seconds ago would be over the limit now. */
  isOver(level: number, elapsed: number): boolean {
    const { limit } = this
    switch (limit.law) {
      case "score":
        return level * Math.exp(-elapsed / limit.burst) + 1 / limit.burst >= limit.average
      case "headway":
        return level - elapsed + 2 ** limit.average >= HEADWAYS * 2 ** limit.average
      case "tokens":
        return level - elapsed / 2 ** limit.interval + 1 > limit.burst
    }
  }
}
