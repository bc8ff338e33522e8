/**
 * The NTP packet header, versions 1 to 4 (RFC 5905 §7.3). Offsets are named once, here. Readers of one field assume that
 * the caller has checked the length once with {@link HEADER_BYTES}; after that no read can fail.
 */
import { type NtpTimestamp, ntpTimestamp } from "@meridian/time/timestamp"

/** Bytes of the header; every version's packet is at least this long. */
export const HEADER_BYTES = 48

/** Byte offsets of the header's fields. */
export const Offset = {
  /** Leap indicator (2 bits), version (3), mode (3). */
  flags: 0,
  stratum: 1,
  poll: 2,
  precision: 3,
  rootDelay: 4,
  rootDispersion: 8,
  referenceId: 12,
  reference: 16,
  origin: 24,
  receive: 32,
  transmit: 40
} as const

/** Association modes, RFC 5905 §7.3 figure 10. */
export const Mode = {
  reserved: 0,
  symmetricActive: 1,
  symmetricPassive: 2,
  client: 3,
  server: 4,
  broadcast: 5,
  control: 6,
  private: 7
} as const
export type Mode = (typeof Mode)[keyof typeof Mode]

export const LOWEST_VERSION = 1
export const HIGHEST_VERSION = 4

export const leapOf = (flags: number): number => flags >>> 6
export const versionOf = (flags: number): number => (flags >>> 3) & 7
export const modeOf = (flags: number): number => flags & 7
export const flagsOf = (leap: number, version: number, mode: number): number =>
  ((leap & 3) << 6) | ((version & 7) << 3) | (mode & 7)

/** A header as values: for clients, tools and tests. The server's packet path reads and writes fields in place. */
export interface NtpHeader {
  /** 0 … 3 */
  readonly leap: number
  /** 0 … 7; this implementation speaks 1 … 4 */
  readonly version: number
  readonly mode: number
  /** 0 … 255; 0 means unspecified or a kiss code */
  readonly stratum: number
  /** log2 seconds, -128 … 127 */
  readonly poll: number
  /** log2 seconds, -128 … 127 */
  readonly precision: number
  /** NTP short, unsigned 32 bits */
  readonly rootDelay: number
  /** NTP short, unsigned 32 bits */
  readonly rootDispersion: number
  /** unsigned 32 bits */
  readonly referenceId: number
  readonly reference: NtpTimestamp
  readonly origin: NtpTimestamp
  readonly receive: NtpTimestamp
  readonly transmit: NtpTimestamp
}

/** A datagram that cannot hold a header. */
export class ShortPacket {
  readonly _tag = "ShortPacket"
  readonly message: string
  readonly length: number
  constructor(length: number) {
    this.length = length
    this.message = `expected an NTP packet of at least ${HEADER_BYTES} bytes, found ${length}`
  }
}

const readTimestamp = (view: DataView, at: number): NtpTimestamp =>
  ntpTimestamp(view.getUint32(at), view.getUint32(at + 4))

/** Reads a header; what follows it is for `trailer.ts`. Never throws: too few bytes give {@link ShortPacket}. */
export const decodeHeader = (bytes: Uint8Array): NtpHeader | ShortPacket => {
  if (bytes.length < HEADER_BYTES) return new ShortPacket(bytes.length)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const flags = view.getUint8(Offset.flags)
  return {
    leap: leapOf(flags),
    version: versionOf(flags),
    mode: modeOf(flags),
    stratum: view.getUint8(Offset.stratum),
    poll: view.getInt8(Offset.poll),
    precision: view.getInt8(Offset.precision),
    rootDelay: view.getUint32(Offset.rootDelay),
    rootDispersion: view.getUint32(Offset.rootDispersion),
    referenceId: view.getUint32(Offset.referenceId),
    reference: readTimestamp(view, Offset.reference),
    origin: readTimestamp(view, Offset.origin),
    receive: readTimestamp(view, Offset.receive),
    transmit: readTimestamp(view, Offset.transmit)
  }
}

/** Writes a header into a new array of {@link HEADER_BYTES}. Values are cut to their fields' widths. */
export const encodeHeader = (header: NtpHeader): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint8(Offset.flags, flagsOf(header.leap, header.version, header.mode))
  view.setUint8(Offset.stratum, header.stratum)
  view.setInt8(Offset.poll, header.poll)
  view.setInt8(Offset.precision, header.precision)
  view.setUint32(Offset.rootDelay, header.rootDelay)
  view.setUint32(Offset.rootDispersion, header.rootDispersion)
  view.setUint32(Offset.referenceId, header.referenceId)
  view.setBigUint64(Offset.reference, header.reference)
  view.setBigUint64(Offset.origin, header.origin)
  view.setBigUint64(Offset.receive, header.receive)
  view.setBigUint64(Offset.transmit, header.transmit)
  return bytes
}
