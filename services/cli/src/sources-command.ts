/** `meridian sources [--state DIR] [--json]`: the sources of the clock. Exit codes: 0 answered, 1 no node, 2 wrong flag. */
import { defineFlags, switchFlag } from "@meridian/config/flags"
import type { SourceReport, TrackingReport } from "@meridian/ipc/discipline-report"
import { sourcePlace } from "@meridian/ipc/source-place"
import { stateDirectoryOf } from "./coordinator-client.ts"
import { askedNode, askNode, nodeFlags } from "./node-client.ts"
import { printJson, runCommand } from "./run-command.ts"
import { formatSourceDetail } from "./source-details.ts"
import { type Colour, inColumns, lineWidth, paint, wrapped } from "./text-table.ts"

export const sourcesCommand = defineFlags({
  command: "meridian sources",
  meaning: "Shows every source of the clock: whether it answers, how far off it is, and whether it was selected.",
  flags: { ...nodeFlags, verbose: switchFlag("Also shows the details of each source; short: -v.") }
})

/** Seconds for people, in the unit that fits, with a sign where asked. */
export const shortSeconds = (seconds: number, signed = false): string => {
  const size = Math.abs(seconds)
  const sign = seconds < 0 && size >= 5e-12 ? "-" : signed ? "+" : ""
  if (size >= 9_999.5) return `${sign}${Math.round(size / 86_400)}d`
  const [value, unit] =
    size >= 1 ? [size, "s"] : size >= 1e-3 ? [size * 1e3, "ms"] : size >= 1e-6 ? [size * 1e6, "us"] : [size * 1e9, "ns"]
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${sign}${value.toFixed(digits)}${unit}`
}

/** Whole seconds, minutes, hours or days since something. */
const age = (seconds: number | null): string => {
  if (seconds === null) return "-"
  if (seconds < 120) return `${Math.round(seconds)}`
  if (seconds < 7_200) return `${Math.round(seconds / 60)}m`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)}h` : `${Math.round(seconds / 86_400)}d`
}

const modes = { client: "^", active: "=", passive: "<", broadcast: "b", clock: "#" } as const
/** What stands before a source, by its verdict. */
export const marks: Readonly<Record<string, string>> = {
  "system-peer": "*",
  candidate: "+",
  backup: "#",
  falseticker: "x",
  jitter: "~",
  outlier: "-",
  excess: "-",
  noselect: "-"
}
const authentications = (source: SourceReport): string => {
  const { authentication } = source
  switch (authentication.kind) {
    case "none":
      return "-"
    case "symmetric":
      return `key ${authentication.key}`
    case "nts":
      return `nts ${authentication.cookies}${authentication.provisional === true ? ", dates unchecked" : ""}`
    case "autokey":
      return `autokey 0x${authentication.flags.toString(16)}`
  }
}

const colours: Readonly<Record<string, Colour>> = { "*": "good", "+": "good", "#": "good", x: "bad", "~": "bad" }

const LEGEND = [
  "M: ^ server, = peer, < peer that came by itself, b broadcast, # reference clock",
  "S: * followed, + combined, # backup, - not used, x false, ~ variable, ? unusable",
  "offset: its time less served time; +/-: the most it may be wrong by",
  "last: seconds since its last answer"
]

const figuresOf = (source: SourceReport): readonly string[] => [
  String(source.stratum),
  String(source.poll),
  source.reach,
  age(source.lastReply),
  source.offset === null ? "-" : shortSeconds(source.offset, true),
  source.rootDistance === null ? "-" : shortSeconds(source.rootDistance),
  source.jitter === null ? "-" : shortSeconds(source.jitter)
]

const markOf = ({ mode, verdict }: SourceReport): string => `${modes[mode]}${marks[verdict] ?? "?"}`

/** Of the columns with these numbers the text stands to the left. */
const textAt =
  (...left: readonly number[]) =>
  (column: number): boolean =>
    !left.includes(column)

/** A line a source. */
const wideTable = (sources: readonly SourceReport[]): readonly string[] =>
  inColumns(
    [
      ["MS", "source", "stratum", "poll", "reach", "last", "offset", "+/-", "jitter", "auth", "verdict"],
      ...sources.map((source) => [
        markOf(source),
        source.name === null || source.name === source.address
          ? sourcePlace(source)
          : `${sourcePlace(source)} (${source.name})`,
        ...figuresOf(source),
        authentications(source),
        `${source.verdict}: ${source.reason}`
      ])
    ],
    textAt(0, 1, 9, 10),
    false
  )

/** Where a line a source is too wide: its figures, and below them the words about it. */
const tallTable = (sources: readonly SourceReport[], width: number): readonly string[] => {
  const [head = "", ...figures] = inColumns(
    [
      ["MS", "source", "st", "poll", "reach", "last", "offset", "+/-", "jitter"],
      ...sources.map((source) => [markOf(source), sourcePlace(source), ...figuresOf(source)])
    ],
    textAt(0, 1),
    false
  )
  const words = sources.map((source) => {
    const name = source.name === null || source.name === source.address ? [] : [source.name]
    const how = authentications(source)
    const about = [...name, ...(how === "-" ? [] : [how]), `${source.verdict}: ${source.reason}`]
    return wrapped(`    ${about.join(", ")}`, "      ", width)
  })
  return [head, ...figures.map((line, index) => `${line}\n${words[index]}`)]
}

/**
 * The sources as a table with its legend.
 * @param unresolved names whose addresses are not known yet, each with why
 * @param width in columns, at most
 */
export const formatSources = (
  sources: readonly SourceReport[],
  coloured: boolean,
  unresolved: readonly string[] = [],
  width = lineWidth()
): string => {
  if (sources.length + unresolved.length === 0) return "no sources are configured\n"
  const wide = wideTable(sources)
  const [head = "", ...rows] = wide.every(({ length }) => length <= width) ? wide : tallTable(sources, width)
  const painted = rows.map((row, index) => paint(row, colours[markOf(sources[index]!)[1] ?? ""] ?? "plain", coloured))
  const awaited = unresolved.map((name) => wrapped(`   waiting for the address of ${name}`, undefined, width))
  // Nothing stands there that a legend would explain.
  if (sources.length === 0) return `no source is asked yet:\n${awaited.join("\n")}\n`
  const legend = LEGEND.map((line) => wrapped(line, undefined, width))
  return `${[...legend, head, ...painted, ...awaited].join("\n")}\n`
}

export const runSources = (args: readonly string[]): Promise<number> => {
  const words = args.map((arg) => (arg === "-v" ? "--verbose" : arg))
  return runCommand(sourcesCommand, words, async ({ values: { state, json, verbose } }) => {
    const directory = stateDirectoryOf(state)
    const sources = await askNode<readonly SourceReport[]>(directory, "/sources")
    if (json) return printJson(sources)
    const tracking = await askedNode<TrackingReport>(directory, "/tracking")
    const table = formatSources(sources, process.stdout.isTTY === true, tracking?.unresolved)
    const details = verbose ? sources.map((source) => `\n${formatSourceDetail(source, shortSeconds)}\n`).join("") : ""
    process.stdout.write(`${table}${details}`)
  })
}
