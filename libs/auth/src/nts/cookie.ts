/**
 * The cookie: all that the server remembers of a client, kept by the client (RFC 8915 §6). Big-endian:
 *
 * | bytes | |
 * | --- | --- |
 * | 0 | version, 1 |
 * | 1 | AEAD the client negotiated, an {@link AeadId} |
 * | 2 … 5 | generation of the master key |
 * | 6 … 15 | nonce |
 * | 16 … | AES-SIV-CMAC-256 under the master key of C2S ‖ S2C: 16 bytes of tag and the two keys encrypted |
 *
 * Bytes 0 to 5 are the associated data. A cookie has one length per AEAD for ever: clients size their requests by it and
 * old ones refuse cookies of another length. SIV takes a nonce of any length and stays safe when one repeats; all a
 * repeat would show is that two cookies belong to one client, and ten random bytes make that out of reach. They also make
 * the cookie 96 bytes (64 with AES-128-GCM-SIV), as short as chrony's.
 */
import { type AeadBatch, AeadId, type AeadParameters, aeadParameters, PLAINTEXT_IN_SECRETS, SEAL } from "./aead.ts"
import { AeadJobs } from "./aead-jobs.ts"
import { type Generation, MASTER_KEY_BYTES } from "./key-ring.ts"

const COOKIE_VERSION = 1
/** The algorithm that seals cookies, whatever the client negotiated. */
export const COOKIE_AEAD: AeadId = AeadId.sivCmac256

/** Byte offsets within a cookie. */
export const CookieOffset = { version: 0, aead: 1, generation: 2, nonce: 6, sealed: 16 } as const
export const COOKIE_NONCE_BYTES = 10
/** Bytes of associated data, from the cookie's start. */
export const COOKIE_AD_BYTES = 6

const COOKIE_TAG_BYTES = 16

/** The whole length of a cookie for a client's AEAD, bytes. A multiple of 4, so that no extension field is padded. */
export const cookieLength = (aead: AeadParameters): number => CookieOffset.sealed + COOKIE_TAG_BYTES + 2 * aead.keyBytes

/** What a client negotiated: two keys of the AEAD's length (RFC 8915 §5.1). */
export interface SessionKeys {
  readonly aead: AeadParameters
  readonly c2s: Uint8Array
  readonly s2c: Uint8Array
}

/**
 * The AEAD of the cookie at `offset`, undefined when those bytes are no cookie of ours: wrong version, an AEAD that is
 * unknown, or another length than that AEAD's. Nothing is verified yet.
 */
export const cookieAead = (view: DataView, offset: number, length: number): AeadParameters | undefined => {
  if (length < CookieOffset.sealed || view.getUint8(offset + CookieOffset.version) !== COOKIE_VERSION) return undefined
  const aead = aeadParameters(view.getUint8(offset + CookieOffset.aead))
  return aead !== undefined && cookieLength(aead) === length ? aead : undefined
}

/** The generation named in the cookie at `offset`. */
export const cookieGeneration = (view: DataView, offset: number): number =>
  view.getUint32(offset + CookieOffset.generation)

/** Writes a cookie's associated data; the nonce and the sealed part are the caller's. */
export const writeCookieHeader = (view: DataView, offset: number, aead: AeadParameters, generation: number): void => {
  view.setUint8(offset + CookieOffset.version, COOKIE_VERSION)
  view.setUint8(offset + CookieOffset.aead, aead.id)
  view.setUint32(offset + CookieOffset.generation, generation)
}

/**
 * Fresh cookies for one client, sealed in one call of the ciphers: those of a key exchange. They share memory.
 * @param nonces {@link COOKIE_NONCE_BYTES} random bytes for each cookie; their number says how many
 */
export const sealCookies = (
  batch: AeadBatch,
  generation: Generation,
  keys: SessionKeys,
  nonces: Uint8Array
): readonly Uint8Array<ArrayBuffer>[] => {
  const count = nonces.length / COOKIE_NONCE_BYTES
  if (!Number.isInteger(count))
    throw new RangeError(`expected nonces of ${COOKIE_NONCE_BYTES} bytes each, found ${nonces.length} bytes`)
  checkKeys(keys)
  const length = cookieLength(keys.aead)
  const cookies = new Uint8Array(count * length)
  const view = new DataView(cookies.buffer)
  const secrets = new Uint8Array(MASTER_KEY_BYTES + 2 * keys.aead.keyBytes)
  secrets.set(generation.key.subarray(0, MASTER_KEY_BYTES))
  secrets.set(keys.c2s, MASTER_KEY_BYTES)
  secrets.set(keys.s2c, MASTER_KEY_BYTES + keys.aead.keyBytes)
  const jobs = new AeadJobs(count)
  for (let index = 0; index < count; index++) {
    const at = index * length
    writeCookieHeader(view, at, keys.aead, generation.id)
    for (let byte = 0; byte < COOKIE_NONCE_BYTES; byte++)
      cookies[at + CookieOffset.nonce + byte] = nonces[index * COOKIE_NONCE_BYTES + byte]!
    jobs.add(
      SEAL + PLAINTEXT_IN_SECRETS,
      COOKIE_AEAD,
      0,
      at + CookieOffset.nonce,
      COOKIE_NONCE_BYTES,
      at,
      COOKIE_AD_BYTES,
      MASTER_KEY_BYTES,
      2 * keys.aead.keyBytes,
      at + CookieOffset.sealed
    )
  }
  jobs.run(batch, cookies, secrets)
  secrets.fill(0)
  return Array.from({ length: count }, (_, index) => {
    if (!jobs.succeeded(index)) throw new Error("expected the cipher to seal a cookie, found failure")
    return cookies.subarray(index * length, (index + 1) * length)
  })
}

const checkKeys = ({ aead, c2s, s2c }: SessionKeys): void => {
  if (c2s.length !== aead.keyBytes || s2c.length !== aead.keyBytes)
    throw new RangeError(`expected keys of ${aead.keyBytes} bytes for ${aead.name}`)
}
