/** AES-CMAC (RFC 4493, RFC 8573) on node:crypto, which has AES in CBC: where there is no addon, or a digest is seldom asked for. */
import * as onUse from "@meridian/system/on-use"

/**
 * Writes AES-CMAC of `length` bytes of `bytes` from `offset` at the start of `out`, and returns its length, 16. The key has
 * 16, 24 or 32 bytes.
 */
export type Cmac = (key: Uint8Array, bytes: Uint8Array, offset: number, length: number, out: Uint8Array) => number

const BLOCK = 16
const ZEROS = new Uint8Array(BLOCK)
/** x^128 as the field's polynomial has it: its lowest byte. */
const REDUCTION = 0x87

/** Twice a block in GF(2^128), in place. */
const double = (block: Uint8Array): void => {
  const carry = block[0]! >> 7
  for (let at = 0; at < BLOCK; at += 1) block[at] = (block[at]! << 1) | ((block[at + 1] ?? 0) >> 7)
  block[BLOCK - 1]! ^= carry * REDUCTION
}

export const nodeCmac: Cmac = (key, bytes, offset, length, out) => {
  const chained = (blocks: Uint8Array): Uint8Array =>
    onUse
      .crypto()
      .createCipheriv(`aes-${key.length * 8}-cbc`, key, ZEROS)
      .setAutoPadding(false)
      .update(blocks)
  const blocks = new Uint8Array(Math.max(1, Math.ceil(length / BLOCK)) * BLOCK)
  blocks.set(bytes.subarray(offset, offset + length))
  const subkey = chained(ZEROS)
  double(subkey)
  if (length < blocks.length) {
    blocks[length] = 0x80
    double(subkey)
  }
  const last = blocks.length - BLOCK
  for (let at = 0; at < BLOCK; at += 1) blocks[last + at]! ^= subkey[at]!
  out.set(chained(blocks).subarray(last))
  return BLOCK
}
