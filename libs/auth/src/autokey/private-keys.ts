/**
 * Private keys in PEM blocks: PKCS #8 (RFC 5958), and the traditional forms of RSA (RFC 8017 A.1.2) and DSA (OpenSSL's). The
 * identity schemes keep their numbers in the fields of such keys, so fields are read as they stand and nothing is computed
 * or checked here.
 *
 * PKCS #8 holds only four of DSA's five numbers. Whoever loads such a file computes the fifth, g^priv: what an IFF client
 * file or an MV file had there is lost. `publicNumber` is undefined in that case.
 */
import {
  integer,
  nullElement,
  objectIdentifier,
  octetString,
  readObjectIdentifier,
  readElements,
  readSequence,
  readUnsigned,
  readUnsignedSequence,
  sequence
} from "@meridian/wire/der"

const RSA_OID = "1.2.840.113549.1.1.1"
const DSA_OID = "1.2.840.10040.4.1"

/** The eight numbers of an RSAPrivateKey. */
export interface RsaNumbers {
  readonly kind: "rsa"
  readonly n: bigint
  readonly e: bigint
  readonly d: bigint
  readonly p: bigint
  readonly q: bigint
  readonly dp: bigint
  readonly dq: bigint
  readonly qInverse: bigint
}

export interface DsaNumbers {
  readonly kind: "dsa"
  readonly p: bigint
  readonly q: bigint
  readonly g: bigint
  /** Undefined in PKCS #8, which has no place for it. */
  readonly publicNumber: bigint | undefined
  readonly privateNumber: bigint
}

export type PrivateNumbers = RsaNumbers | DsaNumbers

/** Reads PrivateKeyInfo. */
export const readPkcs8 = (der: Uint8Array): PrivateNumbers | undefined => {
  const [version, algorithm, key] = readSequence(der) ?? []
  if (readUnsigned(version) === undefined || algorithm === undefined || key === undefined) return undefined
  const [identifier, parameters] = readElements(algorithm.content) ?? []
  switch (readObjectIdentifier(identifier) ?? "") {
    case RSA_OID:
      return readRsa(key.content)
    case DSA_OID: {
      const [p, q, g] = (parameters === undefined ? undefined : readUnsignedSequence(parameters.whole)) ?? []
      const privateNumber = readUnsigned(readElements(key.content)?.[0])
      if (p === undefined || q === undefined || g === undefined || privateNumber === undefined) return undefined
      return { kind: "dsa", p, q, g, publicNumber: undefined, privateNumber }
    }
    default:
      return undefined
  }
}

/** Reads `RSA PRIVATE KEY`. */
export const readRsa = (der: Uint8Array): RsaNumbers | undefined => {
  const numbers = readUnsignedSequence(der)
  if (numbers?.length !== 9) return undefined
  const [, n, e, d, p, q, dp, dq, qInverse] = numbers as Tuple9
  return { kind: "rsa", n, e, d, p, q, dp, dq, qInverse }
}

type Tuple9 = readonly [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint]

/** Reads `DSA PRIVATE KEY`. */
export const readDsa = (der: Uint8Array): DsaNumbers | undefined => {
  const numbers = readUnsignedSequence(der)
  if (numbers?.length !== 6) return undefined
  const [, p, q, g, publicNumber, privateNumber] = numbers as readonly [bigint, bigint, bigint, bigint, bigint, bigint]
  return { kind: "dsa", p, q, g, publicNumber, privateNumber }
}

export const writeRsa = ({ n, e, d, p, q, dp, dq, qInverse }: RsaNumbers): Uint8Array =>
  sequence(...[0n, n, e, d, p, q, dp, dq, qInverse].map(integer))

/** @param key whose public number is given */
export const writeDsa = ({ p, q, g, publicNumber, privateNumber }: DsaNumbers): Uint8Array =>
  sequence(...[0n, p, q, g, publicNumber ?? 0n, privateNumber].map(integer))

/** PrivateKeyInfo; of a DSA key without its public number. */
export const writePkcs8 = (key: PrivateNumbers): Uint8Array =>
  key.kind === "rsa"
    ? sequence(integer(0n), sequence(objectIdentifier(RSA_OID), nullElement), octetString(writeRsa(key)))
    : sequence(
        integer(0n),
        sequence(objectIdentifier(DSA_OID), sequence(integer(key.p), integer(key.q), integer(key.g))),
        octetString(integer(key.privateNumber))
      )
