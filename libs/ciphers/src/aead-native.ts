/**
 * The AEAD port and AES-CMAC in C (native/aead.c): AES-NI on x86-64, the cryptographic extension on ARMv8. Constant time
 * by construction: no table is read and no branch taken by a secret.
 */
import {
  type Aead,
  type AeadBatch,
  AeadId,
  aeadParameters,
  Job,
  JOB_STRIDE,
  PLAINTEXT_IN_SECRETS,
  SEAL
} from "@meridian/auth/aead"
import { type AeadTransform, checkedAead } from "./aead-checked.ts"
import { JobRefused } from "./job-refused.ts"
import { loadNative, type NativeAddon } from "@meridian/system/native"

/** What the addon exports where the processor has the instructions. */
export interface AeadBinding {
  /** Whose instructions are used: "AES-NI" or "ARMv8". */
  readonly aeadEngine: string
  /** -1, or the first refused job: its index times 16 plus a position in {@link REASONS}. */
  readonly aeadRun: (
    jobs: Int32Array,
    count: number,
    packets: Uint8Array,
    secrets: Uint8Array,
    stampedAt: number
  ) => number
  readonly cmac: (key: Uint8Array, bytes: Uint8Array, offset: number, length: number, out: Uint8Array) => boolean
}

/** In the order of native/aead.c. */
const REASONS = [
  "the list is shorter than its count",
  "the AEAD is not one of 15, 16, 17, 30",
  "the key lies outside secrets",
  "the nonce lies outside packets",
  "the associated data lie outside packets",
  "the plaintext lies outside its buffer",
  "the ciphertext lies outside packets",
  "the plaintext overlaps the ciphertext without being in place",
  "the AEAD takes no nonce of that length",
  "the stamp lies outside packets"
]

/** A list of jobs that was refused whole, before anything was written: a mistake of the caller, never of a packet. */
export class AeadJobError extends JobRefused {
  readonly _tag = "AeadJobError"

  constructor(refusal: number) {
    super("AEAD", refusal, REASONS)
  }
}

/**
 * The batch in C. It keeps the port's contract and is stricter in two ways: all jobs, also skipped ones, are checked
 * before the first is done, so that {@link AeadJobError} leaves every buffer as it was; and a plaintext that overlaps its
 * ciphertext otherwise than in place is refused. Keys that several jobs of one run share are expanded once; no expanded
 * key outlives the run. Neither `packets` nor `secrets` may be written by another thread meanwhile.
 */
export const nativeBatch = (binding: AeadBinding): AeadBatch => ({
  kind: "native",
  run: (jobs, count, packets, secrets, stampedAt = -Infinity) => {
    const refusal = binding.aeadRun(jobs, count, packets, secrets, stampedAt)
    if (refusal >= 0) throw new AeadJobError(refusal)
  }
})

const FIRST_SCRATCH_BYTES = 4096

/** Each algorithm by its number, for single texts. They share scratch memory, whose secrets are wiped after each text. */
export const nativeAeads = (binding: AeadBinding): ReadonlyMap<AeadId, Aead> => {
  const batch = nativeBatch(binding)
  const job = new Int32Array(JOB_STRIDE)
  let packets = new Uint8Array(FIRST_SCRATCH_BYTES)
  let secrets = new Uint8Array(FIRST_SCRATCH_BYTES)

  /** Lays out nonce, associated data and ciphertext in packets, key and plaintext in secrets, and does the one job. */
  const run: AeadTransform = (aead, isSeal, key, nonce, ad, input, out) => {
    const plaintextLength = isSeal ? input.length : input.length - aead.tagBytes
    const ciphertextAt = nonce.length + ad.length
    const plaintextAt = aead.keyBytes
    const ciphertextEnd = ciphertextAt + plaintextLength + aead.tagBytes
    const plaintextEnd = plaintextAt + plaintextLength
    if (packets.length < ciphertextEnd) packets = new Uint8Array(2 * ciphertextEnd)
    if (secrets.length < plaintextEnd) secrets = new Uint8Array(2 * plaintextEnd)
    packets.set(nonce)
    packets.set(ad, nonce.length)
    secrets.set(key)
    if (isSeal) secrets.set(input, plaintextAt)
    else packets.set(input, ciphertextAt)

    // The key and the nonce are at 0.
    job[Job.flags] = PLAINTEXT_IN_SECRETS + (isSeal ? SEAL : 0)
    job[Job.aead] = aead.id
    job[Job.nonceLength] = nonce.length
    job[Job.adAt] = nonce.length
    job[Job.adLength] = ad.length
    job[Job.plaintextAt] = plaintextAt
    job[Job.plaintextLength] = plaintextLength
    job[Job.ciphertextAt] = ciphertextAt
    batch.run(job, 1, packets, secrets)
    out.set(isSeal ? packets.subarray(ciphertextAt, ciphertextEnd) : secrets.subarray(plaintextAt, plaintextEnd))
    secrets.fill(0, 0, plaintextEnd)
    return job[Job.status] === 1
  }

  return new Map(
    Object.values(AeadId).flatMap((id) => {
      const parameters = aeadParameters(id)
      return parameters === undefined ? [] : [[id, checkedAead(parameters, run)] as const]
    })
  )
}

/** AES-CMAC in C, in place of `nodeCmac`: writes 16 bytes at the start of `out` and returns 16. */
export const nativeCmac =
  (binding: AeadBinding) =>
  (key: Uint8Array, bytes: Uint8Array, offset: number, length: number, out: Uint8Array): number => {
    if (binding.cmac(key, bytes, offset, length, out)) return CMAC_BYTES
    throw new RangeError(
      `AES-CMAC expects a key of 16, 24 or 32 bytes, a message within its array and room for 16 bytes; found a key of ` +
        `${key.length}, a message at ${offset} … ${offset + length} of ${bytes.length}, room for ${out.length}`
    )
  }

const CMAC_BYTES = 16

/** The binding of a loaded addon, or why it has none. */
export const aeadBindingOf = (addon: NativeAddon): AeadBindingResult => {
  const { aeadEngine, aeadRun, cmac } = addon as NativeAddon & Partial<AeadBinding>
  return aeadEngine !== undefined && aeadRun !== undefined && cmac !== undefined
    ? { binding: { aeadEngine, aeadRun, cmac } }
    : { reason: "this processor has no instructions for AES and carry-less multiplication" }
}

/** The binding, or why there is none. */
export type AeadBindingResult =
  | { readonly binding: AeadBinding; readonly reason?: undefined }
  | { readonly binding?: undefined; readonly reason: string }

/** The binding of this installation. */
export const loadAeadBinding = (): AeadBindingResult => {
  const { addon, reason } = loadNative()
  return addon === undefined ? { reason } : aeadBindingOf(addon)
}
