/** A list of jobs that the addon refused whole, before anything was written: a mistake of the caller, never of a packet. */

/** What the addon returns is a job's index times this, and the reason's place in its own list. */
const REASONS_PER_JOB = 16

export abstract class JobRefused extends RangeError {
  abstract readonly _tag: string
  /** Index of the first job that is wrong. */
  readonly job: number

  /** `kind`: of jobs, in words. `refusal`: what the addon returned. `reasons`: in the order of the addon's own. */
  constructor(kind: string, refusal: number, reasons: readonly string[]) {
    const job = Math.floor(refusal / REASONS_PER_JOB)
    super(`${kind} job ${job}: ${reasons[refusal % REASONS_PER_JOB] ?? "refused"}; no job of the list was done`)
    this.job = job
  }
}
