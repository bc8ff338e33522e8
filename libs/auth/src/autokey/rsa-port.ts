/** RSA as Autokey uses it, behind a port: libs without I/O cannot reach node:crypto. */
import type { SignatureDigest } from "./signature-schemes.ts"

/** A private key: a host's or the one it signs with. Its numbers do not show. */
export interface RsaPrivateKey {
  readonly modulusBytes: number
  /** Its public half: DER of PKCS #1's RSAPublicKey. */
  readonly publicPkcs1: Uint8Array
  /** Its public half: DER of SubjectPublicKeyInfo. */
  readonly publicSpki: Uint8Array
  /** RSASSA-PKCS1-v1_5 */
  readonly sign: (digest: SignatureDigest, message: Uint8Array) => Uint8Array
  /** RSAES-OAEP with SHA-1 and MGF1 of SHA-1, no label; undefined for anything that was not so encrypted to this key. */
  readonly decrypt: (ciphertext: Uint8Array) => Uint8Array | undefined
}

export interface RsaPublicKey {
  readonly modulusBytes: number
  readonly verify: (digest: SignatureDigest, message: Uint8Array, signature: Uint8Array) => boolean
}

export interface RsaPort {
  /** From the DER of PKCS #8's PrivateKeyInfo; undefined for anything but a sound RSA key. */
  readonly openPrivateKey: (pkcs8: Uint8Array) => RsaPrivateKey | undefined
  /** From a certificate's SubjectPublicKeyInfo. */
  readonly openSpki: (spki: Uint8Array) => RsaPublicKey | undefined
  /**
   * RSAES-OAEP as above, under the PKCS #1 RSAPublicKey that a cookie request carries; undefined where that is no key, too
   * long to work with, or too short for the text.
   */
  readonly encryptPkcs1: (pkcs1: Uint8Array, text: Uint8Array) => Uint8Array | undefined
}

/** The longest modulus that is worked with: a stranger's key must not buy minutes of arithmetic. */
export const LONGEST_MODULUS_BYTES = 512
/** The longest public exponent taken from a stranger, bits; 65537 has 17. */
export const LONGEST_EXPONENT_BITS = 33
