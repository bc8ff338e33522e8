/** Autokey's session-keyed MACs by the list in C (native/session-macs.c): those of a batch in one call. */
import { CUT_DIGEST_BYTES, KEY_ID_BYTES } from "@meridian/auth/mac"
import { type MacAlgorithmName, macAlgorithms } from "@meridian/auth/mac-algorithms"
import { type SessionBatch, sessionBatchOver } from "@meridian/auth/autokey/session-batch"
import { systemClock } from "@meridian/clocks/system-clock"
import { loadNative, type NativeAddon } from "@meridian/system/native"
import { opensslName } from "./digests.ts"
import { installedDigests } from "./digests-native.ts"
import { JobRefused } from "./job-refused.ts"

interface NativeSessionMacs {
  /** -1, or the first refused job: its index times 16 plus a position in {@link REASONS}. Secrets below 0 are none. */
  readonly run: (
    jobs: Int32Array,
    count: number,
    packets: Uint8Array,
    addresses: Uint8Array,
    current: number,
    previous: number,
    stampedAt: number
  ) => number
}

/** What the addon exports. */
export interface SessionMacBinding {
  /** Throws TypeError where this OpenSSL lacks the digest. */
  readonly SessionMacs: new (opensslName: string) => NativeSessionMacs
}

/** In the order of native/session-macs.c. */
const REASONS = [
  "the list is shorter than its count",
  "the addresses lie outside their buffer",
  "the packet lies outside its buffer"
]

/** A list of jobs that was refused whole, before anything was written: a mistake of the caller, never of a packet. */
export class SessionJobError extends JobRefused {
  readonly _tag = "SessionJobError"

  constructor(refusal: number) {
    super("session MAC", refusal, REASONS)
  }
}

const NO_SECRET = -1

/** @throws TypeError for a digest that this OpenSSL lacks */
export const nativeSessionMacs = ({ SessionMacs }: SessionMacBinding, algorithm: MacAlgorithmName): SessionBatch => {
  const native = new SessionMacs(opensslName(algorithm))
  return {
    kind: "native",
    macBytes: KEY_ID_BYTES + Math.min(macAlgorithms[algorithm].digestBytes, CUT_DIGEST_BYTES),
    run: (jobs, count, packets, addresses, current = NO_SECRET, previous = NO_SECRET, stampedAt) => {
      const refusal = native.run(jobs, count, packets, addresses, current, previous, stampedAt)
      if (refusal >= 0) throw new SessionJobError(refusal)
    }
  }
}

/** The batch of this installation: native where the addon is there, over single digests elsewhere. */
export const installedSessionMacs = (algorithm: MacAlgorithmName): SessionBatch => {
  const { SessionMacs } = (loadNative().addon ?? {}) as Partial<NativeAddon & SessionMacBinding>
  return SessionMacs === undefined
    ? sessionBatchOver(installedDigests(), algorithm, systemClock().monotonic.seconds)
    : nativeSessionMacs({ SessionMacs }, algorithm)
}
