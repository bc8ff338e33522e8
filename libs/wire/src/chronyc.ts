/**
 * chrony's command protocol, version 6, which chronyc and what is built like it speak: a request of 20 octets and its
 * arguments, padded so that no answer is longer; an answer of 28 octets and its record. Big endian throughout.
 */

const VERSION = 6
/** The oldest version that is told of its mismatch; older ones are not answered. */
const OLDEST_ANSWERED = 5
const TYPE_REQUEST = 1
const TYPE_REPLY = 2
const REQUEST_BYTES = 20
/** Of an answer without a record: no request may be shorter. */
const REPLY_BYTES = 28
/** No request is longer: that of `add server` with its padding. */
export const LONGEST_CHRONYC = 1_024
const NAME_BYTES = 256
/** Most clients in one answer. */
export const CLIENTS_PER_REPLY = 8

/** Commands that are answered or known by name; chronyd has {@link COMMANDS} in all. */
export const ChronyCommand = {
  online: 1,
  offline: 2,
  burst: 3,
  sourceCount: 14,
  sourceData: 15,
  rekey: 16,
  tracking: 33,
  sourceStatistics: 34,
  rtcReport: 35,
  manualList: 41,
  activity: 44,
  smoothing: 51,
  refresh: 53,
  serverStatistics: 54,
  ntpData: 57,
  onOffline: 63,
  sourceName: 65,
  authenticationData: 67,
  clientAccesses: 68,
  selectData: 69,
  reloadSources: 70
} as const

/** Numbers from here on are no commands of version 6. */
const COMMANDS = 75

export const ChronyStatus = {
  success: 0,
  failed: 1,
  unauthorised: 2,
  invalid: 3,
  noSuchSource: 4,
  notEnabled: 6,
  noRtc: 13,
  inactive: 15,
  badVersion: 18,
  badLength: 19
} as const
export type ChronyStatusCode = (typeof ChronyStatus)[keyof typeof ChronyStatus]

/** Formats of records (RPY_ of candm.h). Two commands answer 4.3 and later versions of chronyc in different ones. */
export const ChronyRecord = {
  none: 1,
  sourceCount: 2,
  sourceData: 3,
  tracking: 5,
  sourceStatistics: 6,
  activity: 12,
  smoothing: 13,
  ntpData: 16,
  manualList: 18,
  sourceName: 19,
  authenticationData: 20,
  clientAccesses: 21,
  selectData: 23,
  serverStatistics3: 24,
  serverStatistics4: 25,
  ntpData2: 26
} as const
type ChronyRecordType = (typeof ChronyRecord)[keyof typeof ChronyRecord]

/** Whole lengths of the shortest request that is answered, as chronyc 4.3 sends it; later versions may send more. */
const leastLengths: Readonly<Record<number, number>> = {
  [ChronyCommand.online]: 60,
  [ChronyCommand.offline]: 60,
  [ChronyCommand.burst]: 68,
  [ChronyCommand.sourceCount]: 32,
  [ChronyCommand.sourceData]: 76,
  [ChronyCommand.tracking]: 104,
  [ChronyCommand.sourceStatistics]: 84,
  [ChronyCommand.rtcReport]: 56,
  [ChronyCommand.manualList]: 416,
  [ChronyCommand.activity]: 48,
  [ChronyCommand.smoothing]: 52,
  [ChronyCommand.serverStatistics]: 72,
  [ChronyCommand.ntpData]: 152,
  [ChronyCommand.sourceName]: 284,
  [ChronyCommand.authenticationData]: 52,
  [ChronyCommand.clientAccesses]: 520,
  [ChronyCommand.selectData]: 76
}

/** From here on the request is of chronyc 4.4 or later and takes the longer record. */
export const SERVER_STATISTICS_LONG = 196
export const NTP_DATA_LONG = 172

export interface ChronyRequest {
  readonly command: number
  readonly sequence: number
  /** Whole length: what an answer may have. */
  readonly length: number
  /** What follows the request's head. */
  readonly arguments: DataView
}

/** To be answered with a status and nothing else. */
interface ChronyRefusal {
  readonly command: number
  readonly sequence: number
  readonly status: ChronyStatusCode
}

/** Reads a request; undefined for what gets no answer at all. Never throws. */
export const decodeChronyRequest = (packet: Uint8Array): ChronyRequest | ChronyRefusal | undefined => {
  if (packet.length < REPLY_BYTES || packet.length > LONGEST_CHRONYC) return undefined
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  if (view.getUint8(1) !== TYPE_REQUEST || view.getUint16(2) !== 0) return undefined
  const version = view.getUint8(0)
  const command = view.getUint16(4)
  const sequence = view.getUint32(8)
  if (version !== VERSION)
    return version >= OLDEST_ANSWERED ? { command, sequence, status: ChronyStatus.badVersion } : undefined
  if (command >= COMMANDS) return { command, sequence, status: ChronyStatus.invalid }
  if (packet.length < (leastLengths[command] ?? REPLY_BYTES))
    return { command, sequence, status: ChronyStatus.badLength }
  return {
    command,
    sequence,
    length: packet.length,
    arguments: new DataView(packet.buffer, packet.byteOffset + REQUEST_BYTES, packet.length - REQUEST_BYTES)
  }
}

/** A record in the making: fields in the order of candm.h. */
export class ChronyRecordWriter {
  readonly type: ChronyRecordType
  private readonly bytes = new Uint8Array(LONGEST_CHRONYC)
  private readonly view = new DataView(this.bytes.buffer)
  private at = 0

  constructor(type: ChronyRecordType) {
    this.type = type
  }

  uint8(value: number): this {
    this.view.setUint8(this.at, value)
    this.at += 1
    return this
  }

  int8(value: number): this {
    return this.uint8(value & 0xff)
  }

  uint16(value: number): this {
    this.view.setUint16(this.at, Math.min(0xffff, value))
    this.at += 2
    return this
  }

  int16(value: number): this {
    this.view.setInt16(this.at, value)
    this.at += 2
    return this
  }

  /** Counts beyond 32 bits stop at their end. */
  uint32(value: number): this {
    this.view.setUint32(this.at, Math.max(0, Math.min(0xffff_ffff, value)))
    this.at += 4
    return this
  }

  /** Two words, the higher first. */
  integer64(value: number): this {
    const whole = Math.max(0, Math.trunc(value))
    return this.uint32(Math.floor(whole / 2 ** 32)).uint32(whole % 2 ** 32)
  }

  float(value: number): this {
    return this.uint32(floatBits(value))
  }

  /** The bytes of an IPv4 or IPv6 address; undefined for none. */
  address(bytes: Uint8Array | undefined): this {
    if (bytes !== undefined) this.bytes.set(bytes.subarray(0, 16), this.at)
    this.at += 16
    return this.uint16(bytes === undefined ? 0 : bytes.length === 4 ? 1 : 2).uint16(0)
  }

  /** @param unix seconds */
  timespec(unix: number): this {
    const seconds = Math.floor(unix)
    const high = Math.floor(seconds / 2 ** 32)
    return this.uint32(high >>> 0)
      .uint32(seconds - high * 2 ** 32)
      .uint32(Math.min(999_999_999, Math.round((unix - seconds) * 1e9)))
  }

  /** ASCII in a field of 256 octets, ended by zeros. */
  name(text: string): this {
    const ascii = text.replace(/[^\u0021-\u007e]/g, "?").slice(0, NAME_BYTES - 1)
    for (let index = 0; index < ascii.length; index += 1) this.bytes[this.at + index] = ascii.charCodeAt(index)
    this.at += NAME_BYTES
    return this
  }

  /** Octets that say "not there" where later versions put counts. */
  reserved(words: number): this {
    for (let word = 0; word < words; word += 1) this.uint32(0xffff_ffff)
    return this
  }

  /** Leaves so many octets zero. */
  skip(octets: number): this {
    this.at += octets
    return this
  }

  get record(): Uint8Array {
    return this.bytes.subarray(0, this.at)
  }
}

/** An answer; one without a record for a status alone. */
export const encodeChronyReply = (
  { command, sequence }: Pick<ChronyRequest, "command" | "sequence">,
  status: ChronyStatusCode,
  writer?: ChronyRecordWriter
): Uint8Array<ArrayBuffer> => {
  const record = writer?.record ?? new Uint8Array(0)
  const bytes = new Uint8Array(REPLY_BYTES + record.length)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, VERSION)
  view.setUint8(1, TYPE_REPLY)
  view.setUint16(4, command)
  view.setUint16(6, writer?.type ?? ChronyRecord.none)
  view.setUint16(8, status)
  view.setUint32(16, sequence)
  bytes.set(record, REPLY_BYTES)
  return bytes
}

const COEFFICIENT_BITS = 25
const GREATEST_COEFFICIENT = 2 ** 24 - 1
const GREATEST_EXPONENT = 63
const LEAST_EXPONENT = -64

/** chrony's 32-bit float: 7 bits of exponent, 25 of coefficient, both two's complement; 2^(exponent - 25) · coefficient. */
export const floatBits = (value: number): number => {
  if (!Number.isFinite(value) && !Number.isNaN(value)) return floatBits(value > 0 ? 1e30 : -1e30)
  const size = Math.abs(value)
  if (Number.isNaN(value) || size < 1e-100) return 0
  const most = GREATEST_COEFFICIENT + (value < 0 ? 1 : 0)
  let exponent = Math.floor(Math.log2(size)) + 1
  let coefficient = Math.round(size * 2 ** (COEFFICIENT_BITS - exponent))
  while (coefficient > most) {
    coefficient = Math.round(coefficient / 2)
    exponent += 1
  }
  if (exponent > GREATEST_EXPONENT) [exponent, coefficient] = [GREATEST_EXPONENT, most]
  if (exponent < LEAST_EXPONENT) {
    coefficient = Math.round(coefficient / 2 ** (LEAST_EXPONENT - exponent))
    exponent = LEAST_EXPONENT
  }
  const signed = value < 0 ? -coefficient : coefficient
  return (((exponent & 0x7f) << COEFFICIENT_BITS) | (signed & 0x1ff_ffff)) >>> 0
}

/** The address in a request's arguments: 4 or 16 octets; undefined for another kind. */
export const readChronyAddress = (view: DataView, at = 0): Uint8Array | undefined => {
  if (view.byteLength < at + 20) return undefined
  const family = view.getUint16(at + 16)
  const length = family === 1 ? 4 : family === 2 ? 16 : 0
  return length === 0 ? undefined : new Uint8Array(view.buffer, view.byteOffset + at, length).slice()
}
