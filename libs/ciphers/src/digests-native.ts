/** The digests of symmetric keys in C (native/digests.c): no object is made and no byte copied for a packet. */
import type { DigestPort } from "@meridian/auth/mac"
import { type MacAlgorithmName, macAlgorithmNames } from "@meridian/auth/mac-algorithms"
import { type Cmac, nodeCmac } from "./cmac-node.ts"
import { isCmac, nodeDigests, opensslName } from "./digests.ts"
import { loadNative, type NativeAddon } from "@meridian/system/native"

/** H(key ‖ `length` bytes from `offset`) at the start of `out`; its length, or 0 when a range is wrong. */
type NativeDigest = (key: Uint8Array, bytes: Uint8Array, offset: number, length: number, out: Uint8Array) => number

/** What the addon exports. */
export interface DigestBinding {
  /** Undefined where this OpenSSL does not have the algorithm. */
  readonly openDigest: (opensslName: string) => NativeDigest | undefined
}

/** @param cmac the addon's AES-CMAC, or what takes its place on this processor */
export const nativeDigests = ({ openDigest }: DigestBinding, cmac: Cmac): DigestPort => {
  const digests = new Map<MacAlgorithmName, NativeDigest>()
  for (const name of macAlgorithmNames) {
    const digest = isCmac(name) ? undefined : openDigest(opensslName(name))
    if (digest !== undefined) digests.set(name, digest)
  }
  return {
    supports: (algorithm) => isCmac(algorithm) || digests.has(algorithm),
    digest: (algorithm, key, bytes, offset, length, out) => {
      const digest = digests.get(algorithm)
      if (digest === undefined) {
        if (isCmac(algorithm)) return cmac(key, bytes, offset, length, out)
        throw new RangeError(`expected an algorithm that this platform has, found ${algorithm}`)
      }
      const size = digest(key, bytes, offset, length, out)
      if (size > 0) return size
      throw new RangeError(
        `${algorithm} expects a message within its array and room for its digest; found a message at ` +
          `${offset} … ${offset + length} of ${bytes.length}, room for ${out.length}`
      )
    }
  }
}

/**
 * The digests of this installation: native where the addon is there, on node:crypto elsewhere.
 * @param cmac the addon's AES-CMAC, for who asks often
 */
export const installedDigests = (cmac: Cmac = nodeCmac): DigestPort => {
  const { openDigest } = (loadNative().addon ?? {}) as Partial<NativeAddon & DigestBinding>
  return openDigest === undefined ? nodeDigests(cmac) : nativeDigests({ openDigest }, cmac)
}
