/**
 * The server's side of NTP (RFC 5905 §9.2, §14): a batch of requests in, replies in the same places out, and the name of what happened
 * to each. No clock is read here, nothing is awaited, nothing is allocated per packet.
 *
 * A shell calls {@link NtpServer.beginBatch} with the clock page evaluated after it received, {@link NtpServer.handle} for
 * each datagram, {@link NtpServer.finish} for each that came out pending, and {@link NtpServer.endBatch}. Whether a sender may
 * ask is the {@link Admission}'s question, asked before any other; authenticated requests are decided together by their
 * {@link Authenticator}. Transmit timestamps stand for the moment of beginBatch; those that are sealed are moved on just before
 * that, the others by the shell when they leave.
 *
 * Clients get the version they spoke; modes 1 and 3 are answered in 2 and 4, and version 1's mode 0 in mode 4 (RFC 1059
 * had no mode field; such clients are told from servers by their port).
 */
import { Leap } from "@meridian/time/clock-curve"
import { SERVED, type ServedMoment } from "@meridian/time/clock-line"
import { HEADER_BYTES, HIGHEST_VERSION, LOWEST_VERSION, Mode, modeOf, Offset, versionOf } from "@meridian/wire/ntp"
import { sourcePort } from "@meridian/wire/source-address"
import { IDENTITY_FIELD } from "@meridian/wire/identity-field"
import {
  FIELD_HEADER_BYTES,
  fieldLength,
  fieldType,
  newTrailer,
  scanTrailer,
  type Trailer,
  TrailerShape
} from "@meridian/wire/trailer"
import type { Admission } from "./admission.ts"
import { GREATEST_PASSIVE_POLL } from "./association-passive.ts"
import type { Authenticator } from "./authenticator.ts"
import { ignore, type Ignore, type Kiss, type Outcome, type Pending, respond } from "./outcome.ts"
import { Crowd, noBatch, type RequestBatch } from "./request-batch.ts"

const served = respond("served")
const servedUnsynchronised = respond("served-unsynchronised")
const servedKeyed = respond("served-keyed")
const servedPeer = respond("served-peer")
const short = ignore("short")
const long = ignore("long")
const badVersion = ignore("version")
const badMode = ignore("mode")
const malformed = ignore("malformed")
const cryptoNak = ignore("crypto-nak")
const unknownKey = ignore("unknown-key")
const control = ignore("control")
const starting = ignore("starting")

/** The port NTP servers speak from. A version 1 packet without a mode is a client's unless it comes from here. */
const NTP_PORT = 123

/** Of a request that was admitted: whatever its port was, it was judged then. */
const ADMITTED_PORT = 0

/** A peer's packet echoes a reply of at most two of its poll intervals ago, and so many seconds. */
const ECHO_SECONDS = 4

interface ServerOptions {
  /** log2 seconds of the clock's precision as served, -128 … 127 */
  readonly precision: number
  /** Replies' poll field is never below this (log2 seconds): how often this server wishes to be asked. */
  readonly minimumPoll: number
  /** Bytes of a request that are at hand; longer datagrams were cut by the socket and are refused. */
  readonly longestRequest: number
}

export class NtpServer {
  /** Length of the reply that {@link handle} or {@link finish} wrote last. */
  replyLength = 0
  /** Who may ask, and how often; undefined: everybody. Replaced between batches. */
  admission: Admission | undefined
  /** CLOCK_MONOTONIC seconds until which requests for time are not answered, unless there is good time. */
  silentUntil = Number.NEGATIVE_INFINITY
  /**
   * Asked in this order. Replaced as a whole, between batches. Without any, every MAC is of an unknown key, and NTS fields are
   * unknown fields.
   */
  authenticators: readonly Authenticator[] = []

  /**
   * Who this server is, for requests that ask and have room (libs/wire/src/identity-field.ts); undefined: nobody is told.
   * Replaced between batches.
   */
  identity: Uint8Array | undefined

  private readonly options: ServerOptions
  private readonly trailer: Trailer = newTrailer()
  private batch: RequestBatch = noBatch
  private view: DataView = noBatch.view
  private now = 0
  private synchronised = false
  private isStarting = false
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
  /** How far the batch's authenticated requests are. */
  private phase: "none" | "admitting" | "verified" = "none"

  constructor(options: ServerOptions) {
    this.options = options
  }

  /**
   * Takes up a batch, and what its replies say.
   * @param batch stays as it is until endBatch
   * @param moment the clock page as it stands at this moment
   * @param unix served time at this moment, whole Unix seconds: keys are judged by it
   * @param monotonic CLOCK_MONOTONIC at this moment, seconds
   * @param count datagrams of the batch, in its slots from 0 on, where what is needed of all may be fetched together; 1 where they come one by one
   * @param crowd one of {@link Crowd}
   */
  beginBatch(
    batch: RequestBatch,
    moment: ServedMoment,
    unix: number,
    monotonic: number,
    count = 1,
    crowd: number = Crowd.none
  ): void {
    this.endBatch()
    this.batch = batch
    this.view = batch.view
    this.now = unix
    this.synchronised = moment[SERVED.synchronised] === 1
    this.leapBits = moment[SERVED.leap]! << 6
    this.stratum = moment[SERVED.stratum]!
    this.referenceId = moment[SERVED.referenceId]!
    this.rootDelay = moment[SERVED.rootDelay]!
    this.rootDispersion = moment[SERVED.rootDispersion]!
    this.referenceSeconds = moment[SERVED.referenceSeconds]!
    this.referenceFraction = moment[SERVED.referenceFraction]!
    this.transmitSeconds = moment[SERVED.seconds]!
    this.transmitFraction = moment[SERVED.fraction]!
    this.stampedAt = monotonic
    // Once there was good time, its loss is told.
    if (this.synchronised) this.silentUntil = Number.NEGATIVE_INFINITY
    this.isStarting = monotonic < this.silentUntil
    this.admission?.begin(batch, monotonic, count, crowd)
  }

  /**
   * Answers one datagram in place, or takes an authenticated request in.
   * @param slot the datagram's number in the batch
   * @param offset where it starts
   * @param length its length as it was sent, which may be more than was kept
   * @param arrivalSeconds when it arrived, an NTP timestamp of served time
   * @param arrivalFraction its fraction, 2^-32 s
   */
  handle(
    slot: number,
    offset: number,
    length: number,
    arrivalSeconds: number,
    arrivalFraction: number
  ): Outcome | Pending {
    const flags = length === 0 ? 0 : this.view.getUint8(offset + Offset.flags)
    const refusal = this.admission?.judge(slot, flags, length)
    if (refusal !== undefined) return this.refuse(refusal, offset, length, arrivalSeconds, arrivalFraction)
    if (length < HEADER_BYTES) return short
    if (length > this.options.longestRequest) return long
    const version = versionOf(flags)
    if (version < LOWEST_VERSION || version > HIGHEST_VERSION) return badVersion
    const replyMode = replyModeFor(modeOf(flags), version, sourcePort(this.batch.addresses, slot))
    if (replyMode === Mode.control) return control
    if (replyMode === Mode.reserved) return badMode
    if (this.isStarting) return starting
    if (length !== HEADER_BYTES) {
      const shape = scanTrailer(this.view, offset, length, version, this.trailer)
      if (shape === TrailerShape.malformed) return malformed
      if (shape === TrailerShape.cryptoNak) return cryptoNak
      const authentication = this.admit(slot, offset, length, arrivalSeconds, arrivalFraction)
      if (authentication !== undefined) return authentication
      if (shape === TrailerShape.mac) return unknownKey
    }
    const unproven = this.admission?.judgeProof(slot, false)
    if (unproven !== undefined) return this.refuse(unproven, offset, length, arrivalSeconds, arrivalFraction)
    this.writeHeader(offset, (version << 3) | replyMode, arrivalSeconds, arrivalFraction)
    if (length !== HEADER_BYTES && this.identity !== undefined) this.writeIdentity(offset, this.identity)
    return this.synchronised ? served : servedUnsynchronised
  }

  /** Decides all pending requests of the batch; {@link finish} does so where it was not done. */
  verifyPending(): void {
    if (this.phase !== "admitting") return
    for (const authenticator of this.authenticators) authenticator.verify()
    this.phase = "verified"
  }

  /** Settles a pending request, and answers it. The replies' bytes are final after {@link endBatch}. */
  finish(slot: number, offset: number, arrivalSeconds: number, arrivalFraction: number): Outcome {
    this.verifyPending()
    for (const authenticator of this.authenticators) {
      const outcome = authenticator.verdict(slot)
      if (outcome === undefined) continue
      if (outcome._tag !== "Respond") return outcome
      const refusal = outcome.isAuthenticated ? this.admission?.judgeProof(slot, true) : undefined
      if (refusal !== undefined) return this.refuse(refusal, offset, HEADER_BYTES, arrivalSeconds, arrivalFraction)
      const isPeer = outcome === servedKeyed && (this.admission?.mayPeer(slot) ?? true) && this.isPeer(offset)
      this.complete(authenticator, slot, offset, arrivalSeconds, arrivalFraction)
      return isPeer ? servedPeer : outcome
    }
    return unknownKey
  }

  /** Seals the batch's authenticated replies. To be called after the last {@link finish}, before they are sent. */
  endBatch(): void {
    if (this.phase !== "none") for (const authenticator of this.authenticators) authenticator.seal(this.stampedAt)
    this.phase = "none"
  }

  /** Offers a request with a trailer to the authenticators; undefined for one that none of them takes. */
  private admit(
    slot: number,
    offset: number,
    length: number,
    seconds: number,
    fraction: number
  ): Outcome | Pending | undefined {
    if (this.phase === "none") {
      for (const authenticator of this.authenticators) authenticator.begin(this.batch, this.now, this.stampedAt)
      this.phase = "admitting"
    }
    for (const authenticator of this.authenticators) {
      const outcome = authenticator.admit(slot, offset, length, this.trailer)
      if (outcome === undefined) continue
      if (outcome._tag === "Respond") this.complete(authenticator, slot, offset, seconds, fraction)
      return outcome
    }
    return undefined
  }

  /** Writes the reply to a request that an authenticator decided to answer. */
  private complete(
    authenticator: Authenticator,
    slot: number,
    offset: number,
    seconds: number,
    fraction: number
  ): void {
    this.writeHeader(offset, admittedVersionAndMode(this.view.getUint8(offset + Offset.flags)), seconds, fraction)
    this.replyLength = authenticator.reply(slot, offset)
  }

  /** Drops a request that may not be answered, or tells its sender so. Only requests for time get kisses. */
  private refuse(refusal: Ignore | Kiss, offset: number, length: number, seconds: number, fraction: number): Outcome {
    if (refusal._tag === "Ignore") return refusal
    if (length < HEADER_BYTES) return short
    const { view } = this
    const versionAndMode = admittedVersionAndMode(view.getUint8(offset + Offset.flags))
    const mode = modeOf(versionAndMode)
    if (mode !== Mode.server && mode !== Mode.symmetricPassive) return badMode
    this.writeHeader(offset, versionAndMode, seconds, fraction)
    view.setUint8(offset + Offset.flags, (Leap.unsynchronised << 6) | versionAndMode)
    view.setUint8(offset + Offset.stratum, 0)
    view.setUint32(offset + Offset.referenceId, refusal.code)
    return refusal
  }

  /** Answers the field that asks who this is, in its own length: what follows the header of a request is written over. */
  private writeIdentity(offset: number, identity: Uint8Array): void {
    const { view, trailer } = this
    for (let field = 0; field < trailer.fieldCount; field += 1) {
      const asked = trailer.fieldOffsets[field]!
      if (fieldType(view, asked) !== IDENTITY_FIELD) continue
      const size = fieldLength(view, asked)
      if (size < FIELD_HEADER_BYTES + identity.length) return
      const at = offset + HEADER_BYTES
      view.setUint16(at, IDENTITY_FIELD)
      view.setUint16(at + 2, size)
      const body = at + FIELD_HEADER_BYTES
      for (let index = 0; index < size - FIELD_HEADER_BYTES; index += 1)
        view.setUint8(body + index, index < identity.length ? identity[index]! : 0)
      this.replyLength = HEADER_BYTES + size
      return
    }
  }

  /** Whether a request that proved itself is of a symmetric active peer that hears us. */
  private isPeer(offset: number): boolean {
    return modeOf(this.view.getUint8(offset + Offset.flags)) === Mode.symmetricActive && this.echoesReply(offset)
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
  private writeHeader(offset: number, versionAndMode: number, seconds: number, fraction: number): void {
    const { view } = this
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
    view.setUint32(offset + Offset.receive, seconds)
    view.setUint32(offset + Offset.receive + 4, fraction)
    view.setUint32(offset + Offset.transmit, this.transmitSeconds)
    view.setUint32(offset + Offset.transmit + 4, this.transmitFraction)
    this.replyLength = HEADER_BYTES
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

/** Version and mode of the reply to an admitted request, by its first byte. */
const admittedVersionAndMode = (flags: number): number => {
  const version = versionOf(flags)
  return (version << 3) | replyModeFor(modeOf(flags), version, ADMITTED_PORT)
}
