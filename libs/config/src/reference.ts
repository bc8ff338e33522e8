/** The reference of the configuration language, made from the table of directives, as text for a terminal. */
import { syntaxOf, type Directive } from "./directive.ts"
import { DIRECTIVES } from "./directives.ts"
import { wrap } from "./flags.ts"
import { KNOWN_WORDS } from "./known-words.ts"

const PAGE_WIDTH = 100

/** What a reader is told about a directive, behind its syntax and meaning. */
const factsOf = (directive: Directive): readonly (readonly [string, string])[] => [
  ...(directive.aliases.length === 0 ? [] : [["Also written", directive.aliases.join(", ")] as const]),
  ["Default", directive.default],
  ...(directive.flags.length === 0 ? [] : [["Flag", directive.flags.map((flag) => `--${flag}`).join(", ")] as const]),
  ["Several lines", directive.repeatable ? "each adds to the others" : "the last one counts"],
  [
    "Takes effect",
    {
      live: "at a reload (SIGHUP)",
      clock: "at a reload (SIGHUP), with a new process for the clock, which asks every source anew",
      contents: "at the next start; what its files hold, at a reload (SIGHUP)",
      restart: "at the next start"
    }[directive.reload]
  ],
  ...(directive.actedOn === false
    ? [
        [
          "Effect",
          `none${directive.pointless === undefined ? " yet" : ""}; a line is checked and gets a warning`
        ] as const
      ]
    : []),
  ["Documented in", directive.documented]
]

const unactedNote =
  "Known from NTPsec, the classic ntpd or chronyd and accepted with a warning that says why they have no effect, and what has."

/** The reference as plain text of at most 100 columns, long operand lists aside. */
export const renderReferenceText = (): string => {
  const sections = DIRECTIVES.flatMap((directive) => [
    ...wrap(syntaxOf(directive), PAGE_WIDTH - 4).map((line, index) => (index === 0 ? line : `    ${line}`)),
    ...wrap(directive.meaning, PAGE_WIDTH - 4).map((line) => `    ${line}`),
    ...factsOf(directive).flatMap(([name, value]) =>
      wrap(`${name}: ${value}`, PAGE_WIDTH - 6).map((line, index) => (index === 0 ? `    ${line}` : `      ${line}`))
    ),
    ""
  ])
  const words = wrap(KNOWN_WORDS.map(({ name }) => name).join(" "), PAGE_WIDTH - 4).map((line) => `    ${line}`)
  return [...sections, ...wrap(unactedNote, PAGE_WIDTH), ...words, ""].join("\n")
}
