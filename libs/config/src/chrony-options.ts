/** chrony's options of server, pool and peer lines: in the *.sources files that DHCP hooks write, and in whole files to convert. */
import { parseAddress } from "./address.ts"
import { type Diagnostic, warningAt } from "./diagnostic.ts"
import type { Token, TokenLine } from "./lexer.ts"

/** Options without a value that have no effect here, and why. */
export const LOST_FLAGS: Readonly<Record<string, string>> = {
  offline: "a source is asked from the start, and again each time that its address can be had",
  auto_offline: "a source is asked from the start, and again each time that its address can be had",
  require: "no source is needed for the others to count; tos minsane says how many must agree",
  copy: "stratum and reference are those of the source that is followed, as RFC 5905 has it"
}

/** The same with a value. */
export const LOST_VALUES: Readonly<Record<string, string>> = {
  port: "NTS says which port to ask",
  ntsport: "there is no nts on this line",
  certset: "nts ca names the authorities for every source, ca on the line those of one",
  polltarget: "the poll interval follows from how stable clock and source are",
  minstratum: "a source counts as what it says it is; tos floor leaves out those below a stratum",
  minsamples: "the estimator weighs samples by their age and noise",
  maxsamples: "the estimator weighs samples by their age and noise",
  maxdelayquant: "late samples count little by themselves; maxdelayratio leaves them out",
  maxsources: "of a pool as many are asked as tos maxclock allows, 10 where nothing is said",
  maxunreach: "an unreachable source of a pool is replaced by itself",
  extfield: "no experimental extension field is sent"
}

/** A host with a port of its own, as ntp.conf here has it. */
export const withPort = (host: string, port: string): string =>
  parseAddress(host)?.family === 6 ? `[${host}]:${port}` : `${host}:${port}`

const FAMILIES: Readonly<Record<string, string>> = { ipv4: "-4", ipv6: "-6" }

const [NEWLINE, SPACE, TAB, NUMBER_SIGN] = [0x0a, 0x20, 0x09, 0x23]
/** `!`, `;` and `%` at the start of a line. */
const COMMENTS = new Set([0x21, 0x3b, 0x25])

/** A text with `#` where chrony's other signs begin a comment. */
export const withoutOtherComments = (text: Uint8Array): Uint8Array => {
  const changed = text.slice()
  let isStart = true
  for (const [at, byte] of text.entries()) {
    if (isStart && COMMENTS.has(byte)) changed[at] = NUMBER_SIGN
    isStart = byte === NEWLINE || (isStart && (byte === SPACE || byte === TAB))
  }
  return changed
}

/** A line of a *.sources file with chrony's options put as ntp.conf has them, each at its place; a warning on each that has no effect. */
export const sourceLineOfChrony = (
  line: TokenLine
): { readonly line: TokenLine; readonly diagnostics: readonly Diagnostic[] } => {
  const [keyword, host, ...options] = line.tokens
  if (keyword === undefined || host === undefined) return { line, diagnostics: [] }
  const diagnostics: Diagnostic[] = []
  const lose = (option: Token, why: string): void =>
    void diagnostics.push(warningAt(option, `'${option.text}' has no effect: ${why}`))
  const portOption = options.some(({ text }) => text === "nts") ? "ntsport" : "port"
  let family: Token | undefined
  let target = host
  const kept: Token[] = []
  for (let at = 0; at < options.length; at += 1) {
    const option = options[at]!
    const value = options[at + 1]
    const { text } = option
    if (Object.hasOwn(LOST_FLAGS, text)) lose(option, LOST_FLAGS[text]!)
    else if (Object.hasOwn(FAMILIES, text)) family = { ...option, text: FAMILIES[text]! }
    else if (text === "trust") kept.push({ ...option, text: "true" })
    else if (value !== undefined && text === portOption) {
      target = { ...host, text: withPort(host.text, value.text) }
      at += 1
    } else if (value !== undefined && Object.hasOwn(LOST_VALUES, text)) {
      lose(option, LOST_VALUES[text]!)
      at += 1
    } else kept.push(option)
  }
  const tokens = [keyword, ...(family === undefined ? [] : [family]), target, ...kept]
  return { line: { ...line, tokens }, diagnostics }
}
