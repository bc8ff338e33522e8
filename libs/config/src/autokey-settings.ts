/** What the lines about Autokey come to. */
import { cryptoDirective, keysdirDirective, type SessionDigest } from "./autokey-directives.ts"
import { type Diagnostic, warningAt } from "./diagnostic.ts"
import { fromDefault, fromFile, lastGiven, lastOf, type Folded, type Sourced } from "./sourced.ts"
import { statementsOf, type Statement } from "./statement.ts"

export interface AutokeySettings {
  /** Whether a `crypto` line stands anywhere: without one nobody speaks Autokey with this node. */
  readonly enabled: Sourced<boolean>
  readonly keysDirectory: Sourced<string>
  /** Undefined: this machine's name. */
  readonly host: Sourced<string | undefined>
  /** Whose identity keys are used; undefined: those under the host's name. */
  readonly ident: Sourced<string | undefined>
  /** Of the key files; undefined: the host's name. A secret: never shown. */
  readonly password: Sourced<string | undefined>
  readonly digest: Sourced<SessionDigest>
}

const DEFAULT_KEYS_DIRECTORY = "/usr/local/etc"

/** Files that ntpd finds by links in `keysdir`, whatever these options say, and a seed that the system does not need. */
const OPTIONS_WITHOUT_EFFECT = ["randfile", "cert", "sign", "leap", "iffpar", "gqpar", "mvpar"] as const

const REASONS: Readonly<Record<(typeof OPTIONS_WITHOUT_EFFECT)[number], string>> = {
  randfile: "random numbers are the system's",
  cert: "the link ntpkey_cert_HOST in keysdir names the certificate",
  sign: "the link ntpkey_sign_HOST in keysdir names the key",
  leap: "add the line: leapfile FILE",
  iffpar: "the link ntpkey_iffkey_GROUP in keysdir names the key",
  gqpar: "the link ntpkey_gqkey_GROUP in keysdir names the key",
  mvpar: "the link ntpkey_mvkey_GROUP in keysdir names the key"
}

export const autokeySettings = (statements: readonly Statement[]): Folded<AutokeySettings> => {
  const lines = statementsOf(statements, cryptoDirective)
  const given = <K extends keyof (typeof cryptoDirective)["options"]>(name: K) =>
    lastGiven(statements, cryptoDirective, name)
  const [first] = lines
  const diagnostics: Diagnostic[] = lines.flatMap(({ location, words }) =>
    OPTIONS_WITHOUT_EFFECT.filter((name) => words.has(name)).map((name) =>
      warningAt(words.get(name) ?? location, `'${name}' has no effect: ${REASONS[name]}`)
    )
  )
  if (first !== undefined)
    diagnostics.push(
      warningAt(
        first.location,
        "Autokey authenticates by 32-bit cookies and addresses, with MD5 unless told otherwise: whoever can listen can forge it within minutes, and it does not pass through NAT; use NTS where clients can ('nts enable')"
      )
    )
  const directory = statementsOf(statements, keysdirDirective).at(-1)
  if (first === undefined && directory !== undefined)
    diagnostics.push(warningAt(directory.location, "'keysdir' has no effect without a line 'crypto'"))
  return {
    value: {
      enabled: first === undefined ? fromDefault(false) : fromFile(true, first.location),
      keysDirectory: lastOf(statements, keysdirDirective, "directory") ?? fromDefault(DEFAULT_KEYS_DIRECTORY),
      host: given("host") ?? fromDefault(undefined),
      ident: given("ident") ?? fromDefault(undefined),
      password: given("pw") ?? fromDefault(undefined),
      digest: given("digest") ?? fromDefault("MD5")
    },
    diagnostics
  }
}
