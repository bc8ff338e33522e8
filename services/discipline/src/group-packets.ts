/** Packets to and from many: how those of others are proved, and what a header of ours says. */
import type { KeyRange } from "@meridian/auth/key-table"
import { KEY_ID_BYTES, type SymmetricMacs } from "@meridian/auth/mac"
import type { ServingEndpoint } from "@meridian/ipc/discipline-report"
import {
  type AssociationAuthentication,
  type Moment,
  symmetricKey,
  type SystemVariables
} from "@meridian/protocol/associations"
import { secondsToShort } from "@meridian/time/short"
import { encodeHeader, type NtpHeader } from "@meridian/wire/ntp"
import { newTrailer, scanTrailer, TrailerShape } from "@meridian/wire/trailer"

/** What all that tell many, or answer at groups, work with. */
export interface GroupSurroundings {
  readonly macs: SymmetricMacs
  readonly moment: () => Moment
  readonly system: () => SystemVariables
  /** log2 seconds */
  readonly precision: number
  readonly serving: readonly ServingEndpoint[]
  readonly warn: (message: string) => void
}

interface Proof {
  readonly authentication: AssociationAuthentication
  readonly keyId: number
}

/** By the MAC behind the header, under a trusted key that a line names: `none` where there is no MAC, `key` where it is another's. */
export const proofOf = (
  packet: Uint8Array,
  version: number,
  macs: SymmetricMacs,
  named: readonly KeyRange[]
): Proof | "none" | "key" | "forged" => {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  const trailer = newTrailer()
  if (scanTrailer(view, 0, packet.length, version, trailer) !== TrailerShape.mac) return "none"
  const keyId = trailer.macLength < KEY_ID_BYTES ? 0 : view.getUint32(trailer.macOffset)
  if (!macs.keys.isTrusted(keyId) || !named.some(({ first, last }) => first <= keyId && keyId <= last)) return "key"
  const authentication = symmetricKey(macs, keyId)
  return authentication.judge(packet) === "authentic" ? { authentication, keyId } : "forged"
}

/** A header that says how this node's clock stands. */
export const headerOf = (
  { rootDelay, rootDispersion, ...system }: SystemVariables,
  rest: Omit<NtpHeader, keyof SystemVariables>
): Uint8Array =>
  encodeHeader({
    ...system,
    rootDelay: secondsToShort(rootDelay),
    rootDispersion: secondsToShort(rootDispersion),
    ...rest
  })
