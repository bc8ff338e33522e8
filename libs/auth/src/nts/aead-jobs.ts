/** A reused list of AEAD jobs, in the layout that {@link AeadBatch} runs. Adding one allocates nothing. */
import { type AeadBatch, Job, JOB_STRIDE } from "./aead.ts"

export class AeadJobs {
  private readonly jobs: Int32Array
  private count = 0

  /** Room for `capacity` jobs between two runs. */
  constructor(capacity: number) {
    this.jobs = new Int32Array(capacity * JOB_STRIDE)
  }

  /** Appends a job and returns its number; the arguments are the positions of {@link AeadBatch} in their order. */
  add(
    flags: number,
    aead: number,
    keyAt: number,
    nonceAt: number,
    nonceLength: number,
    adAt: number,
    adLength: number,
    plaintextAt: number,
    plaintextLength: number,
    ciphertextAt: number,
    stampAt = 0
  ): number {
    const { jobs } = this
    const at = this.count * JOB_STRIDE
    if (at >= jobs.length) throw new RangeError(`expected at most ${jobs.length / JOB_STRIDE} jobs`)
    jobs[at + Job.flags] = flags
    jobs[at + Job.aead] = aead
    jobs[at + Job.keyAt] = keyAt
    jobs[at + Job.nonceAt] = nonceAt
    jobs[at + Job.nonceLength] = nonceLength
    jobs[at + Job.adAt] = adAt
    jobs[at + Job.adLength] = adLength
    jobs[at + Job.plaintextAt] = plaintextAt
    jobs[at + Job.plaintextLength] = plaintextLength
    jobs[at + Job.ciphertextAt] = ciphertextAt
    jobs[at + Job.status] = 0
    jobs[at + Job.stampAt] = stampAt
    return this.count++
  }

  /** Runs what was added and empties the list; results stay readable until the next job is added. */
  run(batch: AeadBatch, packets: Uint8Array, secrets: Uint8Array, stampedAt?: number): void {
    if (this.count > 0) batch.run(this.jobs, this.count, packets, secrets, stampedAt)
    this.count = 0
  }

  /** Whether the job of this number succeeded in the last run. */
  succeeded(job: number): boolean {
    return this.jobs[job * JOB_STRIDE + Job.status] === 1
  }

  /** Forgets jobs that were not run. */
  clear(): void {
    this.count = 0
  }
}
