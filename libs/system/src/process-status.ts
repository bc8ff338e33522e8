/** What the kernel says of a process, as /proc shows it. Linux alone; elsewhere no process is seen. */
import { readFileSync } from "./files.ts"

/** A file of /proc; empty where it is not there any more. */
export const textOf = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

interface ProcessStatus {
  readonly parent: number
  /** Clock ticks from the machine's start to its own; with the number it names one process for good. */
  readonly startedAt: number
}

/**
 * Fields 4 and 22 of proc_pid_stat(5); undefined where there is no such process, or it has ended and nobody has asked yet. While a
 * thread of it has still to end, it has its files and sockets.
 */
export const processStatus = (pid: number): ProcessStatus | undefined => {
  const text = textOf(`/proc/${pid}/stat`)
  // The second field, the name, may hold spaces and brackets.
  const [state, parent, ...rest] = text.slice(text.lastIndexOf(")") + 2).split(" ")
  const threads = Number(rest[15])
  if (parent === undefined || ((state === "Z" || state === "X") && threads <= 1)) return undefined
  return { parent: Number(parent), startedAt: Number(rest[17]) }
}

/** The words of its command line; none where it has ended. */
export const commandWords = (pid: number): readonly string[] => textOf(`/proc/${pid}/cmdline`).split("\0")
