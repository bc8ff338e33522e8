/**
 * When a process that reports once a second may pass a report over: the last two said the same. One more than the first goes
 * out, so that rates that are counted between two reports fall to nothing, and each tenth does in any case, for figures that
 * nobody waits for, as memory. That the process is alive is said apart (heartbeat.ts), so silence here is no sign of anything.
 */
const LONGEST_SILENCE = 10

export class ReportPace {
  private said: string | undefined
  private same = 0

  /** Asked once for each report that might be sent. @param says all in it that matters at once, in one text */
  isDue(says: string): boolean {
    this.same = says === this.said ? this.same + 1 : 0
    this.said = says
    return this.same <= 1 || this.same % LONGEST_SILENCE === 0
  }
}
