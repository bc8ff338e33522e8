/** Key derivation and ciphers of encrypted key files, on node:crypto. */
import { createCipheriv, createDecipheriv, createHash, pbkdf2Sync, randomFillSync } from "node:crypto"
import type { PasswordCiphers } from "@meridian/auth/autokey/key-encryption"

export const nodePasswordCiphers: PasswordCiphers = {
  pbkdf2: (hash, password, salt, iterations, length) => pbkdf2Sync(password, salt, iterations, length, hash),
  md5: (...parts) => {
    const hash = createHash("md5")
    for (const part of parts) hash.update(part)
    return hash.digest()
  },
  decrypt: (cipher, key, iv, text) => {
    try {
      const decipher = createDecipheriv(cipher, key, iv)
      return new Uint8Array(Buffer.concat([decipher.update(text), decipher.final()]))
    } catch {
      return undefined
    }
  },
  encrypt: (cipher, key, iv, text) => {
    const encipher = createCipheriv(cipher, key, iv)
    return new Uint8Array(Buffer.concat([encipher.update(text), encipher.final()]))
  },
  fillRandom: (bytes) => void randomFillSync(bytes)
}
