/**
 * MACs by the list in C (native/mac-keys.c): keys are prepared once, AES-CMAC by the processor's instructions, MD5 for eight
 * packets at a time, other digests by the OpenSSL inside Node. Nothing is made and no byte copied for a packet.
 */
import { type MacAlgorithmName, macAlgorithms } from "@meridian/auth/mac-algorithms"
import { type MacBatch, macBatchOver } from "@meridian/auth/mac-batch"
import type { AeadBinding } from "./aead-native.ts"
import { isCmac, opensslName } from "./digests.ts"
import { installedDigests } from "./digests-native.ts"
import { loadNative, type NativeAddon } from "@meridian/system/native"
import { JobRefused } from "./job-refused.ts"
import { systemClock } from "@meridian/clocks/system-clock"

/** Keys in the addon's own memory. */
interface NativeMacKeys {
  /** False where the key cannot be one of the algorithm, or the algorithm is not there. */
  readonly add: (name: string, secret: Uint8Array) => boolean
  /** -1, or the first refused job: its index times 16 plus a position in {@link REASONS}. */
  readonly run: (jobs: Int32Array, count: number, packets: Uint8Array, stampedAt: number) => number
  /** Overwrites and forgets all keys. */
  readonly wipe: () => void
}

/** What the addon exports. */
export interface MacBinding {
  readonly MacKeys: new () => NativeMacKeys
}

/** In the order of native/mac-keys.c. */
const REASONS = [
  "the list is shorter than its count",
  "there is no such key",
  "the message lies outside packets",
  "the digest lies outside packets or has a length that its algorithm does not give",
  "the stamp lies outside packets"
]

/** A list of jobs that was refused whole, before anything was written: a mistake of the caller, never of a packet. */
export class MacJobError extends JobRefused {
  readonly _tag = "MacJobError"

  constructor(refusal: number) {
    super("MAC", refusal, REASONS)
  }
}

const nameOf = (algorithm: MacAlgorithmName): string => (isCmac(algorithm) ? "cmac" : opensslName(algorithm))

/**
 * The batch in C. It keeps the port's contract and is stricter: all jobs are checked before the first is done, so that
 * {@link MacJobError} leaves every buffer as it was. Its memory for keys is wiped when they are replaced, and when it is
 * collected.
 */
export const nativeMacs = ({ MacKeys }: MacBinding): MacBatch => {
  const native = new MacKeys()
  const supported = new Map<MacAlgorithmName, boolean>()

  const isSupported = (algorithm: MacAlgorithmName): boolean => {
    const anyKey = new Uint8Array(macAlgorithms[algorithm].keyBytes ?? 1)
    return new MacKeys().add(nameOf(algorithm), anyKey)
  }

  return {
    kind: "native",
    supports: (algorithm) => {
      const known = supported.get(algorithm) ?? isSupported(algorithm)
      supported.set(algorithm, known)
      return known
    },
    useKeys: (keys) => {
      native.wipe()
      for (const { id, algorithm, secret } of keys)
        if (!native.add(nameOf(algorithm.name), secret)) {
          native.wipe()
          throw new RangeError(`expected an algorithm that this platform has, found key ${id} of ${algorithm.name}`)
        }
    },
    run: (jobs, count, packets, stampedAt) => {
      const refusal = native.run(jobs, count, packets, stampedAt)
      if (refusal >= 0) throw new MacJobError(refusal)
    }
  }
}

/**
 * The batch of this installation: native where the addon is there and the processor has AES, over single digests elsewhere.
 */
export const installedMacs = (): MacBatch => {
  const { MacKeys, aeadEngine } = (loadNative().addon ?? {}) as Partial<NativeAddon & MacBinding & AeadBinding>
  if (MacKeys !== undefined && aeadEngine !== undefined) return nativeMacs({ MacKeys })
  return macBatchOver(installedDigests(), systemClock().monotonic.seconds)
}
