/**
 * The server's side of NTP (RFC 5905 §9.2, §14): a batch of requests in, replies in the same places out, and the name of what happened
 * to each. No clock is read here, nothing is awaited, nothing is allocated per packet.
 *
 * A shell calls {@link NtpServer.beginBatch} with the clocks' readings after it received, {@link NtpServer.handle} for
 * each datagram, {@link NtpServer.finish} for each that came out pending, and {@link NtpServer.endBatch}: authenticated requests
 * are decided together, in two calls of the AEAD and of the MAC implementation a batch. Transmit timestamps stand for the
 * readings of beginBatch; those that are sealed are moved on just before that, the others by the shell when they leave.
 *
 * Clients get the version they spoke; modes 1 and 3 are answered in 2 and 4, and version 1's mode 0 in mode 4 (RFC 1059
 * had no mode field; such clients are told from servers by their port).
 */
import { writeCryptoNak } from "@meridian/auth/mac"
import type { MacServer } from "@meridian/auth/mac-server"
import type { NtsServer } from "@meridian/auth/nts-server"
import { type ClockCurve, correctionAt, isSynchronised, Leap, rootDispersionAt } from "@meridian/time/clock-curve"
import { secondsToShort } from "@meridian/time/short"
import { ntpFraction, ntpSeconds } from "@meridian/time/timestamp"
import { HEADER_BYTES, HIGHEST_VERSION, LOWEST_VERSION, Mode, modeOf, Offset, versionOf } from "@meridian/wire/ntp"
import { newTrailer, scanTrailer, type Trailer, TrailerShape } from "@meridian/wire/trailer"
import { GREATEST_PASSIVE_POLL } from "./association-passive.ts"
import { ignore, type Outcome, type Pending, pending, respond } from "./outcome.ts"

const served = respond("served")
const servedUnsynchronised = respond("served-unsynchronised")
const servedKeyed = respond("served-keyed")
const servedPeer = respond("served-peer")
const servedNts = respond("served-nts")
const cryptoNakSent = respond("crypto-nak-sent")
const ntsNakSent = respond("nts-nak-sent")
const short = ignore("short")
const long = ignore("long")
const badVersion = ignore("version")
const badMode = ignore("mode")
const malformed = ignore("malformed")
const cryptoNak = ignore("crypto-nak")
const unknownKey = ignore("unknown-key")
const untrustedKey = ignore("untrusted-key")
const badMac = ignore("bad-mac")
const ntsMalformed = ignore("nts-malformed")
const ntsNotServed = ignore("nts-not-served")
const ntsNakLimited = ignore("nts-nak-limited")
const control = ignore("control")

/** The port NTP servers speak from. A version 1 packet without a mode is a client's unless it comes from here. */
const NTP_PORT = 123

/** Of a request that was admitted: whatever its port was, it was judged then. */
const ADMITTED_PORT = 0

/** The kiss code of a server whose clock was never set (RFC 5905 §7.4): INIT. */
const REFERENCE_INIT = 0x494e4954

/** A peer's packet echoes a reply of at most two of its poll intervals ago, and so many seconds. */
const ECHO_SECONDS = 4

/** NTS kisses a second. They are unauthenticated answers: enough for a fleet that lost its keys, too few for a reflector. */
const NTS_NAKS_PER_SECOND = 1_000

export interface ServerOptions {
  /** log2 seconds of the clock's precision as served, -128 … 127 */
  readonly precision: number
  /** Replies' poll field is never below this (log2 seconds): how often this server wishes to be asked. */
  readonly minimumPoll: number
  /** Bytes of a request that are at hand; longer datagrams were cut by the socket and are refused. */
  readonly longestRequest: number
}

/** What a server needs to answer authenticated requests; replaced as a whole, between batches. */
export interface Authentication {
  /** Symmetric keys. */
  readonly macs: MacServer
  /** Answer a MAC that does not verify with a crypto-NAK, as classic ntpd does; silence otherwise, as NTPsec. */
  readonly sendCryptoNak: boolean
  readonly nts: NtsServer
  /** Whether there are master keys. */
  readonly servesNts: boolean
}

/** How far a batch's authenticated requests of one kind are. */
type BatchPhase = "none" | "admitting" | "verified"

export class NtpServer {
  /** The clock as last published. Whoever reads the clock page writes into this object. */
  readonly curve: ClockCurve
  /** Length of the reply that {@link handle} or {@link finish} wrote last. */
  replyLength = 0
  /** Without it every MAC is of an unknown key, and NTS fields are unknown fields. */
  authentication: Authentication | undefined

  private readonly options: ServerOptions
  private readonly trailer: Trailer = newTrailer()
  private bytes: Uint8Array = new Uint8Array(0)
  private view: DataView = new DataView(new ArrayBuffer(0))
  private now = 0
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
  /** CLOCK_MONOTONIC, seconds, of the reading that the transmit timestamp was made of. */
  private stampedAt = 0
  private keyedPhase: BatchPhase = "none"
  private ntsPhase: BatchPhase = "none"
  private naks = NTS_NAKS_PER_SECOND
  private naksCountedAt = 0

  constructor(curve: ClockCurve, options: ServerOptions) {
    this.curve = curve
    this.options = options
  }

  /**
   * Takes up a batch and evaluates the clock curve for its replies.
   * @param bytes the batch buffer
   * @param view the same buffer
   * @param seconds CLOCK_REALTIME, whole Unix seconds
   * @param nanoseconds its nanoseconds
   * @param monotonic CLOCK_MONOTONIC, seconds
   */
  beginBatch(bytes: Uint8Array, view: DataView, seconds: number, nanoseconds: number, monotonic: number): void {
    const curve = this.curve
    this.endBatch()
    this.bytes = bytes
    this.view = view
    this.now = seconds
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
    this.stampedAt = monotonic
    if (monotonic - this.naksCountedAt >= 1) {
      this.naksCountedAt = monotonic
      this.naks = NTS_NAKS_PER_SECOND
    }
  }

  /**
   * Answers one datagram in place, or takes an authenticated request in.
   * @param slot the datagram's number in the batch
   * @param offset where it starts
   * @param length its length as it was sent, which may be more than was kept
   * @param arrivalSeconds kernel receive timestamp (CLOCK_REALTIME), whole Unix seconds
   * @param arrivalNanoseconds its nanoseconds
   * @param sourcePort the sender's UDP port
   */
  handle(
    slot: number,
    offset: number,
    length: number,
    arrivalSeconds: number,
    arrivalNanoseconds: number,
    sourcePort: number
  ): Outcome | Pending {
    if (length < HEADER_BYTES) return short
    if (length > this.options.longestRequest) return long
    const flags = this.view.getUint8(offset + Offset.flags)
    const version = versionOf(flags)
    if (version < LOWEST_VERSION || version > HIGHEST_VERSION) return badVersion
    const replyMode = replyModeFor(modeOf(flags), version, sourcePort)
    if (replyMode === Mode.control) return control
    if (replyMode === Mode.reserved) return badMode
    const versionAndMode = (version << 3) | replyMode
    if (length !== HEADER_BYTES) {
      const shape = scanTrailer(this.view, offset, length, version, this.trailer)
      if (shape === TrailerShape.malformed) return malformed
      if (shape === TrailerShape.cryptoNak) return cryptoNak
      if (shape === TrailerShape.mac)
        return this.admitKeyed(slot, offset, versionAndMode, arrivalSeconds, arrivalNanoseconds)
      const nts = this.trailer.fieldCount > 0 ? this.admitNts(slot, offset, length) : undefined
      if (nts !== undefined) return nts
    }
    this.writeHeader(offset, versionAndMode, arrivalSeconds, arrivalNanoseconds)
    return this.synchronised ? served : servedUnsynchronised
  }

  /**
   * Checks the MACs, opens the cookies and checks the tags of all pending requests of the batch; {@link finish} does so where
   * it was not done.
   */
  verifyPending(): void {
    if (this.keyedPhase === "admitting") {
      this.authentication?.macs.verify(this.bytes)
      this.keyedPhase = "verified"
    }
    if (this.ntsPhase === "admitting") {
      this.authentication?.nts.verify()
      this.ntsPhase = "verified"
    }
  }

  /** Decides a pending request, and answers it. The replies' bytes are final after {@link endBatch}. */
  finish(slot: number, offset: number, arrivalSeconds: number, arrivalNanoseconds: number): Outcome {
    this.verifyPending()
    const { macs, nts } = this.authentication as Authentication
    const flags = this.view.getUint8(offset + Offset.flags)
    const versionAndMode = (versionOf(flags) << 3) | replyModeFor(modeOf(flags), versionOf(flags), ADMITTED_PORT)
    if (macs.holds(slot)) {
      if (!macs.isVerified(slot))
        return this.refuseKeyed(badMac, offset, versionAndMode, arrivalSeconds, arrivalNanoseconds)
      const isPeer = (versionAndMode & 7) === Mode.symmetricPassive && this.echoesReply(offset)
      this.writeHeader(offset, versionAndMode, arrivalSeconds, arrivalNanoseconds)
      this.replyLength = macs.reply(slot, this.view, offset)
      return isPeer ? servedPeer : servedKeyed
    }
    const verified = nts.verdict(slot) === "verified"
    if (!verified && this.naks === 0) return ntsNakLimited
    this.writeHeader(offset, versionAndMode, arrivalSeconds, arrivalNanoseconds)
    if (verified) {
      this.replyLength = nts.reply(slot)
      return servedNts
    }
    this.naks -= 1
    this.replyLength = nts.nak(slot)
    return ntsNakSent
  }

  /** Seals the batch's authenticated replies. To be called after the last {@link finish}, before they are sent. */
  endBatch(): void {
    if (this.ntsPhase !== "none") this.authentication?.nts.seal(this.stampedAt)
    if (this.keyedPhase !== "none") this.authentication?.macs.seal(this.bytes, this.stampedAt)
    this.ntsPhase = "none"
    this.keyedPhase = "none"
  }

  /** Pending, a refusal, or undefined for a request whose fields are none of NTS's: that one is served plainly. */
  private admitNts(slot: number, offset: number, length: number): Outcome | Pending | undefined {
    if (this.authentication === undefined) return undefined
    const { nts, servesNts } = this.authentication
    if (this.ntsPhase === "none") {
      nts.begin(this.bytes, this.view, this.now)
      this.ntsPhase = "admitting"
    }
    const verdict = nts.admit(slot, offset, length, this.trailer)
    if (verdict === "absent") return undefined
    if (verdict === "malformed") return ntsMalformed
    return servesNts ? pending : ntsNotServed
  }

  /** Takes in a request that ends in a MAC: it is answered under the same key when it verifies, with as long a digest. */
  private admitKeyed(
    slot: number,
    offset: number,
    versionAndMode: number,
    seconds: number,
    nanoseconds: number
  ): Outcome | Pending {
    if (this.authentication === undefined) return unknownKey
    const { macOffset, macLength } = this.trailer
    const verdict = this.authentication.macs.admit(slot, this.view, offset, macOffset, macLength)
    if (verdict === "pending") {
      this.keyedPhase = "admitting"
      return pending
    }
    const refusal = verdict === "unknown-key" ? unknownKey : verdict === "untrusted-key" ? untrustedKey : badMac
    return this.refuseKeyed(refusal, offset, versionAndMode, seconds, nanoseconds)
  }

  /** A MAC that proves nothing is answered with a crypto-NAK where that is wished. */
  private refuseKeyed(
    refusal: Outcome,
    offset: number,
    versionAndMode: number,
    seconds: number,
    nanoseconds: number
  ): Outcome {
    if (this.authentication?.sendCryptoNak !== true) return refusal
    this.writeHeader(offset, versionAndMode, seconds, nanoseconds)
    this.replyLength = writeCryptoNak(this.view, offset)
    return cryptoNakSent
  }

  /**
   * Whether a peer's origin is a time at which we may have replied to it, by its own poll interval: it hears us, and its
   * packet is no old one that somebody kept. Workers remember nothing, so no closer look is possible here.
   */
  private echoesReply(offset: number): boolean {
    const { view } = this
    const origin = view.getUint32(offset + Offset.origin)
    if (origin === 0 && view.getUint32(offset + Offset.origin + 4) === 0) return false
    const age = (this.transmitSeconds - origin) | 0
    const poll = Math.min(Math.max(view.getInt8(offset + Offset.poll), 0), GREATEST_PASSIVE_POLL)
    return age >= -1 && age <= ECHO_SECONDS + 2 ** (poll + 1)
  }

  /** Turns the request at `offset` into its reply's header: the client's transmit timestamp becomes the origin, the rest is ours. */
  private writeHeader(offset: number, versionAndMode: number, seconds: number, nanoseconds: number): void {
    const { view } = this
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
    return nanoseconds + correctionAt(this.curve, seconds, nanoseconds) * 1e9
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
