/** What became of the requests of Windows clients, in the words that reports use; and what NTPsec's ntpq asks for as mssntpinfo. */
import { signingOutcomes } from "./signing-job.ts"

/** Milliseconds that requests took, from their arrival in this process on. */
export interface SigningTimes {
  readonly total: number
  readonly slowest: number
}

export interface SigningFigures {
  /** Datagrams read. */
  readonly received: number
  /** Replies that left. */
  readonly replied: number
  /** Replies that the kernel did not take. */
  readonly unsent: number
  /** By reason, of those that got no reply. */
  readonly dropped: Readonly<Record<string, number>>
  readonly signedTimes: SigningTimes
  /** Of those that were given to signd, or were to be, and came to nothing. */
  readonly unsignedTimes: SigningTimes
}

export class SigningCounters {
  received = 0
  private replied = 0
  private unsent = 0
  private readonly dropped = new Map<string, number>(
    ["not-ms-sntp", "mssntp-not-allowed", "extended", ...signingOutcomes.slice(1)].map((reason) => [reason, 0])
  )
  private readonly signedTimes = { total: 0, slowest: 0 }
  private readonly unsignedTimes = { total: 0, slowest: 0 }

  /** @param took milliseconds, where signd was to be asked */
  drop(reason: string, took?: number): void {
    this.dropped.set(reason, (this.dropped.get(reason) ?? 0) + 1)
    if (took !== undefined) add(this.unsignedTimes, took)
  }

  sign(took: number, isSent: boolean): void {
    if (isSent) this.replied += 1
    else this.unsent += 1
    add(this.signedTimes, took)
  }

  /** Received equals replied + unsent + dropped + those on their way. */
  snapshot(): SigningFigures {
    return {
      received: this.received,
      replied: this.replied,
      unsent: this.unsent,
      dropped: Object.fromEntries(this.dropped),
      signedTimes: { ...this.signedTimes },
      unsignedTimes: { ...this.unsignedTimes }
    }
  }
}

const add = (times: { total: number; slowest: number }, took: number): void => {
  times.total += took
  times.slowest = Math.max(times.slowest, took)
}
