/**
 * NTP control messages, mode 6 (RFC 9327): a header of 12 octets, up to 468 octets of data, padding, perhaps a MAC. An answer
 * longer than that goes out in fragments. Offsets are named once, here.
 */
import { flagsOf, Mode, modeOf, versionOf } from "./ntp.ts"

const CONTROL_HEADER_BYTES = 12
/** Most data in one packet (RFC 9327 §2). */
export const MAXIMUM_CONTROL_DATA = 468

/** Byte offsets of the header's fields. */
const ControlOffset = {
  /** Leap indicator (2 bits), version (3), mode (3). */
  flags: 0,
  /** Response (1 bit), error (1), more (1), opcode (5). */
  operation: 1,
  sequence: 2,
  status: 4,
  association: 6,
  offset: 8,
  count: 10
} as const

/** Opcodes, RFC 9327 §2 table 1, and those of ntpd beyond it. */
export const ControlOperation = {
  unspecified: 0,
  readStatus: 1,
  readVariables: 2,
  writeVariables: 3,
  readClock: 4,
  writeClock: 5,
  setTrap: 6,
  asynchronous: 7,
  configure: 8,
  saveConfiguration: 9,
  readMru: 10,
  readOrderedList: 11,
  requestNonce: 12,
  unsetTrap: 31
} as const

/** Error codes, RFC 9327 §3.4. */
export const ControlError = {
  unspecified: 0,
  permission: 1,
  badFormat: 2,
  badOperation: 3,
  badAssociation: 4,
  unknownVariable: 5,
  badValue: 6,
  restricted: 7
} as const
export type ControlErrorCode = (typeof ControlError)[keyof typeof ControlError]

const RESPONSE = 0x80
const ERROR = 0x40
const MORE = 0x20
const OPERATION = 0x1f
/** A key id and the shortest digest. */
const SHORTEST_MAC = 4 + 16

export interface ControlRequest {
  readonly version: number
  readonly operation: number
  readonly sequence: number
  readonly association: number
  readonly data: Uint8Array
  /**
   * Where a MAC may begin: classic ntpq and NTPsec's up to 1.2.2 pad what comes before it to 8 octets, later ones to 4. Empty
   * where nothing follows the data.
   */
  readonly macOffsets: readonly number[]
}

/**
 * Why a datagram is no request. `ignored`: not to be answered at all, as it is a response, a fragment or no mode 6; `format`:
 * to be answered with an error.
 */
type ControlFault = "short" | "ignored" | "format"

/** Reads a request. Never throws. */
export const decodeControlRequest = (packet: Uint8Array): ControlRequest | ControlFault => {
  if (packet.length < CONTROL_HEADER_BYTES) return "short"
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  const flags = view.getUint8(ControlOffset.flags)
  const operation = view.getUint8(ControlOffset.operation)
  const version = versionOf(flags)
  if (modeOf(flags) !== Mode.control || version < 1 || version > 4) return "ignored"
  if ((operation & (RESPONSE | ERROR | MORE)) !== 0 || view.getUint16(ControlOffset.offset) !== 0) return "ignored"
  const count = view.getUint16(ControlOffset.count)
  const end = CONTROL_HEADER_BYTES + count
  if (packet.length % 4 !== 0 || end > packet.length || count > MAXIMUM_CONTROL_DATA) return "format"
  const offsets = [...new Set([8, 4].map((unit) => Math.ceil(end / unit) * unit))]
  return {
    version,
    operation: operation & OPERATION,
    sequence: view.getUint16(ControlOffset.sequence),
    association: view.getUint16(ControlOffset.association),
    data: packet.subarray(CONTROL_HEADER_BYTES, end),
    macOffsets: offsets.filter((offset) => packet.length - offset >= SHORTEST_MAC)
  }
}

/** What every packet of an answer repeats. */
export interface ControlReplyHead {
  /** Of the system, 0 … 3. */
  readonly leap: number
  readonly version: number
  readonly operation: number
  readonly sequence: number
  readonly status: number
  readonly association: number
}

const fragment = (head: ControlReplyHead, bits: number, data: Uint8Array, offset: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(CONTROL_HEADER_BYTES + Math.ceil(data.length / 4) * 4)
  const view = new DataView(bytes.buffer)
  view.setUint8(ControlOffset.flags, flagsOf(head.leap, head.version, Mode.control))
  view.setUint8(ControlOffset.operation, RESPONSE | bits | (head.operation & OPERATION))
  view.setUint16(ControlOffset.sequence, head.sequence)
  view.setUint16(ControlOffset.status, head.status)
  view.setUint16(ControlOffset.association, head.association)
  view.setUint16(ControlOffset.offset, offset)
  view.setUint16(ControlOffset.count, data.length)
  bytes.set(data, CONTROL_HEADER_BYTES)
  return bytes
}

/** The packets of an answer, padded to 4 octets; one without data when there is none. At most 65,535 octets are carried. */
export const encodeControlReply = (head: ControlReplyHead, data: Uint8Array): readonly Uint8Array<ArrayBuffer>[] => {
  const whole = data.subarray(0, 0xffff)
  const packets: Uint8Array<ArrayBuffer>[] = []
  for (let at = 0; at === 0 || at < whole.length; at += MAXIMUM_CONTROL_DATA) {
    const part = whole.subarray(at, at + MAXIMUM_CONTROL_DATA)
    packets.push(fragment(head, at + part.length < whole.length ? MORE : 0, part, at))
  }
  return packets
}

/** The one packet that says what is wrong (RFC 9327 §3.4). */
export const encodeControlError = (
  head: Omit<ControlReplyHead, "status">,
  code: ControlErrorCode
): Uint8Array<ArrayBuffer> => fragment({ ...head, status: code << 8 }, ERROR, new Uint8Array(0), 0)

/** What a client needs of an answer's packet: for tests and tools. */
interface ControlReply {
  readonly version: number
  readonly leap: number
  readonly operation: number
  readonly isError: boolean
  readonly hasMore: boolean
  readonly sequence: number
  readonly status: number
  readonly association: number
  readonly offset: number
  readonly data: Uint8Array
}

/** Reads one packet of an answer; undefined when it is none. Never throws. */
export const decodeControlReply = (packet: Uint8Array): ControlReply | undefined => {
  if (packet.length < CONTROL_HEADER_BYTES) return undefined
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  const flags = view.getUint8(ControlOffset.flags)
  const operation = view.getUint8(ControlOffset.operation)
  const end = CONTROL_HEADER_BYTES + view.getUint16(ControlOffset.count)
  if (modeOf(flags) !== Mode.control || (operation & RESPONSE) === 0 || end > packet.length) return undefined
  return {
    version: versionOf(flags),
    leap: flags >>> 6,
    operation: operation & OPERATION,
    isError: (operation & ERROR) !== 0,
    hasMore: (operation & MORE) !== 0,
    sequence: view.getUint16(ControlOffset.sequence),
    status: view.getUint16(ControlOffset.status),
    association: view.getUint16(ControlOffset.association),
    offset: view.getUint16(ControlOffset.offset),
    data: packet.subarray(CONTROL_HEADER_BYTES, end)
  }
}
