/**
 * The side that asks (RFC 5906 §9, §11; the order is the reference's): one association's exchange with a server or a symmetric
 * peer. Each packet carries at most one request of ours, and in symmetric modes the response to one of theirs. What was learned
 * is in the status word.
 *
 * Time is believed of packets under the session's key once the other side is proventic: its certificate trail ends in trust,
 * its identity is proved where a group is named, and a signature of its verified after that. A server's packets that carry
 * fields have the public key of all such packets, so their time is left alone; symmetric peers have a list to tell theirs by.
 */
import {
  type AutokeyField,
  AutokeyOperation,
  type AutokeyPacket,
  type AutokeyValue,
  encodeAutokeyValues,
  type LeapSecondsValues,
  writeAutokeyField
} from "@meridian/wire/autokey-fields"
import { type AssociationParts, type AssociationState, nothingLearned } from "./association-state.ts"
import type { ExchangeFault } from "./exchange-fault.ts"
import { faultLine } from "./exchange-fault.ts"
import { hostStatus } from "./host.ts"
import { followsInChain, KeyList, keyListLength } from "./key-list.ts"
import { challengeFor } from "./proof.ts"
import { receiveResponse } from "./response.ts"
import { type AddressPair, PUBLIC_COOKIE, SessionKeys } from "./session-key.ts"
import { signValue, stampOf, unsignedValue } from "./signed-value.ts"
import { StatusFlag } from "./status-word.ts"

/** What packets go by. */
export interface PacketContext {
  /** In the packet's own direction. */
  readonly pair: AddressPair
  /** Served time, Unix seconds; undefined where this host is not synchronised. */
  readonly now: number | undefined
  /** Seconds between packets. */
  readonly pollSeconds: number
}

/** What the next packet carries and is keyed with. */
interface Outgoing {
  readonly fields: readonly AutokeyField[]
  readonly keyId: number
  readonly cookie: number
}

/** What a received packet is worth. */
interface Received {
  /** The MAC verified, and the key id was one that we wait for. */
  readonly isAuthentic: boolean
  /** The time in it may be used. */
  readonly isTimeUsable: boolean
  /** The exchange begins anew. */
  readonly restarted: boolean
}

/**
 * Once nothing is left to ask, the other side is asked anew who it is after so many packets: in the meantime it may have got a
 * table of leap seconds, a group's key or another certificate. The reference forgets all and begins anew once in six days.
 */
const PACKETS_BETWEEN_REVIEWS = 64

/** What a symmetric peer's exchange comes to by itself, and a client's; the rest of the former waits for either to be synchronised. */
const PROVED = StatusFlag.certificate | StatusFlag.verified
const COMPLETE = PROVED | StatusFlag.proventic | StatusFlag.cookie | StatusFlag.autokey

const NOTHING: Received = { isAuthentic: false, isTimeUsable: false, restarted: false }

export class AutokeyAssociation {
  readonly state: AssociationState
  private readonly keys: SessionKeys
  private list: KeyList | undefined
  private listCookie = PUBLIC_COOKIE
  private listValues: AutokeyValue | undefined
  private offersList = false
  private sentKeyId = 0
  /** The key id of the packet before, in symmetric modes. */
  private chainKeyId = 0
  private pendingRequest: AutokeyField | undefined
  /** Of a symmetric peer's packet that came last. */
  private heardKeyId = 0
  private echoes = false
  /** Whether the peer asked for our list: before that it cannot verify the list's values. */
  private isListKnown = false
  /** Packets with nothing to ask until the other side is asked anew who it is. */
  private untilReview = 0
  /** Packets of an exchange that is not over. */
  private fruitless = 0
  private isUnprovedSaid = false

  /** @param associationId 16 bits, not 0 */
  constructor(parts: AssociationParts, associationId: number) {
    this.keys = new SessionKeys(parts.digests, parts.host.digest)
    this.state = {
      parts,
      associationId,
      ...nothingLearned(parts),
      hasLeapTable: false
    }
  }

  /** The status word as ntpq shows it in `flags`. */
  get status(): number {
    return this.state.status
  }

  get hostName(): string {
    return this.state.subject
  }

  /** What the other side said of TAI, once verified. */
  get leapSeconds(): LeapSecondsValues | undefined {
    return this.state.leapSeconds
  }

  get macBytes(): number {
    return this.keys.macBytes
  }

  /** Begins anew: everything learned is forgotten. */
  restart(): void {
    const { state } = this
    Object.assign(state, nothingLearned(state.parts))
    this.list = undefined
    this.pendingRequest = undefined
    this.offersList = false
    this.isListKnown = false
    this.untilReview = 0
    this.fruitless = 0
    this.isUnprovedSaid = false
  }

  /**
   * Goes on under the key ids of the peer's own packets, each time with the signed values of a list that has this one id. For the
   * reference since 4.2.8p12, which drops what comes under other ids than the one it sent last, also from symmetric peers,
   * whose ids are their own (RFC 5906 §11.4); a signature it believes whatever the list.
   */
  echoKeyIds(): void {
    this.echoes = this.state.parts.mode === "symmetric"
  }

  /**
   * Fields, key id and cookie of the next packet.
   * @param isPeerSynchronised of a symmetric peer: whether its last header said so
   */
  next(context: PacketContext, isPeerSynchronised = false): Outgoing {
    const isEcho = this.echoes && this.heardKeyId !== 0
    const keyId = isEcho ? this.echoedKeyId(context) : this.nextKeyId(context)
    const fields: AutokeyField[] = []
    const response = this.takeResponse(context)
    if (response !== undefined) fields.push(response)
    const own = this.nextField(context, isPeerSynchronised)
    if (own !== undefined) fields.push(own)
    const isSigned = fields.some(({ isResponse, content }) => isResponse && content?.signature.length !== 0)
    if (isEcho && this.isListKnown && context.now !== undefined && !isSigned) fields.push(this.offer())
    this.sentKeyId = keyId
    return { fields, keyId, cookie: fields.length > 0 ? PUBLIC_COOKIE : this.state.cookie }
  }

  /** Writes key id and MAC behind the first `length` octets of a packet. Returns the packet's length. */
  seal(packet: Uint8Array, length: number, { pair }: PacketContext, { keyId, cookie }: Outgoing): number {
    return this.keys.append(packet, length, pair, keyId, cookie)
  }

  /** Writes fields, key id and MAC of the next packet behind its header; see next. Returns the packet's length. */
  write(packet: Uint8Array, headerLength: number, context: PacketContext, isPeerSynchronised: boolean): number {
    const outgoing = this.next(context, isPeerSynchronised)
    let length = headerLength
    for (const field of outgoing.fields) length += writeAutokeyField(packet, length, field)
    return this.seal(packet, length, context, outgoing)
  }

  /**
   * Takes in a packet of the other side, which is `mode` server, or active or passive.
   * @param bytes the whole datagram
   */
  receive(bytes: Uint8Array, packet: AutokeyPacket, context: PacketContext): Received {
    const { state } = this
    const cookie = packet.fields.length > 0 ? PUBLIC_COOKIE : state.cookie
    if (!this.keys.verify(bytes, packet.macOffset, context.pair, cookie)) return NOTHING
    const isServer = state.parts.mode !== "symmetric"
    if (isServer && packet.keyId !== this.sentKeyId) return NOTHING
    this.heardKeyId = packet.keyId
    let signed = false
    for (const field of packet.fields) {
      const result = this.receiveField(field, context)
      if (typeof result === "string") {
        state.parts.record(faultLine(field, result))
        if (result !== "protocol") return { isAuthentic: true, isTimeUsable: false, restarted: false }
        this.restart()
        return { isAuthentic: true, isTimeUsable: false, restarted: true }
      }
      signed ||= result
    }
    // A server's packets with fields, and all before there is a cookie, are keyed for everybody: what is signed counts, time does not.
    const isInSequence = isServer
      ? packet.fields.length === 0 && (state.status & StatusFlag.cookie) !== 0
      : this.follows(packet.keyId, context, state.cookie, signed)
    return {
      isAuthentic: true,
      isTimeUsable: isInSequence && (state.status & StatusFlag.proventic) !== 0,
      restarted: false
    }
  }

  /**
   * Takes in a packet that a broadcast server told to all: keyed for everybody, so what makes it the server's is that its key
   * id belongs to the list whose values the server has signed. A new list comes with its values.
   * @param bytes the whole datagram
   */
  receiveTold(bytes: Uint8Array, packet: AutokeyPacket, context: PacketContext): Received {
    const { state } = this
    if (!this.keys.verify(bytes, packet.macOffset, context.pair, PUBLIC_COOKIE)) return NOTHING
    let signed = false
    for (const field of packet.fields) {
      if (field.operation !== AutokeyOperation.autokey || !field.isResponse) continue
      const result = receiveResponse(state, field, stampOf(context.now))
      if (typeof result === "string") state.parts.record(faultLine(field, result))
      else signed ||= result
    }
    const isTimeUsable =
      (state.status & StatusFlag.proventic) !== 0 && this.follows(packet.keyId, context, PUBLIC_COOKIE, signed)
    return { isAuthentic: true, isTimeUsable, restarted: false }
  }

  /** The key id that the peer sent last, as a list of its own. */
  private echoedKeyId({ pair, now }: PacketContext): number {
    const { heardKeyId: keyId, state } = this
    this.isListKnown ||= this.pendingRequest?.operation === AutokeyOperation.autokey
    // The list before is of no use any more.
    this.list = undefined
    this.offersList = false
    if (!this.isListKnown) return keyId
    const values = { keyId: this.keys.nextKeyId(pair, keyId, state.cookie), sequence: 0 }
    const stamp = stampOf(now)
    this.listValues = signValue(state.parts.host.signer, stamp, stamp, encodeAutokeyValues(values))
    return keyId
  }

  /** The values of the list, unasked. */
  private offer(): AutokeyField {
    const { peerAssociationId } = this.state
    const offer = this.request(AutokeyOperation.autokey, this.listValues)
    return { ...offer, isResponse: true, associationId: peerAssociationId }
  }

  /** The next key id of the list; a new list where there is none, or the cookie has changed. */
  private nextKeyId(context: PacketContext): number {
    const { state } = this
    if (this.list === undefined || this.list.isSpent || this.listCookie !== state.cookie) this.makeList(context)
    return this.list?.take() ?? 0
  }

  private makeList({ pair, now, pollSeconds }: PacketContext): void {
    const { state } = this
    this.listCookie = state.cookie
    // Who is not synchronised signs nothing, and a list that nobody can check is of no use.
    const length = now === undefined ? 1 : keyListLength(pollSeconds)
    this.list = KeyList.begin(this.keys, pair, state.cookie, state.parts.randomWord, length)
    const stamp = stampOf(now)
    this.listValues = signValue(state.parts.host.signer, stamp, stamp, encodeAutokeyValues(this.list.values))
    this.offersList = stamp !== 0
  }

  /** The response to a symmetric peer's request that waits. */
  private takeResponse({ now }: PacketContext): AutokeyField | undefined {
    const request = this.pendingRequest
    this.pendingRequest = undefined
    if (request === undefined) return undefined
    if (request.operation === AutokeyOperation.autokey) {
      this.offersList = false
      return { ...request, isResponse: true, content: this.listValues }
    }
    return this.state.parts.responder.answer(request, { cookie: this.state.ownCookie, now }).field
  }

  private request(operation: number, content: AutokeyValue | undefined): AutokeyField {
    return { operation, isResponse: false, isError: false, associationId: this.state.associationId, content }
  }

  /** What to ask next, in the reference's order; undefined where nothing is left to ask. */
  private nextField({ now }: PacketContext, isPeerSynchronised: boolean): AutokeyField | undefined {
    const { state } = this
    const { host, mode, digests, randomBelow, group } = state.parts
    const { signer } = host
    const stamp = stampOf(now)
    if (this.isStuck()) this.restart()
    const lacks = (flag: number): boolean => (state.status & flag) === 0
    const text = (value: string): Uint8Array => new TextEncoder().encode(value)
    if (state.status === 0) return this.introduction(stamp)
    if (lacks(StatusFlag.certificate))
      return this.request(AutokeyOperation.certificate, unsignedValue(stamp, 0, text(state.issuer)))
    if (lacks(StatusFlag.verified)) {
      state.challenge = group === undefined ? undefined : challengeFor(state.status, group, digests, randomBelow)
      if (state.challenge === undefined) return this.unproved()
      const { operation, value, filestamp } = state.challenge
      return this.request(operation, signValue(signer, stamp, filestamp, value))
    }
    if (lacks(StatusFlag.cookie) && (mode !== "symmetric" || (now !== undefined && isPeerSynchronised)))
      return this.request(
        AutokeyOperation.cookie,
        signValue(signer, stamp, host.hostFilestamp, host.hostKey.publicPkcs1)
      )
    if (lacks(StatusFlag.autokey)) {
      const { broadcastId: associationId = state.associationId } = state.parts
      return { ...this.request(AutokeyOperation.autokey, undefined), associationId }
    }
    if (mode === "symmetric" && this.offersList && !lacks(StatusFlag.signed)) {
      this.offersList = false
      return this.offer()
    }
    if (now === undefined) return undefined
    if (lacks(StatusFlag.signed)) {
      const { certificate, certificateFilestamp } = host
      return this.request(AutokeyOperation.sign, signValue(signer, stamp, certificateFilestamp, certificate.der))
    }
    if (lacks(StatusFlag.leapSeconds) && state.hasLeapTable)
      return this.request(AutokeyOperation.leapSeconds, undefined)
    return this.isReviewDue() ? this.review(stamp) : undefined
  }

  /** The group cannot be proved: by what is known of it here, or by what the other side said that it has. */
  private unproved(): undefined {
    if (!this.isUnprovedSaid)
      this.state.parts.record(faultLine(this.request(AutokeyOperation.null, undefined), "identity"))
    this.isUnprovedSaid = true
  }

  /** Whether so many packets brought the exchange to no end that what it goes by may be wrong: some of it nobody has signed. */
  private isStuck(): boolean {
    const { status, parts } = this.state
    const needed = parts.mode === "symmetric" ? PROVED : COMPLETE
    this.fruitless = status !== 0 && (status & needed) !== needed ? this.fruitless + 1 : 0
    return this.fruitless > PACKETS_BETWEEN_REVIEWS
  }

  /** Who the other side is, as at the beginning. */
  private introduction(stamp: number): AutokeyField {
    const { hasLeapTable, parts } = this.state
    const { host } = parts
    const status = hostStatus(host, host.certificate.isPrivate ? false : hasLeapTable)
    return this.request(AutokeyOperation.association, unsignedValue(stamp, status, new TextEncoder().encode(host.name)))
  }

  /** At once where there was no table of leap seconds: the server may have been starting when it was asked. */
  private isReviewDue(): boolean {
    if (this.untilReview === 0 && (this.state.status & StatusFlag.leapSeconds) !== 0)
      this.untilReview = PACKETS_BETWEEN_REVIEWS
    this.untilReview -= 1
    if (this.untilReview > 0) return false
    this.untilReview = PACKETS_BETWEEN_REVIEWS
    return true
  }

  /** What asks for a status word that is newer; undefined where nothing does. */
  private review(stamp: number): AutokeyField | undefined {
    const { parts, status } = this.state
    if (parts.mode !== "symmetric") return this.introduction(stamp)
    // Who says again who it is was restarted, to a symmetric peer. Its leap seconds are asked for whether it has any or not.
    return (status & StatusFlag.leapSeconds) === 0 ? this.request(AutokeyOperation.leapSeconds, undefined) : undefined
  }

  /** Whether the field was signed, or why it was not believed. */
  private receiveField(field: AutokeyField, context: PacketContext): boolean | ExchangeFault {
    const { state } = this
    if (field.isResponse) return receiveResponse(state, field, stampOf(context.now))
    if (state.parts.mode !== "symmetric" || field.isError) return "protocol"
    if (field.operation === AutokeyOperation.association) {
      // A peer that asks again while the exchange runs may have been restarted, or be somebody else: we find out by ourselves.
      if ((state.status & StatusFlag.certificate) !== 0) return "protocol"
      if (state.status !== 0 && state.peerAssociationId !== field.associationId) return "protocol"
      // Of all responses this one alone names us.
      this.pendingRequest = { ...field, associationId: state.associationId }
      return receiveResponse(state, { ...field, isResponse: true }, stampOf(context.now))
    }
    this.pendingRequest ??= field
    return false
  }

  /** Whether a symmetric peer's key id belongs to its list, as far as its values are known. */
  private follows(keyId: number, { pair }: PacketContext, cookie: number, signed: boolean): boolean {
    const { state } = this
    if (signed) {
      this.chainKeyId = keyId
      return true
    }
    const { received } = state
    if (received === undefined) return false
    const missing = followsInChain(this.keys, pair, cookie, keyId, [this.chainKeyId, received.keyId], received.sequence)
    if (missing === undefined) {
      state.status &= ~StatusFlag.autokey
      return false
    }
    state.received = { ...received, sequence: Math.max(0, received.sequence - missing - 1) }
    this.chainKeyId = keyId
    return true
  }
}
