/**
 * When a process that reports once a second may pass a report over: the last said the same, or the last two where rates are counted between two
 * reports, so that they fall to nothing. One each twelve seconds does in any case, for figures that
 * nobody waits for, as memory: at the same moment in all processes, so that their supervisor makes one picture of them. That the
 * process is alive is said apart (heartbeat.ts), so silence here is no sign of anything.
 */
import { everyTurn } from "../turns.ts"

export const LONGEST_SILENCE_MS = 12_000
const INTERVAL_MS = 1_000
const QUIET_INTERVAL_MS = 4_000

export class ReportPace {
  private said: string | undefined
  private same = 0
  private period = 0
  private readonly repeats: number

  /** @param repeats how often the same is said again at once */
  constructor(repeats = 1) {
    this.repeats = repeats
  }

  /** Whether nothing was new: then whoever might report looks seldom, unless something happens. */
  get rests(): boolean {
    return this.same > this.repeats
  }

  /**
   * Asked once for each report that might be sent.
   * @param says all in it that matters at once, in one text
   * @param now milliseconds since 1970
   */
  isDue(says: string, now = Date.now()): boolean {
    const period = Math.floor(now / LONGEST_SILENCE_MS)
    this.same = says === this.said ? this.same + 1 : 0
    this.said = says
    if (this.rests && period === this.period) return false
    this.period = period
    return true
  }

  /** What is sent now, where it is said of another moment than what was asked about. */
  sends(says: string): void {
    this.said = says
  }
}

export interface Reporting {
  /** Something has happened that may be news: there is a look within a second, also at rest. Cheap; called as often as it happens. */
  readonly stir: () => void
}

/**
 * Calls what reports where the pace says so: once a second.
 * @param quietMs between two calls at rest; a whole part of {@link LONGEST_SILENCE_MS}, longer where all that may be news stirs
 */
export const reportEverySecond = (pace: ReportPace, look: () => void, quietMs = QUIET_INTERVAL_MS): Reporting => {
  let isStirred = false
  const turns = everyTurn(
    () => (pace.rests ? quietMs : INTERVAL_MS),
    () => {
      isStirred = false
      look()
      if (!pace.rests) turns.sooner(INTERVAL_MS)
    }
  )
  return {
    stir: () => {
      if (isStirred || !pace.rests) return
      isStirred = true
      turns.sooner(INTERVAL_MS)
    }
  }
}
