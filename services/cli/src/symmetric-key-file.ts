/** The file of `ntp-keygen -M`: ten MD5 keys as text and ten SHA-1 keys as hexadecimal, for ntp.keys(5). */

const KEYS_OF_EACH_KIND = 10
const TEXT_CHARACTERS = 20
const SHA1_BYTES = 20
/** Printable, without blanks and without `#`, which starts a remark. */
const CHARACTERS = Array.from({ length: 94 }, (_, index) => String.fromCharCode(0x21 + index)).filter(
  (character) => character !== "#"
)

/** @param name the file's own @param date as asctime(3) writes it */
export const classicSymmetricKeys = (name: string, date: string, fillRandom: (bytes: Uint8Array) => void): string => {
  const texts = Array.from({ length: KEYS_OF_EACH_KIND }, (_, index) => line(index + 1, "MD5", text(fillRandom)))
  const hexadecimals = Array.from({ length: KEYS_OF_EACH_KIND }, (_, index) =>
    line(index + 1 + KEYS_OF_EACH_KIND, "SHA1", hexadecimal(fillRandom))
  )
  return `# ${name}\n# ${date}\n\n${texts.join("")}${hexadecimals.join("")}`
}

const line = (id: number, type: string, key: string): string =>
  `${String(id).padStart(2)} ${type} ${key}  # ${type} key\n`

/** Characters drawn evenly: a byte past the largest multiple of their number is drawn again. */
const text = (fillRandom: (bytes: Uint8Array) => void): string => {
  const limit = 256 - (256 % CHARACTERS.length)
  const drawn = new Uint8Array(1)
  let key = ""
  while (key.length < TEXT_CHARACTERS) {
    fillRandom(drawn)
    if (drawn[0]! < limit) key += CHARACTERS[drawn[0]! % CHARACTERS.length]
  }
  return key
}

const hexadecimal = (fillRandom: (bytes: Uint8Array) => void): string => {
  const bytes = new Uint8Array(SHA1_BYTES)
  fillRandom(bytes)
  return bytes.toHex()
}
