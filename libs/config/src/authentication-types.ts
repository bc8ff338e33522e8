/** The types of values that lines about keys and NTS hold. */
import { accepted, refused, wholeNumber, type ValueType } from "./value-types.ts"

/** The id of a symmetric key in ntp.keys(5). */
export const keyId: ValueType<number> = wholeNumber("KEYID", 1, 65_535)

/** Ids from `first` to `last`, both included. */
export interface KeyRange {
  readonly first: number
  readonly last: number
}

/** One id, or a group `(LOW ... HIGH)`. */
export const keyRange: ValueType<KeyRange> = {
  syntax: "KEYID|(LOW ... HIGH)",
  expected: "a whole number from 1 to 65535 or a range such as (10 ... 20)",
  takesGroups: true,
  parse: (text) => {
    const [, low, high] = /^\(\s*(\d{1,5})\s*\.\.\.\s*(\d{1,5})\s*\)$/.exec(text) ?? [undefined, text, text]
    const first = keyId.parse(low ?? "")
    const last = keyId.parse(high ?? "")
    if (!first.ok || !last.ok) return refused
    return first.value <= last.value
      ? accepted({ first: first.value, last: last.value })
      : { ok: false, advice: `write the lower number first: (${last.value} ... ${first.value})` }
  },
  write: (value) => {
    const { first, last } = value as KeyRange
    return first === last ? String(first) : `(${first} ... ${last})`
  }
}

export type TlsVersion = "TLS1.2" | "TLS1.3"

/** NTPsec writes TLS1.3, OpenSSL TLSv1.3; RFC 8915 §3 knows nothing older than 1.3, and nothing older than 1.2 is safe. */
export const tlsVersion: ValueType<TlsVersion> = {
  syntax: "TLS1.2|TLS1.3",
  expected: "TLS1.3 or TLS1.2",
  words: ["TLS1.3", "TLS1.2"],
  parse: (text) => {
    const version = /^(?:TLSv?)?(1\.[23])$/i.exec(text)?.[1]
    return version === undefined ? refused : accepted(version === "1.3" ? "TLS1.3" : "TLS1.2")
  },
  write: String
}

/** Numbers of the IANA registry of AEAD algorithms, with the names that NTPsec and its guide give them. */
const AEAD_NAMES: ReadonlyMap<number, string> = new Map([
  [15, "AES_SIV_CMAC_256"],
  [16, "AES_SIV_CMAC_384"],
  [17, "AES_SIV_CMAC_512"],
  [30, "AES_128_GCM_SIV"]
])

/** The algorithms there are, in the order in which a client offers them. */
export const AEAD_IDS: readonly number[] = [15, 30, 16, 17]

/** An AEAD algorithm's registry number, from its name, with or without AEAD_ before it, or from the number itself. */
export const aeadId: ValueType<number> = {
  syntax: "NAME",
  expected: `${[...AEAD_NAMES.values()].slice(0, -1).join(", ")} or ${[...AEAD_NAMES.values()].at(-1)}`,
  words: [...AEAD_NAMES.values()],
  parse: (text) => {
    const name = text.toUpperCase().replace(/^AEAD_/, "")
    const id = [...AEAD_NAMES].find(([number, known]) => known === name || String(number) === text)?.[0]
    return id === undefined ? refused : accepted(id)
  },
  write: (value) => AEAD_NAMES.get(value as number) ?? String(value)
}
