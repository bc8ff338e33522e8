/**
 * When a process that reports once a second may pass a report over: the last two said the same. One more than the first goes
 * out, so that rates that are counted between two reports fall to nothing, and one each ten seconds does in any case, for figures that
 * nobody waits for, as memory: at the same moment in all processes, so that their supervisor makes one picture of them. That the
 * process is alive is said apart (heartbeat.ts), so silence here is no sign of anything.
 */
const LONGEST_SILENCE_MS = 10_000
const INTERVAL_MS = 1_000
const QUIET_INTERVAL_MS = 2_000

export class ReportPace {
  private said: string | undefined
  private same = 0
  private period = 0

  /** Milliseconds to the next report: while nothing is new, whoever might report looks half as often. For everyTurn. */
  readonly interval = (): number => (this.same > 1 ? QUIET_INTERVAL_MS : INTERVAL_MS)

  /**
   * Asked once for each report that might be sent.
   * @param says all in it that matters at once, in one text
   * @param now milliseconds since 1970
   */
  isDue(says: string, now = Date.now()): boolean {
    const period = Math.floor(now / LONGEST_SILENCE_MS)
    this.same = says === this.said ? this.same + 1 : 0
    this.said = says
    if (this.same > 1 && period === this.period) return false
    this.period = period
    return true
  }

  /** What is sent now, where it is said of another moment than what was asked about. */
  sends(says: string): void {
    this.said = says
  }
}
