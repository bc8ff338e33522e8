/** What an association believes of a response (RFC 5906 §11), and what becomes of its state. */
import {
  type AutokeyField,
  AutokeyOperation,
  type AutokeyValue,
  decodeAutokeyValues,
  decodeLeapSecondsValues
} from "@meridian/wire/autokey-fields"
import type { AssociationState } from "./association-state.ts"
import { isSelfSigned, isSignedBy, LONGEST_NAME_BYTES, publicKeyOf, readCertificate } from "./certificate.ts"
import { CertificateFlag, flagsOf, type KnownCertificate } from "./certificate-cache.ts"
import type { ExchangeFault } from "./exchange-fault.ts"
import { groupOf, sameOctets } from "./host.ts"
import { isEarlier, signatureFault, stampFault, stampOf, type Stamps } from "./signed-value.ts"
import { schemeByNumber } from "./signature-schemes.ts"
import { IDENTITY_MASK, schemeNumber, StatusFlag } from "./status-word.ts"

/** The part of a status word that the whole exchange goes by: signature scheme and identity schemes. */
const WHO_IT_IS = 0xffff_0000 | IDENTITY_MASK

/** A trail with more links than this leads nowhere. */
const LONGEST_TRAIL = 16

/**
 * Takes a response in.
 * @param now NTP seconds; 0 where this host is not synchronised
 * @returns whether it was signed and verified, or why it was not believed
 */
export const receiveResponse = (state: AssociationState, field: AutokeyField, now: number): boolean | ExchangeFault => {
  if (field.isError) return "protocol"
  const { content } = field
  if (field.operation === AutokeyOperation.association) return receiveAssociation(state, field)
  if (field.operation === AutokeyOperation.leapSeconds && (content?.value.length ?? 0) === 0) {
    // It has none, or none any more; its status word will say when that has changed.
    state.hasLeapTable = false
    return false
  }
  // A server that is not synchronised has nothing to say to this: it is asked again.
  if (content === undefined) return field.operation === AutokeyOperation.certificate ? false : "length"
  if (field.associationId !== state.associationId && field.operation !== AutokeyOperation.autokey) return "protocol"
  switch (field.operation) {
    case AutokeyOperation.certificate:
      return receiveCertificate(state, content, now)
    case AutokeyOperation.iff:
    case AutokeyOperation.gq:
    case AutokeyOperation.mv:
      return receiveProof(state, field.operation, content, now)
    case AutokeyOperation.cookie:
      return receiveCookie(state, content, now)
    case AutokeyOperation.autokey:
      return receiveAutokeyValues(state, content, now)
    case AutokeyOperation.sign:
      return receiveSignedCertificate(state, content, now)
    case AutokeyOperation.leapSeconds:
      return receiveLeapSeconds(state, content, now)
    default:
      return "protocol"
  }
}

const receiveAssociation = (
  state: AssociationState,
  { associationId, content }: AutokeyField
): boolean | ExchangeFault => {
  const { host, mode, group, record } = state.parts
  if (state.status !== 0 && state.peerAssociationId !== associationId) return "protocol"
  if (content === undefined || content.value.length === 0 || content.value.length > LONGEST_NAME_BYTES) return "length"
  const name = String.fromCharCode(...content.value)
  if (!/^[\x21-\x7e]+$/.test(name)) return "length"
  if (host.group !== undefined && group === undefined && groupOf(name) !== host.group) return "identity-type"
  const theirs = content.filestamp
  const scheme = schemeByNumber(schemeNumber(theirs))
  if (scheme === undefined) return "digest"
  if (state.status !== 0) {
    // What was verified was another host, or the same under other keys: all begins anew. Of a symmetric peer anybody can say so.
    if (name !== state.subject || ((theirs ^ state.status) & WHO_IT_IS) !== 0)
      return mode === "symmetric" ? false : "protocol"
    state.hasLeapTable = (theirs & StatusFlag.leapTable) !== 0
    return false
  }
  let status = theirs & ~StatusFlag.leapTable & (0xffff_0000 | 0x00ff)
  if (host.certificate.isPrivate) {
    if ((theirs & StatusFlag.pc) === 0) return "identity-type"
    // Whoever has the same private certificate belongs to us: no trail, no challenge, nothing to sign.
    status |= StatusFlag.certificate | StatusFlag.verified | StatusFlag.signed
  } else if (mode === "symmetric" && hasIdentity(host) !== ((theirs & IDENTITY_MASK) !== 0)) return "identity-type"
  if (mode === "client") status |= StatusFlag.autokey
  state.hasLeapTable = (theirs & StatusFlag.leapTable) !== 0
  state.peerAssociationId = associationId
  state.status = status >>> 0
  state.scheme = scheme
  state.subject = name
  state.issuer = name
  record(`assoc ${state.associationId} ${associationId} host ${name} ${scheme.longName}`)
  return false
}

const hasIdentity = ({ iff, gq, mv }: AssociationState["parts"]["host"]): boolean =>
  iff !== undefined || gq !== undefined || mv !== undefined

/** Stamps and signature; a verified identity becomes proventic by it. */
const verify = (
  state: AssociationState,
  content: AutokeyValue,
  before: Stamps | undefined,
  now: number
): ExchangeFault | undefined => {
  if (content.value.length === 0) return "length"
  const stamps = stampFault(content, before, now)
  if (stamps !== undefined) return stamps
  const { host, rsa } = state.parts
  const key = host.certificate.isPrivate ? publicKeyOf(host.certificate, rsa) : state.peerKey
  if (key === undefined || state.scheme === undefined || content.signature.length === 0) return "protocol"
  const fault = signatureFault(content, key, state.scheme)
  if (fault !== undefined) return fault
  if ((state.status & StatusFlag.verified) !== 0) state.status |= StatusFlag.proventic
  return undefined
}

/** Reads, checks and keeps a certificate; the signature of one that signed itself is checked here. */
const install = (state: AssociationState, content: AutokeyValue): KnownCertificate | undefined => {
  const { rsa, certificates, host } = state.parts
  const certificate = readCertificate(content.value)
  if (typeof certificate === "string") return undefined
  const key = publicKeyOf(certificate, rsa)
  if (key === undefined) return undefined
  if (isSelfSigned(certificate) ? !isSignedBy(certificate, key) : certificate.issuer === host.name) return undefined
  if (isEarlier(stampOf(certificate.notBefore), content.filestamp)) return undefined
  const kept = certificates.install(certificate, content.filestamp)
  if (sameOctets(kept.certificate.der, certificate.der)) return kept
  // The exchange goes by what this server says: of another, or of an impostor, a later one of the same name may be known.
  return { certificate, filestamp: content.filestamp, flags: flagsOf(certificate) | CertificateFlag.valid }
}

const receiveCertificate = (state: AssociationState, content: AutokeyValue, now: number): boolean | ExchangeFault => {
  const stamps = stampFault(content, undefined, now)
  if (stamps !== undefined) return stamps
  // What was not asked for is none of this trail.
  if ((state.status & StatusFlag.certificate) !== 0) return false
  const asked = readCertificate(content.value)
  if (typeof asked === "string" || asked.subject !== state.issuer) return "certificate"
  const known = install(state, content)
  if (known === undefined) return "certificate"
  // Without a clock of our own the server's word has to do: it may not have signed this after the end of its certificate.
  if (isExpired(known, now === 0 ? content.timestamp : now)) return "certificate-period"
  const fault = hike(state, known)
  if (fault !== undefined) return fault
  state.peerKey ??= publicKeyOf(known.certificate, state.parts.rsa)
  const { certificate, flags } = known
  state.parts.record(
    `cert ${certificate.subject} ${certificate.issuer} 0x${flags.toString(16)} ${certificate.scheme.longName} (${certificate.scheme.number}) fs ${content.filestamp}`
  )
  return false
}

const isExpired = ({ certificate }: KnownCertificate, now: number): boolean =>
  isEarlier(stampOf(certificate.notAfter), now)

/** The next link of the trail: the certificate before must be signed by it, within its time. */
const hike = (state: AssociationState, next: KnownCertificate): ExchangeFault | undefined => {
  const { parts, trail } = state
  const { certificate, flags } = next
  const isEnd = isSelfSigned(certificate)
  if (trail !== undefined && trail !== next) {
    const key = publicKeyOf(certificate, parts.rsa)
    if (key === undefined || !isSignedBy(trail.certificate, key)) {
      trail.flags |= CertificateFlag.error
      return "certificate-signature"
    }
    if (trail.certificate.notBefore < certificate.notBefore || trail.certificate.notBefore > certificate.notAfter) {
      trail.flags |= CertificateFlag.error
      return "certificate-period"
    }
    trail.flags |= CertificateFlag.signed
  }
  // Self-signed and not trusted: that host itself still waits for a signature, and is asked again.
  if (isEnd && (flags & CertificateFlag.trusted) === 0) return undefined
  state.trailLength += 1
  if (state.trailLength > LONGEST_TRAIL) return "certificate"
  state.issuer = certificate.issuer
  state.trail = next
  if (!isEnd) return undefined
  state.status |= StatusFlag.certificate
  state.gqPublic = certificate.gqPublic
  // A named group is to be proved. The status word is not signed: whoever strikes its schemes out may not be believed for that.
  if (parts.group === undefined) state.status |= StatusFlag.verified
  return undefined
}

const receiveProof = (
  state: AssociationState,
  operation: number,
  content: AutokeyValue,
  now: number
): boolean | ExchangeFault => {
  const fault = verify(state, content, undefined, now)
  if (fault !== undefined) return fault
  const { challenge } = state
  state.challenge = undefined
  if (challenge === undefined || challenge.operation !== operation) return "identity"
  if (!challenge.fitsFilestamp(content.filestamp)) return "filestamp"
  if (!challenge.isProvedBy(content.value, state.gqPublic)) return "identity"
  state.status |= StatusFlag.verified
  const names: Readonly<Record<number, string>> = { 7: "iff", 8: "gq", 9: "mv" }
  state.parts.record(`${names[operation]} ${state.issuer} fs ${content.filestamp}`)
  return true
}

const receiveCookie = (state: AssociationState, content: AutokeyValue, now: number): boolean | ExchangeFault => {
  const fault = verify(state, content, state.cookieStamps, now)
  if (fault !== undefined) return fault
  const { host, mode, record } = state.parts
  const plain = host.hostKey.decrypt(content.value)
  if (plain?.length !== 4) return "cookie"
  const theirs = new DataView(plain.buffer, plain.byteOffset, plain.byteLength).getUint32(0)
  state.cookie = (mode === "symmetric" ? state.ownCookie ^ theirs : theirs) >>> 0
  state.cookieStamps = { timestamp: content.timestamp, filestamp: content.filestamp }
  state.status |= StatusFlag.cookie
  record(`cook ${state.cookie.toString(16)} ts ${content.timestamp} fs ${content.filestamp}`)
  return true
}

const receiveAutokeyValues = (state: AssociationState, content: AutokeyValue, now: number): boolean | ExchangeFault => {
  const fault = verify(state, content, state.received, now)
  if (fault !== undefined) return fault
  const values = decodeAutokeyValues(content.value)
  if (values === undefined) return "length"
  const { timestamp, filestamp } = content
  state.received = { timestamp, filestamp, ...values }
  state.status |= StatusFlag.autokey
  state.parts.record(`auto seq ${values.sequence} key ${values.keyId.toString(16)} ts ${timestamp} fs ${filestamp}`)
  return true
}

const receiveSignedCertificate = (
  state: AssociationState,
  content: AutokeyValue,
  now: number
): boolean | ExchangeFault => {
  const fault = verify(state, content, undefined, now)
  if (fault !== undefined) return fault
  const { parts, subject, peerKey } = state
  const certificate = readCertificate(content.value)
  if (typeof certificate === "string" || peerKey === undefined) return "certificate"
  if (certificate.subject !== parts.host.name || certificate.issuer !== subject) return "certificate"
  if (!isSignedBy(certificate, peerKey)) return "certificate-signature"
  const known = install(state, content)
  if (known === undefined) return "certificate"
  state.status |= StatusFlag.signed
  parts.record(
    `sign ${certificate.subject} ${certificate.issuer} 0x${known.flags.toString(16)} ${certificate.scheme.longName} (${certificate.scheme.number}) fs ${content.filestamp}`
  )
  return true
}

const receiveLeapSeconds = (state: AssociationState, content: AutokeyValue, now: number): boolean | ExchangeFault => {
  const fault = verify(state, content, undefined, now)
  if (fault !== undefined) return fault
  const values = decodeLeapSecondsValues(content.value)
  if (values === undefined) return "length"
  state.leapSeconds = values
  state.status |= StatusFlag.leapSeconds
  state.parts.record(
    `leap TAI offset ${values.taiOffset} at ${values.lastLeap} expire ${values.expiry} fs ${content.filestamp}`
  )
  return true
}
