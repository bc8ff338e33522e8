/** Settings as text: what `config check` shows, and an ntp.conf that gives the same settings when it is read. */
import type { Origin, Settings, Sourced } from "./settings.ts"

/** One effective setting. */
export interface SettingLine {
  /** The directive's name; the same name comes several times where there are several values. */
  readonly directive: string
  /** The operands as they stand in a file; undefined where nothing is set and the caller chooses. */
  readonly value: string | undefined
  readonly origin: Origin
}

/** The settings as directives, in the order of the reference. */
export const describeSettings = (settings: Settings): readonly SettingLine[] => [
  line("port", settings.port, String),
  ...settings.listen.map((address) => line("listen", address, ({ text }) => text)),
  line("workers", settings.workers, String),
  line("user", settings.user, quoteWord),
  line("statedir", settings.stateDirectory, quoteWord),
  line("logfile", settings.logfile, quoteWord),
  line("server", settings.localReference, () => "127.127.1.0"),
  line("fudge", settings.localReference, ({ stratum }) => `127.127.1.0 stratum ${stratum}`)
]

const line = <T>(
  directive: string,
  { value, origin }: Sourced<T>,
  write: (value: NonNullable<T>) => string
): SettingLine => ({
  directive,
  value: value === undefined || value === null ? undefined : write(value),
  origin
})

/** `default`, `--port` or `ntp.conf:3:1`. */
export const describeOrigin = (origin: Origin): string => {
  switch (origin.kind) {
    case "default":
      return "default"
    case "flag":
      return `--${origin.flag}`
    case "file":
      return `${origin.file}:${origin.line}:${origin.column}`
  }
}

/** An ntp.conf with one line a setting and its origin as a comment. Parsing it gives the same values. */
export const renderSettings = (settings: Settings): string => {
  const rows = describeSettings(settings).map(({ directive, value, origin }) => ({
    text: value === undefined ? `# ${directive} is not set` : `${directive} ${value}`,
    origin: describeOrigin(origin)
  }))
  const width = Math.min(48, Math.max(...rows.map(({ text }) => text.length)))
  return rows.map(({ text, origin }) => `${text.padEnd(width)}  # ${withoutControls(origin)}\n`).join("")
}

const withoutControls = (text: string): string => text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "\uFFFD")

/** A word as it must stand in a file: in quotes where a blank, a comment sign or a parenthesis would end or change it. */
export const quoteWord = (word: string): string => (/^[A-Za-z0-9_./:@%+~=,*$-]+$/.test(word) ? word : `"${word}"`)
