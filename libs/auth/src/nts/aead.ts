/**
 * The AEAD port (RFC 5116). NTS needs four algorithms; each can be done by the pure reference (aead-noble.ts) or by
 * native code, and every implementation gives the same bytes.
 *
 * There are two interfaces. {@link Aead} takes one text in separate arrays, for key exchange, clients and tests.
 * {@link AeadBatch} takes many jobs described by offsets in two long-lived buffers, for the packet path: one call for a
 * whole batch of packets, and nothing is allocated.
 */

/** Identifiers of the IANA AEAD registry that NTS servers and clients use. */
export const AeadId = { sivCmac256: 15, sivCmac384: 16, sivCmac512: 17, aes128GcmSiv: 30 } as const
export type AeadId = (typeof AeadId)[keyof typeof AeadId]

/** What is fixed by the algorithm, in bytes. */
export interface AeadParameters {
  readonly id: AeadId
  /** The registry's name, as NTPsec and its guide spell it. */
  readonly name: string
  readonly keyBytes: number
  /** The nonce Meridian sends. */
  readonly nonceBytes: number
  /** The longest nonce that is accepted. SIV takes any length from 1 (RFC 5297 §6); GCM-SIV takes 12 and nothing else. */
  readonly maximumNonceBytes: number
  readonly tagBytes: number
  /** Whether the ciphertext starts with the tag (SIV, RFC 5297 §2.6) or ends with it (GCM-SIV, RFC 8452 §4). */
  readonly tagFirst: boolean
}

/** Nonces longer than this are refused: no client sends them, and they would only make the server work. */
const MAXIMUM_SIV_NONCE_BYTES = 64

const siv = (id: AeadId, name: string, keyBytes: number): AeadParameters => ({
  id,
  name,
  keyBytes,
  nonceBytes: 16,
  maximumNonceBytes: MAXIMUM_SIV_NONCE_BYTES,
  tagBytes: 16,
  tagFirst: true
})

const ALL: readonly AeadParameters[] = [
  siv(AeadId.sivCmac256, "AES_SIV_CMAC_256", 32),
  siv(AeadId.sivCmac384, "AES_SIV_CMAC_384", 48),
  siv(AeadId.sivCmac512, "AES_SIV_CMAC_512", 64),
  {
    id: AeadId.aes128GcmSiv,
    name: "AES_128_GCM_SIV",
    keyBytes: 16,
    nonceBytes: 12,
    maximumNonceBytes: 12,
    tagBytes: 16,
    tagFirst: false
  }
]

/** By registry number, because a lookup stands in the packet path. */
const BY_ID: readonly (AeadParameters | undefined)[] = Array.from({ length: 256 }, (_, id) =>
  ALL.find((parameters) => parameters.id === id)
)

/** The parameters of a registry number, undefined for an algorithm that is not one of the four. */
export const aeadParameters = (id: number): AeadParameters | undefined => BY_ID[id]

/** The longest key of the four, bytes. */
export const MAXIMUM_KEY_BYTES = 64

/** Whether a nonce of this many bytes can be given to the algorithm. */
export const isNonceLength = (aead: AeadParameters, nonceLength: number): boolean =>
  nonceLength <= aead.maximumNonceBytes && nonceLength >= (aead.tagFirst ? 1 : aead.nonceBytes)

export interface Aead extends AeadParameters {
  /**
   * Writes `tagBytes + plaintext.length` bytes at the start of `out`. SIV's S2V is fed exactly three strings: `ad` (also
   * when it is empty), `nonce`, `plaintext`. No array may overlap `out`. Throws RangeError on a key, nonce or output of
   * wrong length: those are mistakes of the caller.
   */
  readonly seal: (key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array, out: Uint8Array) => void
  /**
   * Checks, and writes `ciphertext.length - tagBytes` bytes at the start of `out`. False when it does not verify, when
   * the ciphertext is shorter than a tag and when the nonce has a length that {@link isNonceLength} refuses; `out` then
   * holds zeros in place of a plaintext. Throws RangeError on a key or output of wrong length.
   */
  readonly open: (
    key: Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    ciphertext: Uint8Array,
    out: Uint8Array
  ) => boolean
}

/**
 * A job is {@link JOB_STRIDE} integers in an Int32Array, at the positions below. What travels (nonce, associated data,
 * ciphertext) is always in the buffer `packets`; keys are always in the buffer `secrets`; a plaintext is in `packets`
 * unless {@link PLAINTEXT_IN_SECRETS} is set. All positions are byte offsets into those buffers, all lengths are bytes.
 */
export const JOB_STRIDE = 12
export const Job = {
  /** A sum of {@link SEAL}, {@link PLAINTEXT_IN_SECRETS} and {@link CHAINED}. */
  flags: 0,
  /** An {@link AeadId}. */
  aead: 1,
  /** In `secrets`; its length is the algorithm's. */
  keyAt: 2,
  nonceAt: 3,
  nonceLength: 4,
  adAt: 5,
  adLength: 6,
  /**
   * Read when sealing, written when opening. It either lies apart from the ciphertext or is exactly in place: where the
   * encrypted text stands inside the ciphertext, that is after the tag for SIV and at the start for GCM-SIV.
   */
  plaintextAt: 7,
  /** Without the tag, also when opening: the ciphertext has this many bytes and `tagBytes` more. */
  plaintextLength: 8,
  ciphertextAt: 9,
  /** Written by run: 1 when the job succeeded, 0 when it did not or was skipped. */
  status: 10,
  /**
   * A 64-bit NTP timestamp in `packets` that is moved on, just before the job is done, by the time since `stampedAt`; one
   * that is 0 stays 0. 0 here for none: no packet has its timestamp at the start of the buffer.
   */
  stampAt: 11
} as const

/** Seal; open when the flag is not set. */
export const SEAL = 1
/** The plaintext is in `secrets` (the keys within a cookie). */
export const PLAINTEXT_IN_SECRETS = 2
/** Skip this job (status 0) unless the job before it in the same run succeeded: its key may come from there. */
export const CHAINED = 4

export interface AeadBatch {
  readonly kind: "native" | "reference"
  /**
   * Does jobs 0 … count-1 in order; later jobs may use what earlier ones wrote. An open that fails leaves zeros in place
   * of its plaintext and status 0; nothing else stops the run. Throws RangeError for an unknown algorithm, or for an
   * offset or length outside the buffers: those are mistakes of the caller, never of the packet's sender.
   * @param stampedAt CLOCK_MONOTONIC, seconds, of the reading that the stamps were made of; without it they stay
   */
  readonly run: (jobs: Int32Array, count: number, packets: Uint8Array, secrets: Uint8Array, stampedAt?: number) => void
}
