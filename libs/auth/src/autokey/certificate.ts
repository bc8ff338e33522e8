/**
 * X.509 certificates as Autokey uses them (RFC 5906 §8, Appendix H): a name, a key, a validity and two extensions that mean
 * something of their own. Reading is strict about what is used and blind to the rest; a certificate proves nothing before
 * {@link isSignedBy}.
 */
import {
  bigIntOf,
  type DerElement,
  DerTag,
  readElement,
  readElements,
  readObjectIdentifier,
  readSequence,
  readTime,
  readUnsigned
} from "@meridian/wire/der"
import { LONGEST_CERTIFICATE_BYTES } from "./credentials.ts"
import type { RsaPort, RsaPublicKey } from "./rsa-port.ts"
import { schemeByObjectIdentifier, type SignatureScheme } from "./signature-schemes.ts"

/** Classic ntpd takes names of up to 256 octets. */
export const LONGEST_NAME_BYTES = 256

export const CertificateObject = {
  commonName: "2.5.4.3",
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  /** Carries GQ's public value. */
  subjectKeyIdentifier: "2.5.29.14",
  extendedKeyUsage: "2.5.29.37",
  /** The extended key usage of a trusted host. */
  trustRoot: "1.3.6.1.5.5.7.48.1.11",
  /** The extended key usage of a private certificate. */
  private: "1.3.6.1.4"
} as const

export interface AutokeyCertificate {
  readonly der: Uint8Array
  readonly subject: string
  readonly issuer: string
  readonly serial: bigint
  /** Unix seconds */
  readonly notBefore: number
  /** Unix seconds */
  readonly notAfter: number
  readonly scheme: SignatureScheme
  /** DER of SubjectPublicKeyInfo */
  readonly spki: Uint8Array
  /** It says of itself that it is a trust root. */
  readonly claimsTrust: boolean
  /** A private certificate (PC): never sent, so whoever has it belongs to the group. */
  readonly isPrivate: boolean
  /** GQ's public value v. */
  readonly gqPublic: bigint | undefined
  /** DER of the Extensions, to be copied when the certificate is signed by another host; empty when there are none. */
  readonly extensions: Uint8Array
  /** DER of the Name, as it stands. */
  readonly subjectName: Uint8Array
  /** DER of the version element, absent in version 1. */
  readonly version: Uint8Array
  /** What the signature covers. */
  readonly toBeSigned: Uint8Array
  readonly signature: Uint8Array
}

/** Why octets are no certificate that Autokey can use. */
type CertificateFault =
  /** no DER of a certificate, or one of absurd size */
  | "format"
  /** a signature algorithm that is none of RSA's */
  | "scheme"
  /** no common name in subject or issuer */
  | "name"
  /** no date where a date belongs, or an end before the beginning */
  | "validity"

export const isSelfSigned = ({ subject, issuer }: AutokeyCertificate): boolean => subject === issuer

/** Reads a certificate. Never throws. */
export const readCertificate = (bytes: Uint8Array): AutokeyCertificate | CertificateFault => {
  if (bytes.length > LONGEST_CERTIFICATE_BYTES) return "format"
  const der = bytes.slice()
  const [body, algorithm, signature] = readSequence(der) ?? []
  if (body === undefined || algorithm === undefined || signature?.tag !== DerTag.bitString) return "format"
  const parts = readSequence(body.whole)
  if (parts === undefined || signature.content[0] !== 0) return "format"
  const version = parts[0]?.tag === 0xa0 ? parts[0].whole : new Uint8Array(0)
  const [serial, inner, issuerName, validity, subjectName, spki, ...rest] = version.length > 0 ? parts.slice(1) : parts
  if (inner === undefined || issuerName === undefined || validity === undefined || subjectName === undefined)
    return "format"
  if (spki?.tag !== DerTag.sequence || serial?.tag !== DerTag.integer) return "format"
  const scheme = schemeOf(algorithm)
  if (scheme === undefined || schemeOf(inner) !== scheme) return "scheme"
  const subject = commonName(subjectName)
  const issuer = commonName(issuerName)
  if (subject === undefined || issuer === undefined) return "name"
  const [notBefore, notAfter] = (readElements(validity.content) ?? []).map(readTime)
  if (notBefore === undefined || notAfter === undefined || notAfter < notBefore) return "validity"
  const extensions = rest.find(({ tag }) => tag === 0xa3)?.content ?? new Uint8Array(0)
  const found = readExtensions(extensions)
  if (found === undefined) return "format"
  return {
    der,
    subject,
    issuer,
    serial: readUnsigned(serial) ?? 0n,
    notBefore,
    notAfter,
    scheme,
    spki: spki.whole,
    ...found,
    extensions,
    subjectName: subjectName.whole,
    version,
    toBeSigned: body.whole,
    signature: signature.content.subarray(1)
  }
}

const schemeOf = (algorithm: DerElement): SignatureScheme | undefined =>
  schemeByObjectIdentifier(readObjectIdentifier(readElement(algorithm.content)))

/** The common name in a Name: SEQUENCE OF SET OF SEQUENCE { type, value }. */
const commonName = (name: DerElement): string | undefined => {
  for (const set of readElements(name.content) ?? []) {
    for (const attribute of readElements(set.content) ?? []) {
      const [type, value] = readElements(attribute.content) ?? []
      if (readObjectIdentifier(type) === CertificateObject.commonName) return readText(value)
    }
  }
  return undefined
}

const TEXT_TAGS: readonly number[] = [DerTag.utf8String, DerTag.printableString, DerTag.teletexString, DerTag.ia5String]

/** Printable ASCII: these names go into requests, file names and logs. */
const readText = (element: DerElement | undefined): string | undefined => {
  if (element === undefined || !TEXT_TAGS.includes(element.tag)) return undefined
  if (element.content.length === 0 || element.content.length > LONGEST_NAME_BYTES) return undefined
  const text = String.fromCharCode(...element.content)
  return /^[\x21-\x7e]+$/.test(text) ? text : undefined
}

type KnownExtensions = Pick<AutokeyCertificate, "claimsTrust" | "isPrivate" | "gqPublic">

const readExtensions = (extensions: Uint8Array): KnownExtensions | undefined => {
  const found = { claimsTrust: false, isPrivate: false, gqPublic: undefined as bigint | undefined }
  if (extensions.length === 0) return found
  for (const { content } of readSequence(extensions) ?? []) {
    const parts = readElements(content)
    const value = parts?.at(-1)
    if (value?.tag !== DerTag.octetString) return undefined
    switch (readObjectIdentifier(parts?.[0]) ?? "") {
      case CertificateObject.extendedKeyUsage: {
        const usages = readSequence(value.content)?.map(readObjectIdentifier) ?? []
        found.claimsTrust ||= usages.includes(CertificateObject.trustRoot)
        found.isPrivate ||= usages.includes(CertificateObject.private)
        break
      }
      case CertificateObject.subjectKeyIdentifier: {
        const identifier = readElement(value.content)
        if (identifier?.tag === DerTag.octetString && identifier.content.length > 0)
          found.gqPublic = bigIntOf(identifier.content)
        break
      }
      default:
    }
  }
  return found
}

/** Whether a certificate carries the signature of this key. */
export const isSignedBy = ({ scheme, toBeSigned, signature }: AutokeyCertificate, key: RsaPublicKey): boolean =>
  key.verify(scheme.digest, toBeSigned, signature)

/** The key a certificate speaks of; undefined when it is no RSA key that is worked with. */
export const publicKeyOf = ({ spki }: AutokeyCertificate, rsa: RsaPort): RsaPublicKey | undefined => rsa.openSpki(spki)
