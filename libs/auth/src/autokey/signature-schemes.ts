/** Signature schemes, by the numbers (OpenSSL's NIDs) that stand in status words, and by the names of ntp-keygen and of logs. */
import type { MacAlgorithmName } from "../symmetric/mac-algorithms.ts"

export type SignatureDigest = Extract<
  MacAlgorithmName,
  "MD5" | "SHA1" | "RIPEMD160" | "SHA224" | "SHA256" | "SHA384" | "SHA512"
>

export interface SignatureScheme {
  /** High half of the status word. */
  readonly number: number
  /** As ntp-keygen -c takes it and file names carry it: `RSA-MD5`. */
  readonly name: string
  /** As cryptostats and ntpq show it: `md5WithRSAEncryption`. */
  readonly longName: string
  readonly digest: SignatureDigest
  /** Of a certificate's signature algorithm. */
  readonly objectIdentifier: string
}

const scheme = (
  number: number,
  name: string,
  longName: string,
  digest: SignatureDigest,
  objectIdentifier: string
): SignatureScheme => ({ number, name, longName, digest, objectIdentifier })

export const signatureSchemes: readonly SignatureScheme[] = [
  scheme(8, "RSA-MD5", "md5WithRSAEncryption", "MD5", "1.2.840.113549.1.1.4"),
  scheme(65, "RSA-SHA1", "sha1WithRSAEncryption", "SHA1", "1.2.840.113549.1.1.5"),
  scheme(119, "RSA-RIPEMD160", "ripemd160WithRSA", "RIPEMD160", "1.3.36.3.3.1.2"),
  scheme(668, "RSA-SHA256", "sha256WithRSAEncryption", "SHA256", "1.2.840.113549.1.1.11"),
  scheme(669, "RSA-SHA384", "sha384WithRSAEncryption", "SHA384", "1.2.840.113549.1.1.12"),
  scheme(670, "RSA-SHA512", "sha512WithRSAEncryption", "SHA512", "1.2.840.113549.1.1.13"),
  scheme(671, "RSA-SHA224", "sha224WithRSAEncryption", "SHA224", "1.2.840.113549.1.1.14")
]

export const schemeByNumber = (number: number): SignatureScheme | undefined =>
  signatureSchemes.find((known) => known.number === number)

export const schemeByObjectIdentifier = (identifier: string | undefined): SignatureScheme | undefined =>
  signatureSchemes.find((known) => known.objectIdentifier === identifier)

/** Whatever the case of its letters. */
export const schemeByName = (name: string): SignatureScheme | undefined =>
  signatureSchemes.find((known) => known.name === name.toUpperCase())
