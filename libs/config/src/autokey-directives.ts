/** The rows of Autokey (RFC 5906), as classic ntpd's page ntp.conf(5) has them. */
import { type Directive, one, row } from "./directive.ts"
import { accepted, path, refused, text, type ValueType } from "./value-types.ts"

/** Digests of session keys and of the MACs they make. */
export type SessionDigest = "MD5" | "SHA1" | "RIPEMD160" | "SHA256" | "SHA384" | "SHA512"
const DIGESTS: readonly SessionDigest[] = ["MD5", "SHA1", "RIPEMD160", "SHA256", "SHA384", "SHA512"]

/** As OpenSSL names it, whatever the case; SHA alone means SHA1. */
const sessionDigest: ValueType<SessionDigest> = {
  syntax: "DIGEST",
  expected: `${DIGESTS.slice(0, -1).join(", ")} or ${DIGESTS.at(-1)}`,
  words: DIGESTS,
  parse: (word) => {
    const name = word.toUpperCase()
    const digest = DIGESTS.find((known) => known === (name === "SHA" ? "SHA1" : name))
    return digest === undefined ? refused : accepted(digest)
  },
  write: String
}

/** A host's or a group's name: it becomes part of file names. */
export const keyOwner = (syntax: string, what: string): ValueType<string> => ({
  syntax,
  expected: `${what} of letters, digits, '.', '-', '_'`,
  parse: (word) => (/^[A-Za-z0-9._-]{1,200}$/.test(word) && !/^\.*$/.test(word) ? accepted(word) : refused),
  write: String
})

const file = path("FILE")

export const cryptoDirective = row({
  name: "crypto",
  operands: {},
  options: {
    host: keyOwner("NAME", "a host's name"),
    ident: keyOwner("GROUP", "a group's name"),
    pw: text("PASSWORD", "the password of the key files"),
    digest: sessionDigest,
    randfile: file,
    cert: file,
    sign: file,
    leap: file,
    iffpar: file,
    gqpar: file,
    mvpar: file
  },
  repeatable: true,
  default: "no Autokey",
  meaning:
    "Switches Autokey (RFC 5906) on, for clients that know nothing else; NTS has replaced it. Keys and certificate of `host` (default: this machine's name) are read from `keysdir`. `pw` is their password (default: the host's name). `ident` names the group whose identity keys are used.",
  documented: "ntp.conf(5) of ntp",
  reload: "contents",
  actedOn: "partly"
})

export const keysdirDirective = row({
  name: "keysdir",
  operands: { directory: one(path("DIR")) },
  default: "/usr/local/etc, as in ntpd",
  meaning: "Directory of the key files that ntp-keygen makes.",
  documented: "ntp.conf(5) of ntp",
  reload: "contents"
})

export const AUTOKEY_DIRECTIVES: readonly Directive[] = [cryptoDirective, keysdirDirective]
