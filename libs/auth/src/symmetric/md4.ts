/**
 * MD4 (RFC 1320). It is broken as a digest and here for one purpose only: Windows keeps an account's password as its MD4,
 * and OpenSSL no longer offers it.
 */

const BLOCK_BYTES = 64
const LENGTH_AT = 56

/** Amounts of rotation, by round and step (RFC 1320 §3.4). */
const ROTATIONS = [
  [3, 7, 11, 19],
  [3, 5, 9, 13],
  [3, 9, 11, 15]
] as const
/** Which word each step of a round adds. */
const ORDERS = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15],
  [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15]
] as const
const CONSTANTS = [0, 0x5a827999, 0x6ed9eba1] as const
const MIX = [
  (x: number, y: number, z: number): number => (x & y) | (~x & z),
  (x: number, y: number, z: number): number => (x & y) | (x & z) | (y & z),
  (x: number, y: number, z: number): number => x ^ y ^ z
] as const

const rotated = (value: number, by: number): number => (value << by) | (value >>> (32 - by))

/** The digest, 16 octets. */
export const md4 = (message: Uint8Array): Uint8Array<ArrayBuffer> => {
  const padded = padding(message)
  const view = new DataView(padded.buffer)
  let [a, b, c, d] = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476]
  for (let block = 0; block < padded.length; block += BLOCK_BYTES) {
    const before = [a, b, c, d] as const
    for (let round = 0; round < 3; round += 1)
      for (let step = 0; step < 16; step += 1) {
        const word = view.getUint32(block + 4 * ORDERS[round]![step]!, true)
        const sum = (a + MIX[round]!(b, c, d) + word + CONSTANTS[round]!) | 0
        ;[a, b, c, d] = [d, rotated(sum, ROTATIONS[round]![step & 3]!), b, c]
      }
    a = (a + before[0]) | 0
    b = (b + before[1]) | 0
    c = (c + before[2]) | 0
    d = (d + before[3]) | 0
  }
  const digest = new Uint8Array(16)
  const out = new DataView(digest.buffer)
  for (const [index, word] of [a, b, c, d].entries()) out.setUint32(4 * index, word, true)
  return digest
}

/** The message, an octet 0x80, zeros, and its length in bits: whole blocks. */
const padding = (message: Uint8Array): Uint8Array<ArrayBuffer> => {
  const blocks = Math.floor((message.length + 8) / BLOCK_BYTES) + 1
  const padded = new Uint8Array(blocks * BLOCK_BYTES)
  padded.set(message)
  padded[message.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setBigUint64((blocks - 1) * BLOCK_BYTES + LENGTH_AT, BigInt(message.length) * 8n, true)
  return padded
}

/** What Windows keeps of a password: MD4 of its UTF-16 in little-endian order ([MS-NLMP] 3.3.1, NTOWFv1). */
export const ntHash = (password: string): Uint8Array<ArrayBuffer> => {
  const units = new Uint8Array(2 * password.length)
  const view = new DataView(units.buffer)
  for (let index = 0; index < password.length; index += 1) view.setUint16(2 * index, password.charCodeAt(index), true)
  return md4(units)
}
