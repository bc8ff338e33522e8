/**
 * The frames between a time server and the process that signs for it: Samba's ntp_signd protocol, on a Unix stream socket. Each frame
 * follows its length, 32 bits that do not count themselves. Every number is big endian but the key identifier, which keeps
 * the order it has in the NTP packet (see ms-sntp.ts).
 *
 *   request  0 version · 4 operation · 8 packet id (16 bits) · 10 padding · 12 key identifier · 16 the reply's 48 octets
 *   signed   0 version · 4 operation 3 · 8 packet id (32 bits) · 12 the 48 octets · key identifier · 16 of checksum
 *   refused  0 version · 4 operation 4 · 8 packet id (32 bits)
 *
 * The packet id is narrower in requests than in answers: seen with Samba 4.17, whose interface definition has it so.
 */
import { MS_SNTP_BYTES, MsSntpOffset } from "./ms-sntp.ts"
import { HEADER_BYTES } from "./ntp.ts"

export const SIGND_VERSION = 0

/** What a frame is. */
export const SigndOperation = {
  signToClient: 0,
  askServerToSign: 1,
  checkServerSignature: 2,
  signed: 3,
  refused: 4
} as const

/** Octets of the length before each frame. */
export const FRAME_HEADER_BYTES = 4
const SIGND_REQUEST_HEADER_BYTES = 16
const SIGND_ANSWER_HEADER_BYTES = 12

/** Lengths of whole frames, without the length before them. */
export const SIGN_REQUEST_BYTES = SIGND_REQUEST_HEADER_BYTES + HEADER_BYTES
export const SIGNED_BYTES = SIGND_ANSWER_HEADER_BYTES + MS_SNTP_BYTES

/**
 * Writes a request to sign the reply at `offset`: the length, the frame. The reply's header and key identifier must stand there.
 * @param packetId 0 … 65535
 * @returns the octets written at the start of `out`
 */
export const writeSignRequest = (out: DataView, packetId: number, reply: Uint8Array, offset: number): number => {
  out.setUint32(0, SIGN_REQUEST_BYTES)
  out.setUint32(4, SIGND_VERSION)
  out.setUint32(8, SigndOperation.signToClient)
  out.setUint16(12, packetId)
  out.setUint16(14, 0)
  const bytes = new Uint8Array(out.buffer, out.byteOffset, out.byteLength)
  const keyId = offset + MsSntpOffset.keyId
  bytes.set(reply.subarray(keyId, keyId + 4), 16)
  bytes.set(reply.subarray(offset, offset + HEADER_BYTES), FRAME_HEADER_BYTES + SIGND_REQUEST_HEADER_BYTES)
  return FRAME_HEADER_BYTES + SIGN_REQUEST_BYTES
}

/** A request as the signing process reads it. */
export interface SignRequest {
  readonly version: number
  readonly operation: number
  /** 0 … 65535 */
  readonly packetId: number
  /** As a number; see ridOf. */
  readonly keyId: number
  /** What is to be signed: a view of the frame. */
  readonly packet: Uint8Array
}

/** A request's parts; undefined for a frame that cannot hold its header. Whether they make sense is for the caller to say. */
export const readSignRequest = (frame: Uint8Array): SignRequest | undefined => {
  if (frame.length < SIGND_REQUEST_HEADER_BYTES) return undefined
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  return {
    version: view.getUint32(0),
    operation: view.getUint32(4),
    packetId: view.getUint16(8),
    keyId: view.getUint32(12, true),
    packet: frame.subarray(SIGND_REQUEST_HEADER_BYTES)
  }
}

/** The answer to a request, its length before it. @param signed the 68 octets; undefined to refuse */
export const signdAnswer = (packetId: number, signed: Uint8Array | undefined): Uint8Array<ArrayBuffer> => {
  const length = SIGND_ANSWER_HEADER_BYTES + (signed?.length ?? 0)
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, length)
  view.setUint32(4, SIGND_VERSION)
  view.setUint32(8, signed === undefined ? SigndOperation.refused : SigndOperation.signed)
  view.setUint32(12, packetId)
  if (signed !== undefined) bytes.set(signed, FRAME_HEADER_BYTES + SIGND_ANSWER_HEADER_BYTES)
  return bytes
}

/** What a frame from the signing process is. `malformed`: none of the two answers, or of another version. */
type SigndAnswer =
  | { readonly kind: "signed"; readonly packetId: number; readonly packet: Uint8Array }
  | { readonly kind: "refused"; readonly packetId: number }
  | { readonly kind: "malformed" }

const malformed: SigndAnswer = { kind: "malformed" }

/** Reads an answer. Never throws. The packet of a signed one is a view of the frame, of 68 octets. */
export const readSigndAnswer = (frame: Uint8Array): SigndAnswer => {
  if (frame.length < SIGND_ANSWER_HEADER_BYTES) return malformed
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  if (view.getUint32(0) !== SIGND_VERSION) return malformed
  const operation = view.getUint32(4)
  const packetId = view.getUint32(8)
  if (operation === SigndOperation.refused) return { kind: "refused", packetId }
  if (operation !== SigndOperation.signed || frame.length !== SIGNED_BYTES) return malformed
  return { kind: "signed", packetId, packet: frame.subarray(SIGND_ANSWER_HEADER_BYTES) }
}

/**
 * Cuts a stream into frames, in memory that is there from the start. After a frame that is too long nothing of the stream can be
 * believed: it says so for ever, and the connection is to be closed.
 */
export class FrameReader {
  private readonly buffer: Uint8Array
  private readonly view: DataView
  private readonly longest: number
  private filled = 0
  private isBroken = false

  /** @param longest octets of a frame, without the length before it */
  constructor(longest: number) {
    this.longest = longest
    this.buffer = new Uint8Array(FRAME_HEADER_BYTES + longest)
    this.view = new DataView(this.buffer.buffer)
  }

  /** Whether a frame has begun and its end is missing. */
  get isInFrame(): boolean {
    return this.filled > 0
  }

  /**
   * Takes what arrived and calls back with each whole frame, which is valid until the callback returns.
   * @returns false when a frame is longer than allowed
   */
  push(chunk: Uint8Array, take: (frame: Uint8Array) => void): boolean {
    let at = 0
    while (at < chunk.length && !this.isBroken) {
      const wanted = this.filled < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES : this.wholeLength
      const part = chunk.subarray(at, at + wanted - this.filled)
      this.buffer.set(part, this.filled)
      this.filled += part.length
      at += part.length
      if (this.filled < FRAME_HEADER_BYTES) break
      this.isBroken = this.view.getUint32(0) > this.longest
      if (this.isBroken || this.filled < this.wholeLength) continue
      this.filled = 0
      take(this.buffer.subarray(FRAME_HEADER_BYTES, this.wholeLength))
    }
    return !this.isBroken
  }

  private get wholeLength(): number {
    return FRAME_HEADER_BYTES + this.view.getUint32(0)
  }
}
