/**
 * RSA for Autokey: PKCS #1 signatures with digests as old as MD5, OAEP with SHA-1. On node:crypto; what a server does for every
 * cookie, a signature and an encryption under a key that it sees once, by native/rsa.c where the addon is there.
 */
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
import { loadNative, type NativeAddon } from "@meridian/system/native"

/** What the addon exports. Both give a length, and 0 where it cannot be. */
interface RsaBinding {
  readonly rsaOaepEncrypt: (pkcs1: Uint8Array, text: Uint8Array, out: Uint8Array) => number
  readonly RsaSigner: new (pkcs8: Uint8Array) => {
    readonly sign: (digest: string, message: Uint8Array, out: Uint8Array) => number
  }
}

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

/**
 * A stranger's key for encryption: nothing is read of it before a text is encrypted, for it is used once. Undefined where the
 * addon is not there.
 */
const oaepEncryption = (): RsaPort["encryptPkcs1"] => {
  const { rsaOaepEncrypt } = (loadNative().addon ?? {}) as Partial<NativeAddon & RsaBinding>
  if (rsaOaepEncrypt === undefined)
    return (pkcs1, text) => {
      const key = orUndefined(() => createPublicKey({ key: Buffer.from(pkcs1), format: "der", type: "pkcs1" }))
      if (key === undefined || workableBytes(key) === undefined) return undefined
      return orUndefined(() => publicEncrypt({ key, ...OAEP }, text))
    }
  const out = new Uint8Array(LONGEST_MODULUS_BYTES)
  return (pkcs1, text) => {
    const length = rsaOaepEncrypt(pkcs1, text, out)
    return length === 0 ? undefined : out.slice(0, length)
  }
}

/** Signatures by a key in PKCS #8. */
const signing = (pkcs8: Uint8Array, key: KeyObject, modulusBytes: number): RsaPrivateKey["sign"] => {
  const { RsaSigner } = (loadNative().addon ?? {}) as Partial<NativeAddon & RsaBinding>
  if (RsaSigner === undefined) return (digest, message) => sign(opensslName(digest), message, key)
  const signer = new RsaSigner(pkcs8)
  return (digest, message) => {
    const signature = new Uint8Array(modulusBytes)
    const length = signer.sign(opensslName(digest), message, signature)
    // Node names what is wrong.
    return length === modulusBytes ? signature : sign(opensslName(digest), message, key)
  }
}

const publicKey = (open: () => KeyObject): RsaPublicKey | undefined => {
  const key = orUndefined(open)
  const modulusBytes = key && workableBytes(key)
  if (key === undefined || modulusBytes === undefined) return undefined
  return {
    modulusBytes,
    verify: (digest, message, signature) =>
      orUndefined(() => verify(opensslName(digest), message, key, signature)) ?? false
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
    sign: signing(pkcs8, key, modulusBytes),
    decrypt: (ciphertext) => orUndefined(() => privateDecrypt({ key, ...OAEP }, ciphertext))
  }
}

export const nodeRsa: RsaPort = {
  openPrivateKey: privateKey,
  openSpki: (spki) => publicKey(() => createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" })),
  encryptPkcs1: oaepEncryption()
}
