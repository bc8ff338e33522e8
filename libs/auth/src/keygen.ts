/** The text of the file that ntpkeygen makes: ten AES-128 keys as printable text and ten as hexadecimal. */
import { hexadecimal } from "./key-file.ts"
import { KeyTable, SymmetricKey } from "./key-table.ts"
import { macAlgorithms } from "./mac-algorithms.ts"

const KEYS_OF_EACH_KIND = 10
const KEY_BYTES = 16

/** `#` would start a comment, so text keys use the characters after it; the last is the last printable one. */
const FIRST_CHARACTER = 0x24
const LAST_CHARACTER = 0x7e

export interface KeyFileOrder {
  /** The host's name, as gethostname(2) gives it. */
  readonly host: string
  /** Whole seconds that make the name unique. */
  readonly filestamp: number
  /** The date as asctime(3) writes it, for the second line. */
  readonly date: string
  readonly fillRandom: (bytes: Uint8Array) => void
}

export interface GeneratedKeyFile {
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
  const texts = Array.from({ length: KEYS_OF_EACH_KIND }, () => printableKey(order.fillRandom))
  const binaries = Array.from({ length: KEYS_OF_EACH_KIND }, () => binaryKey(order.fillRandom))
  const written = [...texts.map((key) => String.fromCharCode(...key)), ...binaries.map(hexadecimal)]
  const lines = written.map((key, index) => `${String(index + 1).padStart(2)} AES ${key}\n`)
  const keys = [...texts, ...binaries].map((key, index) => new SymmetricKey(index + 1, macAlgorithms["AES-128"], key))
  return {
    name,
    link: "ntp.keys",
    text: `# ${name}\n# ${order.date}\n${lines.join("")}`,
    table: KeyTable.of(keys)
  }
}

const binaryKey = (fillRandom: KeyFileOrder["fillRandom"]): Uint8Array => {
  const key = new Uint8Array(KEY_BYTES)
  fillRandom(key)
  return key
}

/** Characters drawn evenly: a byte past the largest multiple of their number is drawn again. */
const printableKey = (fillRandom: KeyFileOrder["fillRandom"]): Uint8Array => {
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
