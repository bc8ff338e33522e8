/** A reused list of AEAD jobs, in the layout that {@link AeadBatch} runs. Adding one allocates nothing. */
import {
  type AeadBatch,
  JOB_AD_AT,
  JOB_AD_LENGTH,
  JOB_AEAD,
  JOB_CIPHERTEXT_AT,
  JOB_FLAGS,
  JOB_KEY_AT,
  JOB_NONCE_AT,
  JOB_NONCE_LENGTH,
  JOB_PLAINTEXT_AT,
  JOB_PLAINTEXT_LENGTH,
  JOB_STAMP_AT,
  JOB_STATUS,
  JOB_STRIDE
} from "./aead.ts"

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
    jobs[at + JOB_FLAGS] = flags
    jobs[at + JOB_AEAD] = aead
    jobs[at + JOB_KEY_AT] = keyAt
    jobs[at + JOB_NONCE_AT] = nonceAt
    jobs[at + JOB_NONCE_LENGTH] = nonceLength
    jobs[at + JOB_AD_AT] = adAt
    jobs[at + JOB_AD_LENGTH] = adLength
    jobs[at + JOB_PLAINTEXT_AT] = plaintextAt
    jobs[at + JOB_PLAINTEXT_LENGTH] = plaintextLength
    jobs[at + JOB_CIPHERTEXT_AT] = ciphertextAt
    jobs[at + JOB_STATUS] = 0
    jobs[at + JOB_STAMP_AT] = stampAt
    return this.count++
  }

  /** Runs what was added and empties the list; results stay readable until the next job is added. */
  run(batch: AeadBatch, packets: Uint8Array, secrets: Uint8Array, stampedAt?: number): void {
    if (this.count > 0) batch.run(this.jobs, this.count, packets, secrets, stampedAt)
    this.count = 0
  }

  /** Whether the job of this number succeeded in the last run. */
  succeeded(job: number): boolean {
    return this.jobs[job * JOB_STRIDE + JOB_STATUS] === 1
  }

  /** Forgets jobs that were not run. */
  clear(): void {
    this.count = 0
  }
}
