/**
 * The AEAD port on node:crypto, which has AES-SIV and AES-GCM-SIV since Node 26.8: constant time like the native one, but
 * with about 5 µs a text. What OpenSSL does otherwise than the port wants is left to the reference.
 */
import { type CipherGCM, createCipheriv, createDecipheriv, type DecipherGCM, getCiphers } from "node:crypto"
import { type Aead, AeadId, aeadParameters } from "@meridian/auth/aead"
import { nobleAeads } from "@meridian/auth/aead-noble"
import { type AeadTransform, checkedAead } from "./aead-checked.ts"

/** OpenSSL counts one key of the two that SIV has. */
const OPENSSL_NAMES: Readonly<Record<AeadId, string>> = {
  [AeadId.sivCmac256]: "aes-128-siv",
  [AeadId.sivCmac384]: "aes-192-siv",
  [AeadId.sivCmac512]: "aes-256-siv",
  [AeadId.aes128GcmSiv]: "aes-128-gcm-siv"
}

const nodeTransform =
  (name: string, reference: Aead): AeadTransform =>
  (aead, isSeal, key, nonce, ad, input, out) => {
    // OpenSSL leaves an empty string out of S2V, which RFC 5297 does not.
    if (aead.tagFirst && ad.length === 0) {
      if (!isSeal) return reference.open(key, nonce, ad, input, out)
      reference.seal(key, nonce, ad, input, out)
      return true
    }
    // @types/node does not know these modes; SIV takes its nonce as the last associated data and null as the iv.
    const iv = aead.tagFirst ? null : nonce
    const associated = aead.tagFirst ? [ad, nonce] : [ad]
    if (isSeal) {
      const cipher = createCipheriv(name, key, iv) as CipherGCM
      for (const data of associated) cipher.setAAD(data)
      const ciphertext = cipher.update(input)
      cipher.final()
      out.set(ciphertext, aead.tagFirst ? aead.tagBytes : 0)
      out.set(cipher.getAuthTag(), aead.tagFirst ? 0 : input.length)
      return true
    }
    const tagAt = aead.tagFirst ? 0 : input.length - aead.tagBytes
    const textAt = aead.tagFirst ? aead.tagBytes : 0
    const decipher = createDecipheriv(name, key, iv) as DecipherGCM
    decipher.setAuthTag(input.subarray(tagAt, tagAt + aead.tagBytes))
    for (const data of associated) decipher.setAAD(data)
    try {
      const plaintext = decipher.update(input.subarray(textAt, textAt + input.length - aead.tagBytes))
      decipher.final()
      out.set(plaintext)
      return true
    } catch {
      // Lengths were checked before, so all that is left to fail is the tag.
      return false
    }
  }

/** The algorithms this Node's OpenSSL has, by their numbers. */
export const nodeAeads = (): ReadonlyMap<AeadId, Aead> => {
  const available = new Set(getCiphers())
  return new Map(
    [...nobleAeads].flatMap(([id, reference]) => {
      const name = OPENSSL_NAMES[id]
      const parameters = aeadParameters(id)
      return parameters !== undefined && available.has(name)
        ? [[id, checkedAead(parameters, nodeTransform(name, reference))] as const]
        : []
    })
  )
}
