/**
 * Logging: one pino instance a process, reached through Effect's logger. JSON lines to a file or, without one, to
 * standard error; on a terminal each line is one readable sentence instead. Key material never reaches a log: callers
 * log identifiers, and the redaction below is a second belt.
 */
import { closeSync, openSync } from "@meridian/system/files"
import * as Cause from "effect/Cause"
import * as Layer from "effect/Layer"
import type { Logger } from "effect/Logger"
import * as Pipeable from "effect/Pipeable"
import * as References from "effect/References"
import { pino } from "pino"

const LEVELS = {
  All: "trace",
  Trace: "trace",
  Debug: "debug",
  Info: "info",
  Warn: "warn",
  Error: "error",
  Fatal: "fatal",
  None: "silent"
} as const

interface LogOptions {
  /** Which service speaks: "supervisor", "worker". */
  readonly service: string
  readonly level: "debug" | "info" | "warn" | "error"
  /** A file to append to; it is reopened by {@link Log.reopen}. Undefined means standard error. */
  readonly file: string | undefined
  /** Readable lines in place of JSON; ignored when there is a file. */
  readonly readable: boolean
  readonly colours: boolean
}

interface Log {
  readonly layer: Layer.Layer<never>
  /**
   * Opens the file anew, for logrotate's rename followed by SIGHUP; or another one, where there was a file before. Where that
   * cannot be, the old one is kept, and says so.
   */
  readonly reopen: (file?: string) => void
}

const COLOUR: Record<string, string> = {
  warn: "\u001b[33m",
  error: "\u001b[31m",
  fatal: "\u001b[31m",
  debug: "\u001b[2m"
}
const HIDDEN = new Set(["level", "time", "service", "msg"])

/** One JSON log line as a sentence: `12:00:01 warn  worker 0 exited  signal=SIGKILL`. */
const readableLine = (line: string, colours: boolean): string => {
  const entry = JSON.parse(line) as Record<string, unknown>
  const level = String(entry["level"])
  const rest = Object.entries(entry)
    .filter(([name]) => !HIDDEN.has(name))
    .map(([name, value]) => `  ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
  const text = `${String(entry["time"]).slice(11, 19)} ${level.padEnd(5)} ${String(entry["msg"])}${rest.join("")}`
  const colour = colours ? COLOUR[level] : undefined
  return colour === undefined ? `${text}\n` : `${colour}${text}\u001b[0m\n`
}

/** Makes the process's log. Opening the file throws when its folder is missing or may not be written. */
export const openLog = (options: LogOptions): Log => {
  const target = pino.destination({ dest: options.file ?? 2, sync: true, append: true, mkdir: false })
  const readable = options.readable && options.file === undefined
  const stream = readable ? { write: (line: string) => void target.write(readableLine(line, options.colours)) } : target
  const log = pino(
    {
      level: options.level,
      base: { service: options.service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: ["key", "secret", "*.key", "*.secret"], censor: "[redacted]" }
    },
    stream
  )
  const line: Logger<unknown, void>["log"] = ({ message, logLevel, cause, fiber }) => {
    const fields: Record<string, unknown> = { ...fiber.getRef(References.CurrentLogAnnotations) }
    const text: string[] = []
    for (const part of Array.isArray(message) ? message : [message])
      if (typeof part === "object" && part !== null) Object.assign(fields, part)
      else text.push(String(part))
    if (cause.reasons.length > 0) fields["cause"] = Cause.pretty(cause)
    log[LEVELS[logLevel]](fields, text.join(" "))
  }
  // As Logger.make has it. That module loads Effect's files and streams, a quarter of what the supervisor would have of Effect.
  const logger: Logger<unknown, void> = { ...Pipeable.Prototype, "~effect/Logger": "~effect/Logger", log: line }
  // A full disk costs lines of the log, and nothing else.
  target.on("error", () => {})
  const reopen = (file = options.file): void => {
    if (options.file === undefined || file === undefined) return
    try {
      closeSync(openSync(file, "a"))
    } catch (error) {
      const why =
        (error as NodeJS.ErrnoException).code === "ENOENT" ? "its folder is gone" : "this user may not write there"
      log.warn(`the log file ${file} cannot be opened again: ${why}; the lines go on into the file that was open`)
      return
    }
    target.reopen(file)
  }
  return { layer: Layer.succeed(References.CurrentLoggers, new Set([logger])), reopen }
}
