/**
 * The side that answers (RFC 5906 §11): one request's field in, one response's field out. It keeps nothing about who asks: a
 * cookie is computed, a challenge answered, a certificate signed there and then.
 */
import {
  autokeyFieldLength,
  AutokeyOperation,
  type AutokeyField,
  type AutokeyValue,
  encodeLeapSecondsValues,
  type LeapSecondsValues,
  LONGEST_AUTOKEY_FIELD
} from "@meridian/wire/autokey-fields"
import type { DigestPort } from "../symmetric/mac.ts"
import { isSelfSigned, isSignedBy, LONGEST_NAME_BYTES, publicKeyOf, readCertificate } from "./certificate.ts"
import type { CertificateCache } from "./certificate-cache.ts"
import { issueClientCertificate } from "./certificate-issue.ts"
import { answerGq } from "./gq.ts"
import { type AutokeyHost, groupOf, hostStatus } from "./host.ts"
import { decodeChallenge, type RandomBelow } from "./identity.ts"
import { answerIff } from "./iff.ts"
import { answerMv } from "./mv.ts"
import type { RsaPort } from "./rsa-port.ts"
import { signValue, stampOf, unsignedValue } from "./signed-value.ts"

/** What became of a request's field; each has a counter of its own. */
type AnswerReason =
  | "association"
  | "certificate"
  | "cookie"
  | "iff"
  | "gq"
  | "mv"
  | "sign"
  | "leap-seconds"
  | "autokey"
  /** nothing is signed before this server is synchronised: an empty response, and the client asks again */
  | "unsynchronised"
  /** no certificate of that subject: an empty response */
  | "no-certificate"
  /** the request asks for a group key this host does not have */
  | "no-group-key"
  /** a challenge of 0, or one that is not below the modulus */
  | "bad-challenge"
  /** no RSA key, or one that is too long or too short */
  | "bad-public-key"
  /** what is to be signed is no certificate, not signed by its own key, or not valid now */
  | "bad-certificate"
  /** this host's certificate is not valid now */
  | "own-certificate-expired"
  /** a request without the value it needs, or with one that is too long */
  | "bad-value"
  /** the answer would be longer than any field: a certificate to be signed that nearly is */
  | "too-long"
  /** autokey values are asked for, and there is no broadcast of that association */
  | "no-association"
  /** an operation that is not known here */
  | "unknown-operation"
  /** the sender's group is not ours: no reply at all */
  | "other-group"
  /** a response, or a packet with several fields, where only a request makes sense: no reply at all */
  | "no-request"

interface Answer {
  readonly reason: AnswerReason
  /** Undefined: no reply. */
  readonly field: AutokeyField | undefined
}

/** What an answer depends on beside the request. */
interface AnswerContext {
  /** The cookie of the sender's and the asked address. */
  readonly cookie: number
  /** Served time, Unix seconds; undefined where this host is not synchronised. */
  readonly now: number | undefined
}

export interface ResponderParts {
  readonly host: AutokeyHost
  readonly certificates: CertificateCache
  readonly rsa: RsaPort
  readonly digests: DigestPort
  readonly randomBelow: RandomBelow
  readonly leapSeconds: LeapSecondsValues | undefined
  /** The values of a broadcast's key list, by its association id. */
  readonly autokeyValues: (associationId: number) => AutokeyValue | undefined
}

/** Values that do not change are signed anew so often: a client takes no older signature than one it had before. */
const RESIGN_SECONDS = 3_600

/** RSA operations with a private key that an answer costs: what a flood would have us spend. */
export const signaturesOf = ({ operation }: AutokeyField): number => {
  switch (operation) {
    case AutokeyOperation.cookie:
    case AutokeyOperation.iff:
    case AutokeyOperation.gq:
    case AutokeyOperation.mv:
      return 1
    case AutokeyOperation.sign:
      return 2
    default:
      // Association messages are not signed; certificates and leap seconds are signed once an hour.
      return 0
  }
}

export class Responder {
  private readonly parts: ResponderParts
  /** Values signed before, by what they are of. */
  private readonly signed = new Map<string, AutokeyValue>()
  private signedAt = -Infinity

  constructor(parts: ResponderParts) {
    this.parts = parts
  }

  /** Answers a request's field. */
  answer(request: AutokeyField, context: AnswerContext): Answer {
    if (request.isResponse || request.isError) return { reason: "no-request", field: undefined }
    switch (request.operation) {
      case AutokeyOperation.association:
        return this.association(request, context)
      case AutokeyOperation.certificate:
        return this.certificate(request, context)
      case AutokeyOperation.cookie:
        return this.cookie(request, context)
      case AutokeyOperation.iff:
      case AutokeyOperation.gq:
      case AutokeyOperation.mv:
        return this.identity(request, context)
      case AutokeyOperation.sign:
        return this.sign(request, context)
      case AutokeyOperation.leapSeconds:
        return this.leapSeconds(request, context)
      case AutokeyOperation.autokey: {
        const values = this.parts.autokeyValues(request.associationId)
        return values === undefined ? refused(request, "no-association") : answered(request, "autokey", values)
      }
      default:
        return refused(request, "unknown-operation")
    }
  }

  /** Certificates as they are now: what was signed of them before is signed anew. */
  forgetSignatures(): void {
    this.signed.clear()
  }

  private association(request: AutokeyField, { now }: AnswerContext): Answer {
    const { host, leapSeconds } = this.parts
    const name = nameIn(request.content?.value)
    if (name === undefined) return refused(request, "bad-value")
    if (host.group !== undefined && groupOf(name) !== host.group) return { reason: "other-group", field: undefined }
    const status = hostStatus(host, leapSeconds !== undefined)
    const value = new TextEncoder().encode(host.name)
    return answered(request, "association", unsignedValue(stampOf(now), status, value))
  }

  private certificate(request: AutokeyField, { now }: AnswerContext): Answer {
    const subject = nameIn(request.content?.value)
    if (subject === undefined) return refused(request, "bad-value")
    const known = this.parts.certificates.find(subject)
    if (known === undefined) return empty(request, "no-certificate")
    if (now === undefined) return empty(request, "unsynchronised")
    const { issuer } = known.certificate
    const value = this.signedOnce(`certificate ${subject} ${issuer}`, known.filestamp, known.certificate.der, now)
    return answered(request, "certificate", value)
  }

  private cookie(request: AutokeyField, { cookie, now }: AnswerContext): Answer {
    if (now === undefined) return empty(request, "unsynchronised")
    const plain = new Uint8Array(4)
    new DataView(plain.buffer).setUint32(0, cookie)
    const { content } = request
    const text = content === undefined ? undefined : this.parts.rsa.encryptPkcs1(content.value, plain)
    if (text === undefined) return refused(request, "bad-public-key")
    // The filestamp of values that are no file's is when this host's were last signed.
    this.refresh(now)
    return answered(request, "cookie", signValue(this.parts.host.signer, stampOf(now), stampOf(this.signedAt), text))
  }

  private identity(request: AutokeyField, { now }: AnswerContext): Answer {
    const { host, digests, randomBelow } = this.parts
    const value = request.content?.value ?? new Uint8Array(0)
    const respond = <A>(
      key: { readonly value: A; readonly filestamp: number } | undefined,
      modulus: (key: A) => bigint,
      reason: "iff" | "gq" | "mv",
      prove: (key: A, challenge: bigint) => Uint8Array
    ): Answer => {
      if (key === undefined) return refused(request, "no-group-key")
      const challenge = decodeChallenge(value, modulus(key.value))
      if (challenge === undefined) return refused(request, "bad-challenge")
      if (now === undefined) return empty(request, "unsynchronised")
      const proof = prove(key.value, challenge)
      return answered(request, reason, signValue(host.signer, stampOf(now), key.filestamp, proof))
    }
    switch (request.operation) {
      case AutokeyOperation.iff:
        return respond(
          host.iff,
          ({ q }) => q,
          "iff",
          (key, challenge) => answerIff(key, challenge, digests, randomBelow)
        )
      case AutokeyOperation.gq:
        return respond(
          host.gq,
          ({ n }) => n,
          "gq",
          (key, challenge) => answerGq(key, challenge, digests, randomBelow)
        )
      default:
        return respond(
          host.mv,
          ({ p }) => p,
          "mv",
          (key, challenge) => answerMv(key, challenge, randomBelow)
        )
    }
  }

  private sign(request: AutokeyField, { now }: AnswerContext): Answer {
    const { host, rsa } = this.parts
    if (now === undefined) return empty(request, "unsynchronised")
    if (now < host.certificate.notBefore || now > host.certificate.notAfter)
      return refused(request, "own-certificate-expired")
    const { content } = request
    const certificate = readCertificate(content?.value ?? new Uint8Array(0))
    if (typeof certificate === "string" || content === undefined || !isSelfSigned(certificate))
      return refused(request, "bad-certificate")
    const key = publicKeyOf(certificate, rsa)
    if (key === undefined || !isSignedBy(certificate, key)) return refused(request, "bad-certificate")
    if (now < certificate.notBefore || now > certificate.notAfter || certificate.subject === host.name)
      return refused(request, "bad-certificate")
    const stamp = stampOf(now)
    const der = issueClientCertificate(
      certificate,
      host.name,
      stamp,
      Math.floor(now),
      host.signer.key,
      host.signer.scheme
    )
    return answered(request, "sign", signValue(host.signer, stamp, content.filestamp, der))
  }

  private leapSeconds(request: AutokeyField, { now }: AnswerContext): Answer {
    const { leapSeconds, host } = this.parts
    if (leapSeconds === undefined || now === undefined) return empty(request, "unsynchronised")
    const value = encodeLeapSecondsValues(leapSeconds)
    return answered(request, "leap-seconds", this.signedOnce("leap seconds", host.hostFilestamp, value, now))
  }

  /** A value that is the same for everybody: signed once an hour. */
  private signedOnce(what: string, filestamp: number, value: Uint8Array, now: number): AutokeyValue {
    this.refresh(now)
    const before = this.signed.get(what)
    if (before !== undefined) return before
    const made = signValue(this.parts.host.signer, stampOf(now), filestamp, value)
    this.signed.set(what, made)
    return made
  }

  private refresh(now: number): void {
    if (now >= this.signedAt && now - this.signedAt < RESIGN_SECONDS) return
    this.signed.clear()
    this.signedAt = now
  }
}

const nameIn = (value: Uint8Array | undefined): string | undefined => {
  if (value === undefined || value.length === 0 || value.length > LONGEST_NAME_BYTES) return undefined
  const text = String.fromCharCode(...value)
  return /^[\x21-\x7e]+$/.test(text) ? text : undefined
}

const response = (request: AutokeyField): AutokeyField => ({ ...request, isResponse: true, content: undefined })
const answered = (request: AutokeyField, reason: AnswerReason, content: AutokeyValue): Answer => {
  const field = { ...response(request), content }
  return autokeyFieldLength(field) > LONGEST_AUTOKEY_FIELD ? refused(request, "too-long") : { reason, field }
}
/** The response that has nothing to say: 8 octets, no error. */
const empty = (request: AutokeyField, reason: AnswerReason): Answer => ({ reason, field: response(request) })
/** The response with the error flag, never longer than its request. */
const refused = (request: AutokeyField, reason: AnswerReason): Answer => ({
  reason,
  field: { ...response(request), isError: true }
})
