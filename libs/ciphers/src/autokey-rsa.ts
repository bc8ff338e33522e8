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

/** Whether the key is RSA and of a size that is worked with. */
const isWorkable = ({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean =>
  asymmetricKeyType === "rsa" &&
  (asymmetricKeyDetails?.modulusLength ?? Infinity) <= 8 * LONGEST_MODULUS_BYTES &&
  (asymmetricKeyDetails?.publicExponent ?? 0n) < 1n << BigInt(LONGEST_EXPONENT_BITS)

const modulusBytesOf = (key: KeyObject): number => Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)

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
  if (key === undefined || !isWorkable(key)) return undefined
  return {
    modulusBytes: modulusBytesOf(key),
    verify: (digest, message, signature) =>
      orUndefined(() => verify(opensslName(digest), message, key, signature)) ?? false,
    encrypt: (text) => orUndefined(() => publicEncrypt({ key, ...OAEP }, text))
  }
}

const privateKey = (pkcs8: Uint8Array): RsaPrivateKey | undefined => {
  const key = orUndefined(() => createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" }))
  if (key === undefined || !isWorkable(key)) return undefined
  const itsPublic = createPublicKey(key)
  return {
    modulusBytes: modulusBytesOf(key),
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
