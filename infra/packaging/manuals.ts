/** Man pages and shell completions, from the tables that --help and the configuration's reader use. */
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { gzipSync } from "node:zlib"
import { type CommandLine, renderHelp } from "@meridian/config/flags"
import { renderReferenceText } from "@meridian/config/reference"

const services = new URL("../../services/", import.meta.url)
const { topics } = (await import(new URL("cli/src/help.ts", services).href)) as {
  readonly topics: Readonly<Record<string, CommandLine>>
}

const roff = (text: string): string =>
  text
    .replaceAll("\\", "\\e")
    .split("\n")
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line))
    .join("\n")

const page = (name: string, section: number, summary: string, parts: Readonly<Record<string, string>>): string =>
  [
    `.TH ${name.toUpperCase()} ${section} "" "Meridian" "Meridian"`,
    ".SH NAME",
    `${name} \\- ${summary}`,
    ...Object.entries(parts).map(([title, text]) => `.SH ${title}\n.nf\n${roff(text.trimEnd())}\n.fi`)
  ].join("\n") + "\n"

const words = (): readonly string[] => [...new Set(Object.keys(topics).map((topic) => topic.split(" ")[0] as string))]
const flagsOf = (topic: string): string =>
  ["help", ...Object.keys(topics[topic]?.flags ?? {})].map((flag) => `--${flag}`).join(" ")

const bash = (): string => `# bash completion for meridian
_meridian() {
  local command="\${COMP_WORDS[1]}" pair="\${COMP_WORDS[1]} \${COMP_WORDS[2]}" word="\${COMP_WORDS[COMP_CWORD]}" list=""
  if [ "$COMP_CWORD" = 1 ]; then list="${words().join(" ")}"
  else
    case "$pair" in
${Object.keys(topics)
  .filter((topic) => topic.includes(" "))
  .map((topic) => `      "${topic}") list="${flagsOf(topic)}" ;;`)
  .join("\n")}
    esac
    [ -n "$list" ] || case "$command" in
${words()
  .map((word) => {
    const verbs = Object.keys(topics).flatMap((topic) => (topic.startsWith(`${word} `) ? [topic.split(" ")[1]] : []))
    return `      ${word}) list="${[...verbs, topics[word] === undefined ? "" : flagsOf(word)].join(" ").trim()}" ;;`
  })
  .join("\n")}
    esac
  fi
  COMPREPLY=($(compgen -W "$list" -- "$word"))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$word"))
}
complete -o filenames -F _meridian meridian
`

const zsh = (): string => `#compdef meridian
autoload -U +X bashcompinit && bashcompinit
${bash()}`

const fish = (): string =>
  words()
    .flatMap((word) => [
      `complete -c meridian -n __fish_use_subcommand -a ${word} -d '${(topics[word]?.meaning ?? word).split(/[.:]/)[0]?.replaceAll("'", "")}'`,
      ...Object.entries(topics[word]?.flags ?? {}).map(
        ([flag, { meaning }]) =>
          `complete -c meridian -n '__fish_seen_subcommand_from ${word}' -l ${flag} -d '${meaning.split(/[.;]/)[0]?.replaceAll("'", "")}'`
      )
    ])
    .join("\n") + "\n"

/** Writes man pages and completions below a `share` folder. */
export const writeManuals = (share: string): void => {
  const put = (path: string, text: string | Uint8Array): void => {
    mkdirSync(dirname(join(share, path)), { recursive: true })
    writeFileSync(join(share, path), text)
  }
  const commands = Object.fromEntries(
    Object.entries(topics).map(([topic, line]) => [topic.toUpperCase(), renderHelp(line)])
  )
  const manuals = {
    "man/man8/meridian.8": page("meridian", 8, "NTP and NTS time service", commands),
    "man/man5/meridian.conf.5": page("meridian.conf", 5, "the configuration file, in the language of ntp.conf", {
      DIRECTIVES: renderReferenceText()!
    })
  }
  for (const [path, text] of Object.entries(manuals)) put(`${path}.gz`, gzipSync(text, { level: 9 }))
  put("bash-completion/completions/meridian", bash())
  put("zsh/vendor-completions/_meridian", zsh())
  put("fish/vendor_completions.d/meridian.fish", fish())
}
