/** Making certificates: a host's own, as ntp-keygen does, and a client's, signed by a server (RFC 5906 §11.5). */
import {
  bitString,
  booleanTrue,
  certificateExtension,
  explicit,
  integer,
  nullElement,
  objectIdentifier,
  octetsOf,
  octetString,
  sequence,
  set,
  time,
  utf8String
} from "@meridian/wire/der"
import { type AutokeyCertificate, CertificateObject } from "./certificate.ts"
import type { RsaPrivateKey } from "./rsa-port.ts"
import type { SignatureScheme } from "./signature-schemes.ts"

const YEAR_SECONDS = 31_536_000

/** Certificates of version 3 say 2. */
const VERSION_3 = explicit(0, integer(2n))

interface ToBeSigned {
  readonly version: Uint8Array
  /** NTP seconds, by the reference's custom */
  readonly serial: number
  readonly issuerName: Uint8Array
  readonly subjectName: Uint8Array
  /** Unix seconds */
  readonly notBefore: number
  readonly notAfter: number
  readonly spki: Uint8Array
  readonly extensions: Uint8Array
}

const signedWith = (parts: ToBeSigned, key: RsaPrivateKey, scheme: SignatureScheme): Uint8Array => {
  const algorithm = sequence(objectIdentifier(scheme.objectIdentifier), nullElement)
  const body = sequence(
    parts.version,
    integer(BigInt(parts.serial)),
    algorithm,
    parts.issuerName,
    sequence(time(parts.notBefore), time(parts.notAfter)),
    parts.subjectName,
    parts.spki,
    ...(parts.extensions.length === 0 ? [] : [explicit(3, parts.extensions)])
  )
  return sequence(body, algorithm, bitString(key.sign(scheme.digest, body)))
}

const nameOf = (commonName: string): Uint8Array =>
  sequence(set(sequence(objectIdentifier(CertificateObject.commonName), utf8String(commonName))))

/** What a host's own certificate says. */
export interface HostCertificate {
  /** `host` or `host@group` */
  readonly name: string
  /** NTP seconds */
  readonly serial: number
  /** Unix seconds: it is valid from then on */
  readonly from: number
  readonly lifetimeSeconds: number
  readonly kind: "trusted" | "private" | "plain"
  /** GQ's public value, at most 127 octets: the reference reads no longer ones. */
  readonly gqPublic?: bigint | undefined
}

/** A self-signed certificate, DER. */
export const issueHostCertificate = (
  certificate: HostCertificate,
  key: RsaPrivateKey,
  scheme: SignatureScheme
): Uint8Array => {
  const name = nameOf(certificate.name)
  return signedWith(
    {
      version: VERSION_3,
      serial: certificate.serial,
      issuerName: name,
      subjectName: name,
      notBefore: certificate.from,
      notAfter: certificate.from + certificate.lifetimeSeconds,
      spki: key.publicSpki,
      extensions: sequence(...hostExtensions(certificate))
    },
    key,
    scheme
  )
}

const hostExtensions = ({ kind, gqPublic }: HostCertificate): readonly Uint8Array[] => [
  certificateExtension(CertificateObject.basicConstraints, sequence(booleanTrue), "critical"),
  // digitalSignature and keyCertSign, the first and the sixth of the bits.
  certificateExtension(CertificateObject.keyUsage, bitString(Uint8Array.of(0x84), 2)),
  ...(kind === "plain"
    ? []
    : [
        certificateExtension(
          CertificateObject.extendedKeyUsage,
          sequence(objectIdentifier(kind === "trusted" ? CertificateObject.trustRoot : CertificateObject.private))
        )
      ]),
  ...(gqPublic === undefined
    ? []
    : [certificateExtension(CertificateObject.subjectKeyIdentifier, octetString(octetsOf(gqPublic)))])
]

/**
 * A client's certificate signed by a server: its subject, key and extensions, the server's name as the issuer, valid a year
 * from now. The caller has seen that the client's was signed by its own key.
 * @param serial NTP seconds
 * @param now Unix seconds
 */
export const issueClientCertificate = (
  { version, subjectName, spki, extensions }: AutokeyCertificate,
  issuer: string,
  serial: number,
  now: number,
  key: RsaPrivateKey,
  scheme: SignatureScheme
): Uint8Array =>
  signedWith(
    {
      version,
      serial,
      issuerName: nameOf(issuer),
      subjectName,
      notBefore: now,
      notAfter: now + YEAR_SECONDS,
      spki,
      extensions
    },
    key,
    scheme
  )
