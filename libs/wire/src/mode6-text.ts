/**
 * The text in control messages: `name=value` items joined by commas, both ways. Answers break their lines before column 72 and
 * end with CR LF, as ntpd's do; ASCII alone, since ntpq drops the rest.
 */

/** One item; a value of undefined is a name alone. */
export interface ControlItem {
  readonly name: string
  readonly value: string | undefined
}

/** Most items that a request may name: all that exist, twice over. */
const MOST_ITEMS = 512
const LONGEST_LINE = 72

const plain = (text: string): string => text.replace(/[^\u0020-\u007e]/g, "?")

/** A string value, in quotes; what would end it early is left out. */
export const quoted = (text: string): string => `"${plain(text).replace(/["\\]/g, "")}"`

/** The text of an answer. Empty without items. */
export const controlText = (items: readonly ControlItem[]): string => {
  let text = ""
  let column = 0
  for (const { name, value } of items) {
    const item = plain(value === undefined ? name : `${name}=${value}`)
    if (text !== "") {
      const breaks = column + item.length + 2 >= LONGEST_LINE
      text += breaks ? ",\r\n" : ", "
      column = breaks ? 0 : column + 2
    }
    text += item
    column += item.length
  }
  return text === "" ? "" : `${text}\r\n`
}

/**
 * Reads the data of a request: names, perhaps with values, which may be in quotes. Undefined where it is not such a list.
 * Never throws.
 */
export const parseControlItems = (data: Uint8Array): readonly ControlItem[] | undefined => {
  let text = ""
  for (const byte of data) {
    // What pads a request may be counted as data.
    if (byte === 0) break
    if (byte > 0x7e) return undefined
    text += String.fromCharCode(byte)
  }
  const items: ControlItem[] = []
  const item = /[\s,]*(?:([^\s,="]+)\s*(?:=\s*("[^"]*"|[^,"]*))?)?/y
  while (item.lastIndex < text.length) {
    const from = item.lastIndex
    const found = item.exec(text)
    if (found === null || item.lastIndex === from) return undefined
    const [, name, value] = found
    if (name !== undefined) items.push({ name, value: value?.replace(/^"|"$/g, "").trim() })
    if (items.length > MOST_ITEMS) return undefined
  }
  return items
}

/** ASCII octets of a text. */
export const asciiBytes = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(text, (character) => character.charCodeAt(0) & 0x7f)
