/** RSA for Autokey on node:crypto: PKCS #1 signatures with digests as old as MD5, OAEP with SHA-1. */
import {
  constants,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  sign,
  verify
} from "node:crypto"
import {
  LONGEST_EXPONENT_BITS,
  LONGEST_MODULUS_BYTES,
  type RsaPort,
  type RsaPrivateKey,
  type RsaPublicKey
} from "@meridian/auth/autokey/rsa-port"
import type { SignatureDigest } from "@meridian/auth/autokey/signature-schemes"

const opensslName = (digest: SignatureDigest): string => digest.toLowerCase()

const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" }

/** Octets of the modulus; undefined where the key is not RSA or not of a size that is worked with. */
const workableBytes = ({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): number | undefined => {
  if (asymmetricKeyType !== "rsa" || asymmetricKeyDetails === undefined) return undefined
  const { modulusLength = Infinity, publicExponent = 0n } = asymmetricKeyDetails
  const isWorkable = modulusLength <= 8 * LONGEST_MODULUS_BYTES && publicExponent < 1n << BigInt(LONGEST_EXPONENT_BITS)
  return isWorkable ? Math.ceil(modulusLength / 8) : undefined
}

/** What the function gives, or undefined when OpenSSL objects: to a stranger's key, signature or ciphertext. */
const orUndefined = <A>(action: () => A): A | undefined => {
  try {
    return action()
  } catch {
    return undefined
  }
}

const publicKey = (open: () => KeyObject): RsaPublicKey | undefined => {
  const key = orUndefined(open)
  const modulusBytes = key && workableBytes(key)
  if (key === undefined || modulusBytes === undefined) return undefined
  return {
    modulusBytes,
    verify: (digest, message, signature) =>
      orUndefined(() => verify(opensslName(digest), message, key, signature)) ?? false,
    encrypt: (text) => orUndefined(() => publicEncrypt({ key, ...OAEP }, text))
  }
}

const privateKey = (pkcs8: Uint8Array): RsaPrivateKey | undefined => {
  const key = orUndefined(() => createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" }))
  const modulusBytes = key && workableBytes(key)
  if (key === undefined || modulusBytes === undefined) return undefined
  const itsPublic = createPublicKey(key)
  return {
    modulusBytes,
    publicPkcs1: new Uint8Array(itsPublic.export({ format: "der", type: "pkcs1" })),
    publicSpki: new Uint8Array(itsPublic.export({ format: "der", type: "spki" })),
    sign: (digest, message) => sign(opensslName(digest), message, key),
    decrypt: (ciphertext) => orUndefined(() => privateDecrypt({ key, ...OAEP }, ciphertext))
  }
}

export const nodeRsa: RsaPort = {
  openPrivateKey: privateKey,
  openSpki: (spki) => publicKey(() => createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" })),
  openPkcs1: (pkcs1) => publicKey(() => createPublicKey({ key: Buffer.from(pkcs1), format: "der", type: "pkcs1" }))
}
