/** The reference of the configuration language, made from the table of directives, as text for a terminal. */
import { syntaxOf, type Directive } from "./directive.ts"
import { DIRECTIVES } from "./directives.ts"
import { wrap } from "./flags.ts"
import { KNOWN_WORDS } from "./known-words.ts"
import { nearestWord } from "./nearest.ts"

/** A terminal's usual width. */
const PAGE_WIDTH = 80

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
      clock: "at a reload (SIGHUP), with a new clock process, which asks every source again",
      contents: "at the next start; the contents of its files at a reload (SIGHUP)",
      restart: "at the next start"
    }[directive.reload]
  ],
  ...(directive.actedOn === false
    ? [
        [
          "Effect",
          `none${directive.pointless === undefined ? " yet" : ""}; the line is checked and gets a warning`
        ] as const
      ]
    : []),
  ["Documented in", directive.documented]
]

const unactedNote =
  "These are known from NTPsec, the classic ntpd or chronyd. They are accepted, with a warning that says why they have no effect and what to use instead."

/** Whether a row is what somebody calls so; two words for a directive and its first option, such as `nts cert`. */
const isCalled = ({ name, aliases }: Directive, word: string): boolean =>
  [name, ...aliases].some((own) => own === word || word.startsWith(`${own} `))

/** The word that is nearest to one that names no directive. */
export const nearestDirective = (word: string): string | undefined =>
  nearestWord(
    word,
    DIRECTIVES.map(({ name }) => name)
  )

/** The directives of which a word is an option, such as `iburst` of server, pool and peer. */
export const directivesWithOption = (word: string): readonly string[] =>
  DIRECTIVES.filter(({ options }) => Object.hasOwn(options, word)).map(({ name }) => name)

/**
 * The reference as plain text of at most 80 columns, long operand lists aside.
 * @param word of one directive alone: its name; undefined comes back where none is called so
 */
export const renderReferenceText = (word?: string): string | undefined => {
  const shown = DIRECTIVES.filter((directive) => word === undefined || isCalled(directive, word))
  if (shown.length === 0) return undefined
  const sections = shown.flatMap((directive) => [
    ...wrap(syntaxOf(directive), PAGE_WIDTH - 4).map((line, index) => (index === 0 ? line : `    ${line}`)),
    ...wrap(directive.meaning, PAGE_WIDTH - 4).map((line) => `    ${line}`),
    ...factsOf(directive).flatMap(([name, value]) =>
      wrap(`${name}: ${value}`, PAGE_WIDTH - 6).map((line, index) => (index === 0 ? `    ${line}` : `      ${line}`))
    ),
    ""
  ])
  if (word !== undefined) return sections.join("\n")
  const words = wrap(KNOWN_WORDS.map(({ name }) => name).join(" "), PAGE_WIDTH - 4).map((line) => `    ${line}`)
  return [...sections, ...wrap(unactedNote, PAGE_WIDTH), ...words, ""].join("\n")
}
