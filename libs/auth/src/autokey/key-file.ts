/**
 * Key files as ntp-keygen writes them: a remark with the file's name, a remark with the date, an empty line, PEM blocks. The
 * name in the first line, not that of the file, says whose key it is and since when: the digits after its last dot are
 * the filestamp, NTP seconds. Links and renamed files work for that reason.
 */

/** The longest file read; MV's authority files with 30 clients are about 20,000 bytes. */
export const LONGEST_KEY_FILE_BYTES = 262_144

export interface PemBlock {
  /** `RSA PRIVATE KEY` of `-----BEGIN RSA PRIVATE KEY-----` */
  readonly label: string
  /** Headers of RFC 1421, by their names: `DEK-Info` of encrypted traditional keys. */
  readonly headers: Readonly<Record<string, string>>
  readonly der: Uint8Array
}

export interface AutokeyFile {
  /** As the first line says: `ntpkey_IFFkey_wonder.4004169774`. */
  readonly name: string
  /** NTP seconds */
  readonly filestamp: number
  /** At least one. */
  readonly blocks: readonly PemBlock[]
}

/** Why a text is no key file; the words finish "expected …". */
type KeyFileFault =
  | "a first line `# NAME.FILESTAMP`"
  | "a PEM block after the remarks"
  | "whole base64 in its PEM block"

/** Reads the text of a key file. Never throws. */
export const readAutokeyFile = (text: string): AutokeyFile | KeyFileFault => {
  const first = /^#?[ \t]*(\S*\.(\d{1,10}))[ \t]*\r?(?:\n|$)/.exec(text)
  const name = first?.[1]
  const filestamp = Number(first?.[2])
  if (name === undefined || !(filestamp < 2 ** 32)) return "a first line `# NAME.FILESTAMP`"
  const blocks = readPem(text)
  if (blocks === undefined) return "whole base64 in its PEM block"
  return blocks.length === 0 ? "a PEM block after the remarks" : { name, filestamp, blocks }
}

/** All PEM blocks of a text; undefined when one of them is no base64. */
const readPem = (text: string): readonly PemBlock[] | undefined => {
  const blocks: PemBlock[] = []
  for (const [, label, body] of text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----\r?\n([\s\S]*?)-----END \1-----/g)) {
    const headers: Record<string, string> = {}
    const base64: string[] = []
    for (const line of (body ?? "").split(/\r?\n/)) {
      const header = /^([A-Za-z-]+):\s*(.*)$/.exec(line)
      if (header === null) base64.push(line.trim())
      else headers[header[1]!] = header[2]!
    }
    const der = fromBase64(base64.join(""))
    if (der === undefined) return undefined
    blocks.push({ label: label!, headers, der })
  }
  return blocks
}

const fromBase64 = (text: string): Uint8Array | undefined => {
  try {
    return Uint8Array.fromBase64(text)
  } catch {
    return undefined
  }
}

const PEM_LINE = 64

const formatPem = ({ label, headers, der }: PemBlock): string => {
  const lines = der.toBase64().match(new RegExp(`.{1,${PEM_LINE}}`, "g")) ?? []
  const named = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  const head = named.length === 0 ? [] : [...named, ""]
  return [`-----BEGIN ${label}-----`, ...head, ...lines, `-----END ${label}-----`, ""].join("\n")
}

/** The text of a key file. @param date as asctime(3) writes it */
export const formatAutokeyFile = (name: string, date: string, blocks: readonly PemBlock[]): string =>
  `# ${name}\n# ${date}\n\n${blocks.map(formatPem).join("")}`
