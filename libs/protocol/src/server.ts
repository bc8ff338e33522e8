/**
 * The server's side of NTP (RFC 5905 §9.2, §14 for stateless service): a request's bytes in, a reply's bytes out in the same place,
 * and the name of what happened. No clock is read here, nothing is awaited, nothing is allocated.
 *
 * A shell calls {@link NtpServer.beginBatch} with the clocks' readings after it received, then {@link NtpServer.handle}
 * for each datagram. Clients get the version they spoke; modes 1 and 3 are answered in 2 and 4, and version 1's mode 0 in
 * mode 4 (RFC 1059 had no mode field; such clients are told from servers by their port).
 */
import { type ClockCurve, isSynchronised, rootDispersionAt, Leap } from "@meridian/time/clock-curve"
import { secondsToShort } from "@meridian/time/short"
import { ntpFraction, ntpSeconds } from "@meridian/time/timestamp"
import { HEADER_BYTES, HIGHEST_VERSION, LOWEST_VERSION, Mode, modeOf, Offset, versionOf } from "@meridian/wire/ntp"
import { newTrailer, scanTrailer, type Trailer, TrailerShape } from "@meridian/wire/trailer"
import { ignore, type Outcome, respond } from "./outcome.ts"

const served = respond("served")
const servedUnsynchronised = respond("served-unsynchronised")
const short = ignore("short")
const long = ignore("long")
const badVersion = ignore("version")
const badMode = ignore("mode")
const malformed = ignore("malformed")
const cryptoNak = ignore("crypto-nak")
const unknownKey = ignore("unknown-key")
const control = ignore("control")

/** The port NTP servers speak from. A version 1 packet without a mode is a client's unless it comes from here. */
const NTP_PORT = 123

/** The kiss code of a server whose clock was never set (RFC 5905 §7.4): INIT. */
const REFERENCE_INIT = 0x494e4954

export interface ServerOptions {
  /** log2 seconds of the clock's precision as served, -128 … 127 */
  readonly precision: number
  /** Replies' poll field is never below this (log2 seconds): how often this server wishes to be asked. */
  readonly minimumPoll: number
  /** Bytes of a request that are at hand; longer datagrams were cut by the socket and are refused. */
  readonly longestRequest: number
}

export class NtpServer {
  /** The clock as last published. Whoever reads the clock page writes into this object. */
  readonly curve: ClockCurve
  /** Length of the reply that the last {@link handle} wrote. */
  replyLength = 0

  private readonly options: ServerOptions
  private readonly trailer: Trailer = newTrailer()
  private synchronised = false
  private leapBits = 0
  private stratum = 0
  private rootDelay = 0
  private rootDispersion = 0
  private referenceId = 0
  private referenceSeconds = 0
  private referenceFraction = 0
  private transmitSeconds = 0
  private transmitFraction = 0

  constructor(curve: ClockCurve, options: ServerOptions) {
    this.curve = curve
    this.options = options
  }

  /**
   * Evaluates the clock curve for the replies that follow.
   * @param seconds CLOCK_REALTIME, whole Unix seconds
   * @param nanoseconds its nanoseconds
   * @param monotonic CLOCK_MONOTONIC, seconds
   */
  beginBatch(seconds: number, nanoseconds: number, monotonic: number): void {
    const curve = this.curve
    this.synchronised = isSynchronised(curve, monotonic)
    this.leapBits = (this.synchronised ? curve.leap : Leap.unsynchronised) << 6
    this.stratum = this.synchronised ? curve.stratum : 0
    this.referenceId = this.synchronised ? curve.referenceId : REFERENCE_INIT
    this.rootDelay = secondsToShort(curve.rootDelay)
    this.rootDispersion = secondsToShort(rootDispersionAt(curve, monotonic))
    this.referenceSeconds = ntpSeconds(curve.referenceSeconds)
    this.referenceFraction = ntpFraction(curve.referenceNanoseconds)
    const nanos = this.correctedNanoseconds(seconds, nanoseconds)
    const carry = Math.floor(nanos / 1e9)
    this.transmitSeconds = ntpSeconds(seconds + carry)
    this.transmitFraction = ntpFraction(nanos - carry * 1e9)
  }

  /**
   * Answers one datagram in place.
   * @param view the batch buffer
   * @param offset where the datagram starts
   * @param length its length as it was sent, which may be more than was kept
   * @param arrivalSeconds kernel receive timestamp (CLOCK_REALTIME), whole Unix seconds
   * @param arrivalNanoseconds its nanoseconds
   * @param sourcePort the sender's UDP port
   */
  handle(
    view: DataView,
    offset: number,
    length: number,
    arrivalSeconds: number,
    arrivalNanoseconds: number,
    sourcePort: number
  ): Outcome {
    if (length < HEADER_BYTES) return short
    if (length > this.options.longestRequest) return long
    const flags = view.getUint8(offset + Offset.flags)
    const version = versionOf(flags)
    if (version < LOWEST_VERSION || version > HIGHEST_VERSION) return badVersion
    const replyMode = replyModeFor(modeOf(flags), version, sourcePort)
    if (replyMode === Mode.control) return control
    if (replyMode === Mode.reserved) return badMode
    if (length !== HEADER_BYTES) {
      const shape = scanTrailer(view, offset, length, version, this.trailer)
      if (shape === TrailerShape.malformed) return malformed
      if (shape === TrailerShape.cryptoNak) return cryptoNak
      if (shape === TrailerShape.mac) return unknownKey
    }
    this.writeReply(view, offset, (version << 3) | replyMode, arrivalSeconds, arrivalNanoseconds)
    return this.synchronised ? served : servedUnsynchronised
  }

  /** Turns the request at `offset` into its reply: the client's transmit timestamp becomes the origin, the rest is ours. */
  private writeReply(
    view: DataView,
    offset: number,
    versionAndMode: number,
    seconds: number,
    nanoseconds: number
  ): void {
    const nanos = this.correctedNanoseconds(seconds, nanoseconds)
    const carry = Math.floor(nanos / 1e9)
    view.setUint8(offset + Offset.flags, this.leapBits | versionAndMode)
    view.setUint8(offset + Offset.stratum, this.stratum)
    view.setInt8(offset + Offset.poll, Math.max(view.getInt8(offset + Offset.poll), this.options.minimumPoll))
    view.setInt8(offset + Offset.precision, this.options.precision)
    view.setUint32(offset + Offset.rootDelay, this.rootDelay)
    view.setUint32(offset + Offset.rootDispersion, this.rootDispersion)
    view.setUint32(offset + Offset.referenceId, this.referenceId)
    view.setUint32(offset + Offset.reference, this.referenceSeconds)
    view.setUint32(offset + Offset.reference + 4, this.referenceFraction)
    view.setUint32(offset + Offset.origin, view.getUint32(offset + Offset.transmit))
    view.setUint32(offset + Offset.origin + 4, view.getUint32(offset + Offset.transmit + 4))
    view.setUint32(offset + Offset.receive, ntpSeconds(seconds + carry))
    view.setUint32(offset + Offset.receive + 4, ntpFraction(nanos - carry * 1e9))
    view.setUint32(offset + Offset.transmit, this.transmitSeconds)
    view.setUint32(offset + Offset.transmit + 4, this.transmitFraction)
    this.replyLength = HEADER_BYTES
  }

  /** Nanoseconds of a CLOCK_REALTIME reading after the published correction; may lie outside 0 … 999 999 999. */
  private correctedNanoseconds(seconds: number, nanoseconds: number): number {
    const curve = this.curve
    const age = seconds - curve.baseSeconds + (nanoseconds - curve.baseNanoseconds) * 1e-9
    return nanoseconds + (curve.offset + curve.frequency * age) * 1e9
  }
}

/** The mode that answers a request's mode; `control` where another protocol begins, `reserved` where nothing answers. */
const replyModeFor = (mode: number, version: number, sourcePort: number): Mode => {
  switch (mode) {
    case Mode.client:
      return Mode.server
    case Mode.symmetricActive:
      return Mode.symmetricPassive
    case Mode.reserved:
      return version === 1 && sourcePort !== NTP_PORT ? Mode.server : Mode.reserved
    case Mode.control:
    case Mode.private:
      return Mode.control
    default:
      return Mode.reserved
  }
}
