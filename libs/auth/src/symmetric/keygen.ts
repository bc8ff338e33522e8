/**
 * The text of the file that ntpkeygen makes: ten AES-128 keys as printable text and ten as hexadecimal, for NTPsec, classic
 * tools and chrony as it is.
 *
 * No type word for AES-128 is known to both NTPsec (AES, AES-128, AES128CMAC) and chrony (AES128), and both skip a line of
 * a type they do not know, with a remark in their log. So every key stands there twice, for chrony first: of two lines
 * with one number NTPsec's ntpq and ntpdig take the last, whether they know its type or not. Hexadecimal cannot be told to
 * chrony in such a file: it wants it as HEX:…, a word that ends ntpq and ntpdig with an exception. So the bytes of those
 * keys, too, are printable characters, and chrony's line gives them as text. Each key is one of 91^16, more than 2^104.
 */
import { KeyTable, SymmetricKey } from "./key-table.ts"
import { macAlgorithms } from "./mac-algorithms.ts"

const KEYS_OF_EACH_KIND = 10
const KEY_BYTES = 16

/** `#` would start a comment, so text keys use the characters after it; the last is the last printable one. */
const FIRST_CHARACTER = 0x24
const LAST_CHARACTER = 0x7e

interface KeyFileOrder {
  /** The host's name, as gethostname(2) gives it. */
  readonly host: string
  /** When it is made, in whole NTP seconds (since 1900-01-01): the page of ntpkeygen(8) calls it so. */
  readonly filestamp: number
  /** The date as asctime(3) writes it, for the second line. */
  readonly date: string
  readonly fillRandom: (bytes: Uint8Array) => void
}

interface GeneratedKeyFile {
  /** `ntpkey_AES_<host>.<filestamp>` */
  readonly name: string
  /** The name that ntp.conf uses, to be made a soft link to the file. */
  readonly link: "ntp.keys"
  readonly text: string
  readonly table: KeyTable
}

/** Makes the file's name and text; the caller writes it with mode 0400. */
export const generateKeyFile = (order: KeyFileOrder): GeneratedKeyFile => {
  const name = `ntpkey_AES_${order.host}.${order.filestamp}`
  const secrets = Array.from({ length: 2 * KEYS_OF_EACH_KIND }, () => printableKey(order.fillRandom))
  const texts = secrets.map((key) => String.fromCharCode(...key))
  const written = texts.map((text, index) =>
    index < KEYS_OF_EACH_KIND ? text : (secrets[index] as Uint8Array).toHex()
  )
  const lines = (type: string, keys: readonly string[]): string =>
    keys.map((key, index) => `${String(index + 1).padStart(2)} ${type} ${key}\n`).join("")
  const keys = secrets.map((key, index) => new SymmetricKey(index + 1, macAlgorithms["AES-128"], key))
  return {
    name,
    link: "ntp.keys",
    text: [
      `# ${name}\n# ${order.date}\n`,
      `# The keys in chrony's spelling; it skips the lines with AES, others skip those with AES128.\n`,
      lines("AES128", texts),
      `# The same keys in the spelling of ntp.keys(5).\n`,
      lines("AES", written)
    ].join(""),
    table: KeyTable.of(keys)
  }
}

/**
 * Sixteen printable bytes without `#`, which every reader takes as text. Characters are drawn evenly: a byte past the largest
 * multiple of their number is drawn again.
 */
export const printableKey = (fillRandom: KeyFileOrder["fillRandom"]): Uint8Array => {
  const characters = LAST_CHARACTER - FIRST_CHARACTER + 1
  const limit = 256 - (256 % characters)
  const key = new Uint8Array(KEY_BYTES)
  const drawn = new Uint8Array(1)
  for (let index = 0; index < KEY_BYTES; index += 1) {
    do fillRandom(drawn)
    while ((drawn[0] as number) >= limit)
    key[index] = FIRST_CHARACTER + ((drawn[0] as number) % characters)
  }
  return key
}
