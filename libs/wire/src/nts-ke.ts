/**
 * NTS key establishment records (RFC 8915 §4): a critical bit and a 15-bit type, a 16-bit length, a body. A message is
 * a sequence of records that ends with End of Message. What the records mean together is decided in @meridian/auth.
 */

/** IANA "NTS-KE Record Types" of RFC 8915 §7.6, and one of chrony's. */
export const RecordType = {
  endOfMessage: 0,
  nextProtocol: 1,
  error: 2,
  warning: 3,
  aead: 4,
  newCookie: 5,
  ntpServer: 6,
  ntpPort: 7,
  /** Empty: the sender derives AES-128-GCM-SIV keys as RFC 8915 says and not as chrony before 4.6.1 did. */
  compliantGcmSivExporter: 1024
} as const

/** IANA "NTS Next Protocols": NTPv4. */
export const PROTOCOL_NTPV4 = 0

/** IANA "NTS Error Codes" of RFC 8915 §4.1.3. */
export const ErrorCode = { unrecognizedCriticalRecord: 0, badRequest: 1, internalServerError: 2 } as const
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode]

/** The TLS application protocol, RFC 8915 §4. */
export const ALPN = "ntske/1"

const RECORD_HEADER_BYTES = 4
const CRITICAL = 0x8000

/** Longest message taken in, bytes: one full TLS record. */
export const MAXIMUM_MESSAGE_BYTES = 16_384
/** Most records taken in. A reply with eight cookies has thirteen. */
export const MAXIMUM_RECORDS = 128

export interface NtsKeRecord {
  readonly critical: boolean
  /** 0 … 32767 */
  readonly type: number
  readonly body: Uint8Array
}

/** A record with an empty body unless one is given. */
export const record = (type: number, critical: boolean, body: Uint8Array = new Uint8Array(0)): NtsKeRecord => ({
  critical,
  type,
  body
})

export const endOfMessage: NtsKeRecord = record(RecordType.endOfMessage, true)

/** The body of records that hold 16-bit numbers: protocols, algorithms, error codes, ports. */
export const numbersBody = (numbers: readonly number[]): Uint8Array => {
  const view = new DataView(new ArrayBuffer(2 * numbers.length))
  numbers.forEach((number, index) => view.setUint16(2 * index, number))
  return new Uint8Array(view.buffer)
}

/** The numbers in such a body, undefined when its length is odd. */
export const bodyNumbers = (body: Uint8Array): readonly number[] | undefined => {
  if (body.length % 2 !== 0) return undefined
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  return Array.from({ length: body.length / 2 }, (_, index) => view.getUint16(2 * index))
}

/** A whole message in one array, to be written with one TLS write: NTPsec before 1.2.5 reads one TLS record and no more. */
export const encodeRecords = (records: readonly NtsKeRecord[]): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(records.reduce((sum, { body }) => sum + RECORD_HEADER_BYTES + body.length, 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const { critical, type, body } of records) {
    if (body.length > 0xffff || type > 0x7fff)
      throw new RangeError(`record type ${type} with a body of ${body.length} bytes does not fit its header`)
    view.setUint16(at, type | (critical ? CRITICAL : 0))
    view.setUint16(at + 2, body.length)
    bytes.set(body, at + RECORD_HEADER_BYTES)
    at += RECORD_HEADER_BYTES + body.length
  }
  return bytes
}

/** `reading`: more bytes are needed. The other three are final. */
export type DecoderState = "reading" | "complete" | "message-too-long" | "too-many-records"

/**
 * Takes a message in as it arrives, in pieces of any size, and holds never more than {@link MAXIMUM_MESSAGE_BYTES} of it.
 * A record that cannot fit is refused at its header, before its body is waited for.
 */
export class RecordDecoder {
  state: DecoderState = "reading"
  /** Whole records so far; the last one is End of Message when the state is `complete`. */
  readonly records: NtsKeRecord[] = []
  /** Bytes that came after End of Message: a breach of RFC 8915 §4.1.1 that the reader may judge. They are not kept. */
  trailingBytes = 0

  /** The first `held` bytes are not yet made into records; the message before them had `consumed` bytes. */
  private buffer = new Uint8Array(0)
  private held = 0
  private consumed = 0

  /** Takes the next bytes and returns the state. Never throws; after a final state bytes are only counted. */
  push(bytes: Uint8Array): DecoderState {
    if (this.state === "complete") this.trailingBytes += bytes.length
    if (this.state !== "reading") return this.state
    const room = MAXIMUM_MESSAGE_BYTES - this.consumed - this.held
    this.hold(bytes.subarray(0, room))
    this.state = this.takeRecords()
    if (this.state === "reading" && bytes.length > room) this.state = "message-too-long"
    if (this.state === "complete") this.trailingBytes = this.held + Math.max(0, bytes.length - room)
    if (this.state !== "reading") this.buffer = new Uint8Array(0)
    return this.state
  }

  /** The buffer doubles, so that a message sent byte by byte is not copied once a byte. */
  private hold(bytes: Uint8Array): void {
    const needed = this.held + bytes.length
    if (needed > this.buffer.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.buffer.length))
      grown.set(this.buffer.subarray(0, this.held))
      this.buffer = grown
    }
    this.buffer.set(bytes, this.held)
    this.held = needed
  }

  private takeRecords(): DecoderState {
    const view = new DataView(this.buffer.buffer)
    let at = 0
    let state: DecoderState = "reading"
    while (state === "reading" && this.held - at >= RECORD_HEADER_BYTES) {
      const end = at + RECORD_HEADER_BYTES + view.getUint16(at + 2)
      if (this.consumed + end > MAXIMUM_MESSAGE_BYTES) return "message-too-long"
      if (end > this.held) break
      if (this.records.length === MAXIMUM_RECORDS) return "too-many-records"
      const head = view.getUint16(at)
      const type = head & ~CRITICAL
      this.records.push(record(type, (head & CRITICAL) !== 0, this.buffer.slice(at + RECORD_HEADER_BYTES, end)))
      at = end
      if (type === RecordType.endOfMessage) state = "complete"
    }
    this.buffer.copyWithin(0, at, this.held)
    this.held -= at
    this.consumed += at
    return state
  }
}
