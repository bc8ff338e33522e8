/** AES-CMAC (RFC 4493, RFC 8573) on @noble/ciphers: the reference that the others are checked against. */
import { cmac } from "@noble/ciphers/aes.js"

/** Writes AES-CMAC(key, message) at the start of `out` and returns its length, 16. The key has 16, 24 or 32 bytes. */
export const nobleCmac = (
  key: Uint8Array,
  bytes: Uint8Array,
  offset: number,
  length: number,
  out: Uint8Array
): number => {
  const tag = cmac(bytes.subarray(offset, offset + length), key)
  out.set(tag)
  return tag.length
}
