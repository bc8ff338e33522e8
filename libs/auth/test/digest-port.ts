/** Digests of node:crypto, and the reference's CMAC. */
import { createHash } from "node:crypto"
import { nobleCmac } from "../src/symmetric/cmac-noble.ts"
import type { DigestPort } from "../src/symmetric/mac.ts"

export const digestPort: DigestPort = {
  supports: () => true,
  digest: (algorithm, key, bytes, offset, length, out) => {
    if (algorithm.startsWith("AES-")) return nobleCmac(key, bytes, offset, length, out)
    const digest = createHash(algorithm.toLowerCase())
      .update(key)
      .update(bytes.subarray(offset, offset + length))
      .digest()
    out.set(digest)
    return digest.length
  }
}
