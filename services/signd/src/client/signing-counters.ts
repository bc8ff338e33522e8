/** What became of the requests of Windows clients, each under one name; see SigndFigures. */
import type { SigndFigures } from "@meridian/ipc/signd-report"
import { signingOutcomes } from "./signing-job.ts"

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
  snapshot(): SigndFigures {
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
