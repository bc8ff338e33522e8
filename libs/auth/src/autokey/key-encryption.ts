/**
 * Keys under a password: PBES2 with PBKDF2 (RFC 8018) around PKCS #8, and the older encryption of traditional PEM (RFC 1421
 * headers, one round of MD5), which is read and written for the files that have no other form both sides take.
 */
import {
  integer,
  nullElement,
  objectIdentifier,
  octetString,
  readElements,
  readObjectIdentifier,
  readSequence,
  readUnsigned,
  sequence
} from "@meridian/wire/der"
import type { PemBlock } from "./key-file.ts"
import { type PrivateNumbers, readDsa, readPkcs8, readRsa, writeDsa, writePkcs8 } from "./private-keys.ts"

type PasswordHash = "sha1" | "sha224" | "sha256" | "sha384" | "sha512"

/** Key derivation and ciphers, behind a port. */
export interface PasswordCiphers {
  readonly pbkdf2: (
    hash: PasswordHash,
    password: Uint8Array,
    salt: Uint8Array,
    iterations: number,
    length: number
  ) => Uint8Array
  readonly md5: (...parts: readonly Uint8Array[]) => Uint8Array
  /** CBC with PKCS #7 padding; undefined when the padding is wrong, which a wrong password makes it. */
  readonly decrypt: (cipher: string, key: Uint8Array, iv: Uint8Array, text: Uint8Array) => Uint8Array | undefined
  readonly encrypt: (cipher: string, key: Uint8Array, iv: Uint8Array, text: Uint8Array) => Uint8Array
  readonly fillRandom: (bytes: Uint8Array) => void
}

interface CipherKind {
  readonly name: string
  readonly objectIdentifier: string
  readonly keyBytes: number
  readonly ivBytes: number
}

/** The ciphers of `ntp-keygen -C` that every OpenSSL in use has. */
export const keyCiphers: readonly CipherKind[] = [
  { name: "aes-256-cbc", objectIdentifier: "2.16.840.1.101.3.4.1.42", keyBytes: 32, ivBytes: 16 },
  { name: "aes-192-cbc", objectIdentifier: "2.16.840.1.101.3.4.1.22", keyBytes: 24, ivBytes: 16 },
  { name: "aes-128-cbc", objectIdentifier: "2.16.840.1.101.3.4.1.2", keyBytes: 16, ivBytes: 16 },
  { name: "des-ede3-cbc", objectIdentifier: "1.2.840.113549.3.7", keyBytes: 24, ivBytes: 8 }
]

const PBES2 = "1.2.840.113549.1.5.13"
const PBKDF2 = "1.2.840.113549.1.5.12"
const HASHES: Readonly<Record<string, PasswordHash>> = {
  "1.2.840.113549.2.7": "sha1",
  "1.2.840.113549.2.8": "sha224",
  "1.2.840.113549.2.9": "sha256",
  "1.2.840.113549.2.10": "sha384",
  "1.2.840.113549.2.11": "sha512"
}
const WRITTEN_HASH = "1.2.840.113549.2.9"
/** The reference writes 2,048. */
const WRITTEN_ITERATIONS = 100_000
/** More is a file that is meant to keep us busy. */
const MOST_ITERATIONS = 10_000_000
const SALT_BYTES = 16
const TRADITIONAL_SALT_BYTES = 8

/** Why a block gave no key. */
export type KeyFault =
  /** no key, or one of a kind that Autokey has no use for */
  | "kind"
  /** encrypted in a way that is not known here */
  | "encryption"
  /** wrong password, or none given; or a damaged file, which cannot be told from it */
  | "password"

const passwordBytes = (password: string): Uint8Array => new TextEncoder().encode(password)

/** The numbers of the private key in a PEM block. Never throws. */
export const openKey = (
  block: PemBlock,
  password: string | undefined,
  ciphers: PasswordCiphers
): PrivateNumbers | KeyFault => {
  switch (block.label) {
    case "PRIVATE KEY":
      return readPkcs8(block.der) ?? "kind"
    case "ENCRYPTED PRIVATE KEY":
      return openEncrypted(block.der, password, ciphers)
    case "RSA PRIVATE KEY":
    case "DSA PRIVATE KEY": {
      const der = openTraditional(block, password, ciphers)
      if (typeof der === "string") return der
      const isEncrypted = block.headers["DEK-Info"] !== undefined
      return (block.label.startsWith("RSA") ? readRsa(der) : readDsa(der)) ?? (isEncrypted ? "password" : "kind")
    }
    default:
      return "kind"
  }
}

const openEncrypted = (
  der: Uint8Array,
  password: string | undefined,
  ciphers: PasswordCiphers
): PrivateNumbers | KeyFault => {
  const [algorithm, text] = readSequence(der) ?? []
  const [scheme, parameters] = readElements(algorithm?.content ?? new Uint8Array(0)) ?? []
  if (readObjectIdentifier(scheme) !== PBES2 || parameters === undefined || text === undefined) return "encryption"
  const [derivation, cipherChoice] = (readElements(parameters.content) ?? []).map(
    ({ content }) => readElements(content) ?? []
  )
  const [cipherName, iv] = cipherChoice ?? []
  const cipher = keyCiphers.find(({ objectIdentifier: known }) => known === readObjectIdentifier(cipherName))
  const [kdf, kdfParameters] = derivation ?? []
  if (cipher === undefined || iv?.content.length !== cipher.ivBytes || readObjectIdentifier(kdf) !== PBKDF2)
    return "encryption"
  const [salt, iterations, ...rest] = readElements(kdfParameters?.content ?? new Uint8Array(0)) ?? []
  const count = Number(readUnsigned(iterations) ?? 0n)
  const prf = rest.find(({ tag }) => tag === 0x30)
  const hash = prf === undefined ? "sha1" : HASHES[readObjectIdentifier(readElements(prf.content)?.[0]) ?? ""]
  if (salt === undefined || hash === undefined || count < 1 || count > MOST_ITERATIONS) return "encryption"
  if (password === undefined) return "password"
  const key = ciphers.pbkdf2(hash, passwordBytes(password), salt.content, count, cipher.keyBytes)
  const plain = ciphers.decrypt(cipher.name, key, iv.content, text.content)
  return (plain === undefined ? undefined : readPkcs8(plain)) ?? "password"
}

const openTraditional = (
  { der, headers }: PemBlock,
  password: string | undefined,
  ciphers: PasswordCiphers
): Uint8Array | KeyFault => {
  const info = headers["DEK-Info"]
  if (info === undefined) return der
  const [name = "", hex = ""] = info.split(",")
  const cipher = keyCiphers.find((known) => known.name === name.toLowerCase())
  if (cipher === undefined || !/^[0-9A-Fa-f]+$/.test(hex) || hex.length !== 2 * cipher.ivBytes) return "encryption"
  if (password === undefined) return "password"
  const iv = Uint8Array.fromHex(hex)
  return ciphers.decrypt(cipher.name, traditionalKey(cipher, password, iv, ciphers), iv, der) ?? "password"
}

/** OpenSSL's EVP_BytesToKey with MD5, one round, the start of the IV as its salt. */
const traditionalKey = (
  { keyBytes }: CipherKind,
  password: string,
  iv: Uint8Array,
  ciphers: PasswordCiphers
): Uint8Array => {
  const key = new Uint8Array(keyBytes)
  let digest: Uint8Array = new Uint8Array(0)
  for (let at = 0; at < keyBytes; at += digest.length) {
    digest = ciphers.md5(digest, passwordBytes(password), iv.subarray(0, TRADITIONAL_SALT_BYTES))
    key.set(digest.subarray(0, Math.min(digest.length, keyBytes - at)), at)
  }
  return key
}

const randomBytes = (length: number, ciphers: PasswordCiphers): Uint8Array => {
  const bytes = new Uint8Array(length)
  ciphers.fillRandom(bytes)
  return bytes
}

/** A key as PKCS #8, encrypted where a password is given. */
export const pkcs8Block = (
  key: PrivateNumbers,
  cipher: CipherKind,
  password: string | undefined,
  ciphers: PasswordCiphers
): PemBlock => {
  const plain = writePkcs8(key)
  if (password === undefined) return { label: "PRIVATE KEY", headers: {}, der: plain }
  const salt = randomBytes(SALT_BYTES, ciphers)
  const iv = randomBytes(cipher.ivBytes, ciphers)
  const secret = ciphers.pbkdf2("sha256", passwordBytes(password), salt, WRITTEN_ITERATIONS, cipher.keyBytes)
  const prf = sequence(objectIdentifier(WRITTEN_HASH), nullElement)
  const derivation = sequence(octetString(salt), integer(BigInt(WRITTEN_ITERATIONS)), prf)
  const parameters = sequence(
    sequence(objectIdentifier(PBKDF2), derivation),
    sequence(objectIdentifier(cipher.objectIdentifier), octetString(iv))
  )
  const der = sequence(
    sequence(objectIdentifier(PBES2), parameters),
    octetString(ciphers.encrypt(cipher.name, secret, iv, plain))
  )
  return { label: "ENCRYPTED PRIVATE KEY", headers: {}, der }
}

/** A DSA key in the traditional form, which keeps its public number. */
export const traditionalDsaBlock = (
  key: Extract<PrivateNumbers, { kind: "dsa" }>,
  cipher: CipherKind,
  password: string | undefined,
  ciphers: PasswordCiphers
): PemBlock => {
  const label = "DSA PRIVATE KEY"
  const plain = writeDsa(key)
  if (password === undefined) return { label, headers: {}, der: plain }
  const iv = randomBytes(cipher.ivBytes, ciphers)
  const headers = { "Proc-Type": "4,ENCRYPTED", "DEK-Info": `${cipher.name.toUpperCase()},${iv.toHex().toUpperCase()}` }
  return {
    label,
    headers,
    der: ciphers.encrypt(cipher.name, traditionalKey(cipher, password, iv, ciphers), iv, plain)
  }
}
