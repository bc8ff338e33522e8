/** Which implementation of the AEAD port this process uses: native, else node:crypto, else @noble/ciphers. */
import type { Aead, AeadBatch, AeadId } from "@meridian/auth/aead"
import { batchOver, nobleAeads } from "@meridian/auth/aead-noble"
import { type AeadBindingResult, loadAeadBinding, nativeAeads, nativeBatch, nativeCmac } from "./aead-native.ts"
import { nodeAeads } from "./aead-node.ts"
import { type Cmac, nodeCmac } from "./cmac-node.ts"
import { systemClock } from "@meridian/clocks/system-clock"

export interface AeadProvider {
  /** For logs and the health page: "AES-NI", "ARMv8", "node:crypto" or "@noble/ciphers". */
  readonly name: string
  /** Why it is not the native one; undefined when it is. */
  readonly reason: string | undefined
  /** Single texts: key exchange, clients. All four algorithms are present. */
  readonly aeads: ReadonlyMap<AeadId, Aead>
  /** The packet path. */
  readonly batch: AeadBatch
  /** AES-CMAC of `length` bytes of `bytes` from `offset`, written at the start of `out`; returns 16. */
  readonly cmac: Cmac
}

/** The best implementation where the binding is as told; for tests, and for a process that must not use the addon. */
export const aeadProviderWith = ({ binding, reason }: AeadBindingResult): AeadProvider => {
  if (binding !== undefined)
    return {
      name: binding.aeadEngine,
      reason: undefined,
      aeads: nativeAeads(binding),
      batch: nativeBatch(binding),
      cmac: nativeCmac(binding)
    }
  const fromNode = nodeAeads()
  const aeads = new Map([...nobleAeads, ...fromNode])
  return {
    name: fromNode.size === aeads.size ? "node:crypto" : "@noble/ciphers",
    reason,
    aeads,
    batch: batchOver("reference", aeads, systemClock().monotonic.seconds),
    cmac: nodeCmac
  }
}

let provider: AeadProvider | undefined

/** The best implementation of this installation, chosen on first use. */
export const aeadProvider = (): AeadProvider => (provider ??= aeadProviderWith(loadAeadBinding()))
