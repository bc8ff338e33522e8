/** The settings of the clock discipline as lines that give the same settings when they are read. */
import type { DisciplineSettings, FileGeneration } from "./discipline-settings.ts"
import { line, lineWhereSet, quoteWord, type SettingLine } from "./setting-line.ts"
import type { Sourced } from "./sourced.ts"

/** One line a setting, defaults included: each option of `tos` and `tinker` is a setting of its own. */
export const describeDiscipline = (settings: DisciplineSettings): readonly SettingLine[] => {
  const { mode, selection, loop, driftFile, leapFile, leapFileChecked, leapSmearSeconds, flags } = settings
  const { fallbackDrift, maxUpdateSkew } = settings
  const withHash = (file: string): string => `${quoteWord(file)}${leapFileChecked.value ? "" : " ignorehash"}`
  return [
    line("discipline", mode, String),
    line("silentstart", settings.silentStart, String),
    ...lineWhereSet("driftfile", driftFile, quoteWord),
    ...lineWhereSet("fallbackdrift", fallbackDrift, ({ min, max }) => `${min} ${max}`),
    ...lineWhereSet("maxupdateskew", maxUpdateSkew, String),
    ...lineWhereSet("leapfile", leapFile, withHash),
    line("leapsmearinterval", leapSmearSeconds, String),
    ...options("tos", selection),
    ...options("tinker", loop),
    ...lineWhereSet("statsdir", settings.statisticsDirectory, quoteWord),
    ...[...settings.statistics].map(([name, generation]) =>
      line("filegen", generation, (value) => `${name} ${writeGeneration(value)}`)
    ),
    ...Object.entries(flags)
      .filter(([flag, { origin }]) => WITH_EFFECT.has(flag) || origin.kind !== "default")
      .map(([flag, { value, origin }]) => ({ directive: value ? "enable" : "disable", value: flag, origin }))
  ]
}

/** Flags that are worth a line where no line switches them. */
const WITH_EFFECT: ReadonlySet<string> = new Set(["ntp", "stats"])

const options = (directive: string, values: object): readonly SettingLine[] =>
  Object.entries(values as Readonly<Record<string, Sourced<number | undefined>>>).flatMap(([name, setting]) =>
    lineWhereSet(directive, setting, (value) => `${name} ${value}`)
  )

const writeGeneration = ({ file, type, link, enabled }: FileGeneration): string =>
  `file ${quoteWord(file)} type ${type} ${link ? "link" : "nolink"} ${enabled ? "enable" : "disable"}`
