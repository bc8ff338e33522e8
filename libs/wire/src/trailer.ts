/**
 * What follows the header: extension fields (version 4 only) and a MAC, told apart by RFC 7822 §3. There is no flag on
 * the wire for either; length decides:
 *
 * - version 4: 4, 20 or 24 bytes left are a MAC (a crypto-NAK, or a key id with a digest of 16 or 20); more than 24 begin
 *   with an extension field. The last field of a packet without a MAC must therefore be at least 28 bytes.
 * - versions 1 to 3 have no extension fields: everything left is a MAC, whatever its length.
 */
import { HEADER_BYTES } from "./ntp.ts"

/** Extension fields kept per packet. Real packets carry at most eleven; more is malformed. */
export const MAX_FIELDS = 24
/** An extension field's type and length. */
export const FIELD_HEADER_BYTES = 4
/** RFC 7822 §3: the shortest extension field that is followed by another or by a MAC. */
const SHORTEST_FIELD = 16
/** The longest MAC of a version 4 packet: key id and a digest cut to 20 bytes. */
const LONGEST_V4_MAC = 24
/** The longest MAC of older versions: key id and a 64-byte digest; 72 is MS-SNTP's extended authenticator. */
const LONGEST_OLD_MAC = 72

export const TrailerShape = {
  /** Nothing follows the header, or extension fields only. */
  plain: 0,
  /** A MAC ends the packet: see macOffset, macLength. */
  mac: 1,
  /** Four bytes: the other side could not verify us. */
  cryptoNak: 2,
  /** Neither fields nor a MAC can be made of it. */
  malformed: 3
} as const
export type TrailerShape = (typeof TrailerShape)[keyof typeof TrailerShape]

/** Where a packet's extension fields and MAC lie: offsets into the buffer that was scanned. Reused from packet to packet. */
export interface Trailer {
  fieldCount: number
  readonly fieldOffsets: Uint32Array
  /** 0 when there is no MAC. */
  macOffset: number
  macLength: number
}

export const newTrailer = (): Trailer => ({
  fieldCount: 0,
  fieldOffsets: new Uint32Array(MAX_FIELDS),
  macOffset: 0,
  macLength: 0
})

export const fieldType = (view: DataView, fieldOffset: number): number => view.getUint16(fieldOffset)
/** Length of the whole field, its header included. */
export const fieldLength = (view: DataView, fieldOffset: number): number => view.getUint16(fieldOffset + 2)

/**
 * Finds the fields and the MAC of the packet at `offset`, `length` bytes long (at least {@link HEADER_BYTES}, all of them
 * in `view`), into `out`. Reads nothing outside the packet and never throws.
 */
export const scanTrailer = (
  view: DataView,
  offset: number,
  length: number,
  version: number,
  out: Trailer
): TrailerShape => {
  out.fieldCount = 0
  out.macOffset = 0
  out.macLength = 0
  let at = offset + HEADER_BYTES
  const end = offset + length
  if (at === end) return TrailerShape.plain
  if ((length & 3) !== 0) return TrailerShape.malformed
  if (version < 4) return takeMac(out, at, end - at, LONGEST_OLD_MAC)
  while (end - at > LONGEST_V4_MAC) {
    const size = fieldLength(view, at)
    if (size < SHORTEST_FIELD || (size & 3) !== 0 || size > end - at) return TrailerShape.malformed
    if (out.fieldCount === MAX_FIELDS) return TrailerShape.malformed
    out.fieldOffsets[out.fieldCount] = at
    out.fieldCount += 1
    at += size
  }
  const left = end - at
  if (left === 0) return TrailerShape.plain
  return left === 4 || left === 20 || left === LONGEST_V4_MAC
    ? takeMac(out, at, left, LONGEST_V4_MAC)
    : TrailerShape.malformed
}

const takeMac = (out: Trailer, at: number, size: number, longest: number): TrailerShape => {
  if (size > longest) return TrailerShape.malformed
  out.macOffset = at
  out.macLength = size
  return size === 4 ? TrailerShape.cryptoNak : TrailerShape.mac
}
