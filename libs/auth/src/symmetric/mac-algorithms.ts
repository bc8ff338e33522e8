/** The algorithms that keys can be of, and the names key files call them by: ntp.keys(5) of NTPsec, classic ntpd, chrony. */

export const macAlgorithmNames = [
  "MD5",
  "SHA1",
  "RIPEMD160",
  "SHA224",
  "SHA256",
  "SHA384",
  "SHA512",
  "SHA512-224",
  "SHA512-256",
  "SHA3-224",
  "SHA3-256",
  "SHA3-384",
  "SHA3-512",
  "BLAKE2S256",
  "BLAKE2B512",
  "SM3",
  "AES-128",
  "AES-192",
  "AES-256"
] as const
/** As OpenSSL spells it, and as this program writes it into key files. */
export type MacAlgorithmName = (typeof macAlgorithmNames)[number]

export interface MacAlgorithm {
  readonly name: MacAlgorithmName
  readonly kind: "digest" | "cmac"
  /** Length of the uncut digest, bytes. */
  readonly digestBytes: number
  /** The one key length of a cipher, bytes; digests take any. */
  readonly keyBytes: number | undefined
}

const digest = (name: MacAlgorithmName, digestBytes: number): MacAlgorithm => ({
  name,
  kind: "digest",
  digestBytes,
  keyBytes: undefined
})

const cmac = (name: MacAlgorithmName, keyBytes: number): MacAlgorithm => ({
  name,
  kind: "cmac",
  digestBytes: 16,
  keyBytes
})

export const macAlgorithms: Readonly<Record<MacAlgorithmName, MacAlgorithm>> = {
  MD5: digest("MD5", 16),
  SHA1: digest("SHA1", 20),
  RIPEMD160: digest("RIPEMD160", 20),
  SHA224: digest("SHA224", 28),
  SHA256: digest("SHA256", 32),
  SHA384: digest("SHA384", 48),
  SHA512: digest("SHA512", 64),
  "SHA512-224": digest("SHA512-224", 28),
  "SHA512-256": digest("SHA512-256", 32),
  "SHA3-224": digest("SHA3-224", 28),
  "SHA3-256": digest("SHA3-256", 32),
  "SHA3-384": digest("SHA3-384", 48),
  "SHA3-512": digest("SHA3-512", 64),
  BLAKE2S256: digest("BLAKE2S256", 32),
  BLAKE2B512: digest("BLAKE2B512", 64),
  SM3: digest("SM3", 32),
  "AES-128": cmac("AES-128", 16),
  "AES-192": cmac("AES-192", 24),
  "AES-256": cmac("AES-256", 32)
}

/** Names beside the proper ones. AES alone means AES-128 (NTPsec); AES128 and AES256 are chrony's. */
const aliases: Readonly<Record<string, MacAlgorithmName>> = {
  AES: "AES-128",
  AES128CMAC: "AES-128",
  AES128: "AES-128",
  AES192: "AES-192",
  AES256: "AES-256",
  SHA: "SHA1",
  "SHA-1": "SHA1",
  RIPEMD: "RIPEMD160",
  "RIPEMD-160": "RIPEMD160",
  RMD160: "RIPEMD160",
  "SHA-224": "SHA224",
  "SHA-256": "SHA256",
  "SHA-384": "SHA384",
  "SHA-512": "SHA512",
  "SHA2-224": "SHA224",
  "SHA2-256": "SHA256",
  "SHA2-384": "SHA384",
  "SHA2-512": "SHA512",
  "SHA512/224": "SHA512-224",
  "SHA512/256": "SHA512-256",
  "SHA-512/224": "SHA512-224",
  "SHA-512/256": "SHA512-256",
  "BLAKE2S-256": "BLAKE2S256",
  "BLAKE2B-512": "BLAKE2B512"
}

const isName = (name: string): name is MacAlgorithmName => Object.hasOwn(macAlgorithms, name)

/**
 * The algorithm a key file means, whatever the case of its letters. Unknown names that begin with M mean MD5, as in NTPsec
 * and in files from when the type was one letter. Undefined for any other unknown name.
 */
export const macAlgorithm = (word: string): MacAlgorithm | undefined => {
  const name = word.toUpperCase()
  const proper = Object.hasOwn(aliases, name) ? aliases[name] : name
  if (proper !== undefined && isName(proper)) return macAlgorithms[proper]
  return name.startsWith("M") ? macAlgorithms.MD5 : undefined
}
