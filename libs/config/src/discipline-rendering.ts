/** The settings of the clock discipline as lines that give the same settings when they are read. */
import type { DisciplineSettings, FileGeneration } from "./discipline-settings.ts"
import type { SettingLine } from "./setting-line.ts"
import type { Sourced } from "./sourced.ts"

/** One line a setting, defaults included: each option of `tos` and `tinker` is a setting of its own. */
export const describeDiscipline = (
  settings: DisciplineSettings,
  quoteWord: (word: string) => string
): readonly SettingLine[] => {
  const { mode, selection, loop, driftFile, leapFile, leapFileChecked, leapSmearSeconds, flags } = settings
  const { fallbackDrift, maxUpdateSkew } = settings
  const withHash = (file: string): string => `${quoteWord(file)}${leapFileChecked.value ? "" : " ignorehash"}`
  return [
    line("discipline", mode, String),
    line("silentstart", settings.silentStart, String),
    ...(driftFile.value === undefined ? [] : [line("driftfile", driftFile, (file) => quoteWord(file!))]),
    ...(fallbackDrift.value === undefined
      ? []
      : [line("fallbackdrift", fallbackDrift, (it) => `${it!.min} ${it!.max}`)]),
    ...(maxUpdateSkew.value === undefined ? [] : [line("maxupdateskew", maxUpdateSkew, String)]),
    ...(leapFile.value === undefined ? [] : [line("leapfile", leapFile, (file) => withHash(file!))]),
    line("leapsmearinterval", leapSmearSeconds, String),
    ...options("tos", selection),
    ...options("tinker", loop),
    ...(settings.statisticsDirectory.value === undefined
      ? []
      : [line("statsdir", settings.statisticsDirectory, (directory) => quoteWord(directory!))]),
    ...[...settings.statistics].map(([name, generation]) =>
      line("filegen", generation, (value) => `${name} ${writeGeneration(value, quoteWord)}`)
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
    setting.value === undefined ? [] : [line(directive, setting, (value) => `${name} ${value}`)]
  )

const writeGeneration = ({ file, type, link, enabled }: FileGeneration, quoteWord: (word: string) => string): string =>
  `file ${quoteWord(file)} type ${type} ${link ? "link" : "nolink"} ${enabled ? "enable" : "disable"}`

const line = <T>(directive: string, { value, origin }: Sourced<T>, write: (value: T) => string): SettingLine => ({
  directive,
  value: write(value),
  origin
})
