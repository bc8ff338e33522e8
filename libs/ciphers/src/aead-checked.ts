/** The length checks that the AEAD port asks of every implementation, around the part that differs. */
import { type Aead, type AeadParameters, isNonceLength } from "@meridian/auth/aead"

/** One text whose lengths are right: seals `input` into `out`, or opens it and tells whether it verified. */
export type AeadTransform = (
  aead: AeadParameters,
  isSeal: boolean,
  key: Uint8Array,
  nonce: Uint8Array,
  ad: Uint8Array,
  input: Uint8Array,
  out: Uint8Array
) => boolean

/** An {@link Aead} whose `out` holds zeros when a text does not open. */
export const checkedAead = (aead: AeadParameters, transform: AeadTransform): Aead => {
  const requireRoom = (key: Uint8Array, out: Uint8Array, needed: number): void => {
    if (key.length !== aead.keyBytes)
      throw new RangeError(`expected a key of ${aead.keyBytes} bytes for ${aead.name}, found ${key.length}`)
    if (out.length < needed) throw new RangeError(`expected room for ${needed} bytes, found ${out.length}`)
  }
  return {
    ...aead,
    seal: (key, nonce, ad, plaintext, out) => {
      requireRoom(key, out, plaintext.length + aead.tagBytes)
      if (!isNonceLength(aead, nonce.length))
        throw new RangeError(`${aead.name} takes no nonce of ${nonce.length} bytes`)
      transform(aead, true, key, nonce, ad, plaintext, out)
    },
    open: (key, nonce, ad, ciphertext, out) => {
      const plaintextLength = Math.max(0, ciphertext.length - aead.tagBytes)
      requireRoom(key, out, plaintextLength)
      const verified =
        ciphertext.length >= aead.tagBytes &&
        isNonceLength(aead, nonce.length) &&
        transform(aead, false, key, nonce, ad, ciphertext, out)
      if (!verified) out.fill(0, 0, plaintextLength)
      return verified
    }
  }
}
