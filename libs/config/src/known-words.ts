/**
 * Words of ntp.conf that NTPsec's or the classic ntpd know and Meridian does not act on yet. A line that begins with one
 * is accepted, so that a packaged file can be used as it is, but never silently: it gets a warning. A word leaves this
 * list when it gets its row in the table of directives.
 */

export interface KnownWord {
  readonly name: string
  /** Whose word it is. */
  readonly documented: "NTPsec" | "ntp" | "NTPsec and ntp"
  /** What the reader must know while the word has no effect, where silence could be dangerous. */
  readonly caution?: string
}

const words = (documented: KnownWord["documented"], names: string): KnownWord[] =>
  names
    .trim()
    .split(/\s+/)
    .map((name) => ({ name, documented }))

const cautions: ReadonlyMap<string, string> = new Map([["rlimit", "the system's own limits stand"]])

export const KNOWN_WORDS: readonly KnownWord[] = [
  ...words(
    "NTPsec and ntp",
    `broadcastdelay calldelay end logconfig mdnstries phone pidfile reset rlimit
     saveconfigdir setvar tick unconfig`
  ),
  ...words("NTPsec", "dscp"),
  ...words(
    "ntp",
    `authenticate automax broadcast broadcastclient device ident manycastclient manycastserver
     multicastclient pollskewlist qos revoke serverresponse simulate trap ttl`
  )
]
  .map((word) => ({ ...word, ...withCaution(word.name) }))
  .toSorted((a, b) => (a.name < b.name ? -1 : 1))

function withCaution(name: string): { caution?: string } {
  const caution = cautions.get(name)
  return caution === undefined ? {} : { caution }
}

const byName: ReadonlyMap<string, KnownWord> = new Map(KNOWN_WORDS.map((word) => [word.name, word]))

export const findKnownWord = (name: string): KnownWord | undefined => byName.get(name)
