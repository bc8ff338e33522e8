/** `meridian log [--from N] [--subject S] [--follow] [--json]`: the events of the log, in its order. */
import { logCommand } from "@meridian/config/cluster-command-lines"
import { askForLines, stateDirectoryOf } from "./coordinator-client.ts"
import { runCommand } from "./run-command.ts"
import { type Colour, paint, printable, shortTime, wrapped } from "./text-table.ts"

export const runLog = (args: readonly string[]): Promise<number> =>
  runCommand(logCommand, args, async ({ values: { from, subject, follow, state, json } }) => {
    const query = new URLSearchParams({ from: String(from ?? 1) })
    if (subject !== undefined) query.set("subject", subject)
    if (follow) {
      query.set("follow", "1")
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(0))
    }
    for await (const line of askForLines(stateDirectoryOf(state), `/log?${query.toString()}`)) {
      const text = json ? JSON.stringify(line) : describeLine(line as LogLine, process.stdout.isTTY === true)
      if (!process.stdout.write(`${text}\n`)) await new Promise((drained) => process.stdout.once("drain", drained))
    }
  })

interface LogLine {
  readonly seq?: number
  readonly event?: {
    readonly type: string
    readonly time: string
    readonly node: string
    readonly author?: string
    readonly subject: string
    readonly version: number
    readonly data: Readonly<Record<string, unknown>>
  }
  readonly quarantined?: {
    readonly seq: number
    readonly subject: string
    readonly reason: string
    readonly detail: string
  }
  readonly unread?: { readonly reason: string }
  readonly dropped?: { readonly subject: string; readonly events: number; readonly firstSeq: number }
}

const INDENT = " ".repeat(9)
const SEQ_WIDTH = 7
const SUBJECT_WIDTH = 18
const TYPE_WIDTH = 27

/**
 * A line of the log for people. One of a kind that this release does not know is shown as it is.
 * @param narrow breaks what is wider than a window; otherwise an event is a line, for grep
 */
export const describeLine = (line: LogLine, narrow = false): string => {
  const { seq, event, quarantined, unread, dropped } = line
  if (event !== undefined) {
    const { type, time, node, author, subject, version, data } = event
    const place = `${subject} ${version}`.padEnd(SUBJECT_WIDTH)
    const head = `${String(seq).padStart(SEQ_WIDTH)}  ${shortTime(time)}  ${place}`
    const name = paint(printable(narrow ? type : type.padEnd(TYPE_WIDTH)), colourOf(type))
    const what = describeData(data)
    const said = printable(`${node}${author === undefined ? "" : ` (by ${author})`}${what === "" ? "" : `: ${what}`}`)
    return `${printable(head)}  ${name}${narrow ? `\n${wrapped(`${INDENT}${said}`, `${INDENT}  `)}` : ` ${said}`}`
  }
  if (quarantined !== undefined) {
    const { seq: place, subject, reason, detail } = quarantined
    return paint(
      printable(`${String(place).padStart(SEQ_WIDTH)}  put aside, ${reason}: a commit in ${subject}: ${detail}`),
      "bad"
    )
  }
  if (unread !== undefined)
    return paint(printable(`${"-".padStart(SEQ_WIDTH)}  the log could not be read on: ${unread.reason}`), "bad")
  if (dropped !== undefined)
    return paint(
      printable(
        `${"-".padStart(SEQ_WIDTH)}  ${dropped.events} events of ${dropped.subject} were dropped by retention; the first left is at ${dropped.firstSeq}`
      ),
      "warn"
    )
  return printable(JSON.stringify(line))
}

const colourOf = (type: string): Colour => {
  if (/Revoked|Stepped|Unready/.test(type)) return "bad"
  if (/Drained|Holdover|TookOver/.test(type)) return "warn"
  return /Heartbeat/.test(type) ? "dim" : "bold"
}

/** `name=value` of what is flat, deeper things as JSON. Sealed boxes are left out: they say nothing to a reader. */
const describeData = (data: Readonly<Record<string, unknown>>): string =>
  Object.entries(data)
    .filter(([name]) => name !== "sealed")
    .map(([name, value]) => {
      if (typeof value === "string") return `${name}=${/^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)}`
      const text = JSON.stringify(value, (key, inner: unknown) => (key === "sealed" ? undefined : inner))
      return `${name}=${text}`
    })
    .join(" ")
