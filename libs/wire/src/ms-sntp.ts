/**
 * What a Windows domain member asks with ([MS-SNTP] 2.2.1, 2.2.3): an NTP header and an authenticator that names an account and
 * proves nothing. The domain controller answers with a checksum under the account's password, so it is the reply that is
 * authenticated, not the request.
 *
 *   68 octets   48 header · 4 key identifier · 16 zeros
 *   120 octets  48 header · 4 key identifier · reserved · flags · hash hints · hash id · 64 zeros (told apart, never answered)
 *
 * The key identifier is the account's relative identifier (RID) in little-endian order, the one field of the packet that is. In the
 * short form its highest bit asks for the account's previous password; in the long form a flag does.
 */
import { HEADER_BYTES, Mode, modeOf, versionOf } from "./ntp.ts"

/** Length of a request with an Authenticator, and of its reply. */
export const MS_SNTP_BYTES = 68
/** Length of a request with an ExtendedAuthenticator, and of its reply. */
export const MS_SNTP_EXTENDED_BYTES = 120

/** Offsets from the packet's start. */
export const MsSntpOffset = {
  keyId: HEADER_BYTES,
  /** Of the short form: MD5(NT hash ‖ header). */
  checksum: 52,
  /** Of the long form. */
  flags: 53,
  hashHints: 54,
  hashId: 55,
  extendedChecksum: 56
} as const

/** In `hashHints` and `hashId`: the checksum of [MS-SNTP] 3.1.5.5 under the NT hash. */
export const NT_HASH = 0x01

/** In a short form's key identifier: the previous password is asked for. */
export const PREVIOUS_BIT = 0x8000_0000

/** The account that a key identifier names. */
export const ridOf = (keyId: number): number => keyId & 0x7fff_ffff
export const asksForPrevious = (keyId: number): boolean => (keyId & PREVIOUS_BIT) !== 0

/**
 * Whether the packet of `length` octets at `offset` is a request of a Windows client: its length again, or 0. Versions 3 and 4, modes 1
 * and 3, a key identifier that names an account, a checksum of zeros. Anything else of that length is a packet with a MAC.
 */
export const msSntpRequestLength = (view: DataView, offset: number, length: number): number => {
  if (length !== MS_SNTP_BYTES && length !== MS_SNTP_EXTENDED_BYTES) return 0
  const flags = view.getUint8(offset)
  const version = versionOf(flags)
  const mode = modeOf(flags)
  if ((version !== 3 && version !== 4) || (mode !== Mode.client && mode !== Mode.symmetricActive)) return 0
  if (ridOf(view.getUint32(offset + MsSntpOffset.keyId, true)) === 0) return 0
  let from = offset + MsSntpOffset.checksum
  if (length === MS_SNTP_EXTENDED_BYTES) {
    if ((view.getUint8(offset + MsSntpOffset.hashHints) & NT_HASH) === 0) return 0
    from = offset + MsSntpOffset.extendedChecksum
  }
  for (let at = from; at < offset + length; at += 4) if (view.getUint32(at) !== 0) return 0
  return length
}
