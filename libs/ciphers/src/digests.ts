/** The digests of symmetric keys on node:crypto. MD5 and SHA-1 are here because deployed NTP keys are of these types. */
import type { DigestPort } from "@meridian/auth/mac"
import type { MacAlgorithmName } from "@meridian/auth/mac-algorithms"
import * as onUse from "@meridian/system/on-use"
import { type Cmac, nodeCmac } from "./cmac-node.ts"

/** OpenSSL's names where they are not the key file's. */
const opensslNames: Partial<Record<MacAlgorithmName, string>> = {
  "SHA512-224": "sha512-224",
  "SHA512-256": "sha512-256",
  BLAKE2S256: "blake2s256",
  BLAKE2B512: "blake2b512"
}

export const opensslName = (algorithm: MacAlgorithmName): string => opensslNames[algorithm] ?? algorithm.toLowerCase()

export const isCmac = (algorithm: MacAlgorithmName): boolean => algorithm.startsWith("AES-")

/**
 * A port with a buffer of its own for key ‖ message; messages are NTP packets, of at most `longestMessage` bytes.
 * @param cmac AES-CMAC: the addon's where there is one
 */
export const nodeDigests = (cmac: Cmac = nodeCmac, longestMessage = 2048): DigestPort => {
  let available: ReadonlySet<string> | undefined
  const joined = new Uint8Array(64 + longestMessage)
  return {
    supports: (algorithm) => {
      if (isCmac(algorithm)) return true
      available ??= new Set(onUse.crypto().getHashes())
      return available.has(opensslName(algorithm))
    },
    digest: (algorithm, key, bytes, offset, length, out) => {
      if (isCmac(algorithm)) return cmac(key, bytes, offset, length, out)
      const message = bytes.subarray(offset, offset + length)
      if (key.length + length > joined.length) {
        const digest = onUse.crypto().createHash(opensslName(algorithm)).update(key).update(message).digest()
        out.set(digest)
        return digest.length
      }
      joined.set(key)
      joined.set(message, key.length)
      const digest = onUse.crypto().hash(opensslName(algorithm), joined.subarray(0, key.length + length), "buffer")
      out.set(digest)
      return digest.length
    }
  }
}
