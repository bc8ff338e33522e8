/**
 * The AEAD port on @noble/ciphers: the reference that native code is checked against, and the fallback where there is no
 * native code. Its AES uses tables in memory, so unlike the native one it does not promise constant time.
 */
import { moveTimestamp } from "@meridian/time/timestamp"
import { aessiv, gcmsiv } from "@noble/ciphers/aes.js"
import {
  type Aead,
  type AeadBatch,
  AeadId,
  type AeadParameters,
  aeadParameters,
  CHAINED,
  isNonceLength,
  Job,
  JOB_STRIDE,
  PLAINTEXT_IN_SECRETS,
  SEAL
} from "./aead.ts"

const requireLength = (what: string, found: number, expected: number): void => {
  if (found !== expected) throw new RangeError(`expected ${what} of ${expected} bytes, found ${found}`)
}

const requireRoom = (out: Uint8Array, needed: number): void => {
  if (out.length < needed) throw new RangeError(`expected room for ${needed} bytes, found ${out.length}`)
}

const nobleAead = (parameters: AeadParameters): Aead => {
  const cipher = (key: Uint8Array, nonce: Uint8Array, ad: Uint8Array) =>
    parameters.tagFirst ? aessiv(key, ad, nonce) : gcmsiv(key, nonce, ad)

  const seal: Aead["seal"] = (key, nonce, ad, plaintext, out) => {
    requireLength("a key", key.length, parameters.keyBytes)
    requireRoom(out, plaintext.length + parameters.tagBytes)
    if (!isNonceLength(parameters, nonce.length))
      throw new RangeError(`${parameters.name} takes no nonce of ${nonce.length} bytes`)
    out.set(cipher(key, nonce, ad).encrypt(plaintext))
  }

  const open: Aead["open"] = (key, nonce, ad, ciphertext, out) => {
    requireLength("a key", key.length, parameters.keyBytes)
    const plaintextLength = ciphertext.length - parameters.tagBytes
    if (plaintextLength < 0) return false
    requireRoom(out, plaintextLength)
    if (!isNonceLength(parameters, nonce.length)) {
      out.fill(0, 0, plaintextLength)
      return false
    }
    const plaintext = decrypted(() => cipher(key, nonce, ad).decrypt(ciphertext))
    if (plaintext === undefined) out.fill(0, 0, plaintextLength)
    else out.set(plaintext)
    return plaintext !== undefined
  }

  return { ...parameters, seal, open }
}

/** noble reports a tag that does not verify by throwing. Lengths were checked before, so nothing else can be meant. */
const decrypted = (decrypt: () => Uint8Array): Uint8Array | undefined => {
  try {
    return decrypt()
  } catch {
    return undefined
  }
}

/** The reference implementation of each algorithm, by {@link AeadId}. */
export const nobleAeads: ReadonlyMap<AeadId, Aead> = new Map(
  Object.values(AeadId).flatMap((id) => {
    const parameters = aeadParameters(id)
    return parameters === undefined ? [] : [[id, nobleAead(parameters)] as const]
  })
)

/**
 * An {@link AeadBatch} over separate {@link Aead}s: allocates views per job, which the native one does not.
 * @param monotonic CLOCK_MONOTONIC, seconds, read before each job that has a stamp; without it stamps stay
 */
export const batchOver = (
  kind: AeadBatch["kind"],
  aeads: ReadonlyMap<number, Aead>,
  monotonic?: () => number
): AeadBatch => ({
  kind,
  run: (jobs, count, packets, secrets, stampedAt) => {
    let previous: boolean = true
    for (let index = 0; index < count; index += 1) {
      const job = jobs.subarray(index * JOB_STRIDE, (index + 1) * JOB_STRIDE)
      const skipped: boolean = (at(job, Job.flags) & CHAINED) !== 0 && !previous
      const stampAt = at(job, Job.stampAt)
      if (stampAt !== 0 && !skipped && stampedAt !== undefined && monotonic !== undefined)
        moveTimestamp(viewOf(packets), stampAt, stampedAt, monotonic())
      previous = !skipped && runJob(job, aeads, packets, secrets)
      job[Job.status] = previous ? 1 : 0
    }
  }
})

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const nobleBatch: AeadBatch = batchOver("reference", nobleAeads)

const runJob = (
  job: Int32Array,
  aeads: ReadonlyMap<number, Aead>,
  packets: Uint8Array,
  secrets: Uint8Array
): boolean => {
  const aead = aeads.get(at(job, Job.aead))
  if (aead === undefined) throw new RangeError(`no AEAD ${at(job, Job.aead)} in this batch`)
  const flags = at(job, Job.flags)
  const key = range(secrets, at(job, Job.keyAt), aead.keyBytes)
  const nonce = range(packets, at(job, Job.nonceAt), at(job, Job.nonceLength))
  const ad = range(packets, at(job, Job.adAt), at(job, Job.adLength))
  const plaintextLength = at(job, Job.plaintextLength)
  const plaintexts = (flags & PLAINTEXT_IN_SECRETS) === 0 ? packets : secrets
  const plaintext = range(plaintexts, at(job, Job.plaintextAt), plaintextLength)
  const ciphertext = range(packets, at(job, Job.ciphertextAt), plaintextLength + aead.tagBytes)
  if ((flags & SEAL) === 0) return aead.open(key, nonce, ad, ciphertext, plaintext)
  aead.seal(key, nonce, ad, plaintext, ciphertext)
  return true
}

const at = (job: Int32Array, position: number): number => job[position] ?? 0

const range = (bytes: Uint8Array, start: number, length: number): Uint8Array => {
  if (start < 0 || length < 0 || start + length > bytes.length)
    throw new RangeError(`a job names bytes ${start} … ${start + length} of a buffer of ${bytes.length}`)
  return bytes.subarray(start, start + length)
}
