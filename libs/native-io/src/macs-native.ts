/**
 * MACs by the list in C (native/mac-keys.c): keys are prepared once, AES-CMAC by the processor's instructions, MD5 for eight
 * packets at a time, other digests by the OpenSSL inside Node. Nothing is made and no byte copied for a packet.
 */
import { nobleCmac } from "@meridian/auth/cmac-noble"
import type { MacAlgorithmName } from "@meridian/auth/mac-algorithms"
import { type MacBatch, macBatchOver } from "@meridian/auth/mac-batch"
import { isCmac, opensslName } from "./digests.ts"
import { type DigestBinding, installedDigests } from "./digests-native.ts"
import { loadNative, type NativeAddon } from "./native.ts"
import { systemClock } from "./system-clock.ts"

/** Keys in the addon's own memory. */
interface NativeMacKeys {
  /** False where the key cannot be one of the algorithm, or the algorithm is not there. */
  readonly add: (name: string, secret: Uint8Array) => boolean
  /** -1, or the first refused job: its index times {@link REASONS_PER_JOB} plus a position in {@link REASONS}. */
  readonly run: (jobs: Int32Array, count: number, packets: Uint8Array, stampedAt: number) => number
  /** Overwrites and forgets all keys. */
  readonly wipe: () => void
}

/** What the addon exports. */
export interface MacBinding {
  readonly MacKeys: new () => NativeMacKeys
}

const REASONS_PER_JOB = 8

/** In the order of native/mac-keys.c. */
const REASONS = [
  "the list is shorter than its count",
  "there is no such key",
  "the message lies outside packets",
  "the digest lies outside packets or has a length that its algorithm does not give",
  "the stamp lies outside packets"
]

/** A list of jobs that was refused whole, before anything was written: a mistake of the caller, never of a packet. */
export class MacJobError extends RangeError {
  readonly _tag = "MacJobError"
  /** Index of the first job that is wrong. */
  readonly job: number

  constructor(refusal: number) {
    const job = Math.floor(refusal / REASONS_PER_JOB)
    super(`MAC job ${job}: ${REASONS[refusal % REASONS_PER_JOB] ?? "refused"}; no job of the list was done`)
    this.job = job
  }
}

const nameOf = (algorithm: MacAlgorithmName): string => (isCmac(algorithm) ? "cmac" : opensslName(algorithm))

/**
 * The batch in C. It keeps the port's contract and is stricter: all jobs are checked before the first is done, so that
 * {@link MacJobError} leaves every buffer as it was. Its memory for keys is wiped when they are replaced, and when it is
 * collected.
 * @param supports whether this platform has an algorithm
 */
export const nativeMacs = ({ MacKeys }: MacBinding, supports: MacBatch["supports"]): MacBatch => {
  const native = new MacKeys()
  return {
    kind: "native",
    supports,
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
  const { MacKeys, aeadEngine } = (loadNative().addon ?? {}) as Partial<NativeAddon & MacBinding & DigestBinding> & {
    readonly aeadEngine?: string
  }
  const digests = installedDigests(nobleCmac)
  if (MacKeys !== undefined && aeadEngine !== undefined) return nativeMacs({ MacKeys }, digests.supports)
  return macBatchOver(digests, systemClock().monotonic.seconds)
}
