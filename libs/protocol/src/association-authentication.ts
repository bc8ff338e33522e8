/** The three ways an association's packets are authenticated: not at all, by a symmetric key, by NTS. */
import { CUT_DIGEST_BYTES, KEY_ID_BYTES, MAXIMUM_DIGEST_BYTES, type SymmetricMacs } from "@meridian/auth/mac"
import type { NtsAssociation, NtsRejection } from "@meridian/auth/nts-client"
import { versionOf } from "@meridian/wire/ntp"
import { newTrailer, scanTrailer, TrailerShape } from "@meridian/wire/trailer"
import type { DropReason, NeedKeyExchange } from "./association-action.ts"

/** A packet ready to be sent, or why there is none. */
export type Sealed =
  | { readonly _tag: "Sealed"; readonly bytes: Uint8Array }
  | { readonly _tag: "NoKey" }
  | { readonly _tag: "KeysNeeded"; readonly reason: NeedKeyExchange["reason"] }

/** `authentic` where nothing is to be proved, too. `nts-nak` is a claim that nobody signed. */
export type Authenticity = "authentic" | DropReason

export interface AssociationAuthentication {
  readonly kind: "none" | "symmetric" | "nts" | "autokey"
  readonly seal: (header: Uint8Array, fillRandom: (bytes: Uint8Array) => void) => Sealed
  /** Judges a packet of at least a header's length, whose origin was found to be ours. Never throws. */
  readonly judge: (packet: Uint8Array) => Authenticity
  /** Judges what a broadcast server told to all, where that is authenticated otherwise than an answer. Never throws. */
  readonly judgeTold?: (packet: Uint8Array) => Authenticity
}

export const unauthenticated: AssociationAuthentication = {
  kind: "none",
  seal: (header) => ({ _tag: "Sealed", bytes: header }),
  judge: (packet) => {
    const { shape } = scan(packet)
    return shape === TrailerShape.mac ? "not-authenticated" : (misshapen(shape) ?? "authentic")
  }
}

/**
 * Packets carry a MAC under this key, and so must replies: another key's is as good as none, even if we have it. The digest
 * is cut, as version 4 has it, until the other side is heard to send a whole one.
 */
export const symmetricKey = (macs: SymmetricMacs, keyId: number): AssociationAuthentication => {
  let isWhole = false
  return {
    kind: "symmetric",
    seal: (header) => {
      const key = macs.keys.get(keyId)
      if (key === undefined || !macs.keys.isTrusted(keyId)) return { _tag: "NoKey" }
      const packet = new Uint8Array(header.length + KEY_ID_BYTES + MAXIMUM_DIGEST_BYTES)
      packet.set(header)
      const macLength = isWhole ? KEY_ID_BYTES + key.algorithm.digestBytes : undefined
      const length = macs.append(new DataView(packet.buffer), packet, 0, header.length, key, macLength)
      return { _tag: "Sealed", bytes: packet.subarray(0, header.length + length) }
    },
    judge: (packet) => {
      const { view, trailer, shape } = scan(packet)
      const fault = misshapen(shape)
      if (fault !== undefined) return fault
      if (shape !== TrailerShape.mac) return "not-authenticated"
      if (view.getUint32(trailer.macOffset) !== keyId) return "forged"
      if (macs.verify(view, packet, 0, trailer.macOffset, trailer.macLength) !== "verified") return "forged"
      isWhole = trailer.macLength > KEY_ID_BYTES + CUT_DIGEST_BYTES
      return "authentic"
    }
  }
}

const ntsReasons: Readonly<Record<NtsRejection, DropReason>> = {
  short: "short",
  malformed: "malformed",
  unasked: "unasked",
  "not-authenticated": "not-authenticated",
  "wrong-identifier": "wrong-identifier",
  forged: "forged",
  "wrong-origin": "bogus-origin"
}

/** NTS with what a key exchange gave; undefined before the first one. */
export const networkTimeSecurity = (nts: NtsAssociation | undefined): AssociationAuthentication => ({
  kind: "nts",
  seal: (header, fillRandom) => {
    if (nts === undefined || nts.cookies === 0) return { _tag: "KeysNeeded", reason: "no-cookies" }
    const bytes = nts.needsKeyExchange ? undefined : nts.request(header, fillRandom)
    return bytes === undefined ? { _tag: "KeysNeeded", reason: "nak" } : { _tag: "Sealed", bytes }
  },
  judge: (packet) => {
    if (nts === undefined) return "unasked"
    const verdict = nts.accept(packet)
    switch (verdict._tag) {
      case "Authentic":
        return "authentic"
      case "Nak":
        return "nts-nak"
      case "Rejected":
        return ntsReasons[verdict.reason]
    }
  }
})

const scan = (packet: Uint8Array) => {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  const trailer = newTrailer()
  return { view, trailer, shape: scanTrailer(view, 0, packet.length, versionOf(view.getUint8(0)), trailer) }
}

const misshapen = (shape: TrailerShape): DropReason | undefined =>
  shape === TrailerShape.malformed ? "malformed" : shape === TrailerShape.cryptoNak ? "crypto-nak" : undefined
