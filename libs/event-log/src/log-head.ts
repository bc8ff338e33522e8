/**
 * The last place of a log in a file of its own. SQLite takes a write-ahead log that was damaged for one that ended earlier, and
 * goes on without a word: what was acknowledged is gone then. This file tells.
 */
import { closeSync, constants, openSync, writeSync } from "@meridian/system/files"
import { readRegularFile } from "@meridian/system/regular-file"

/** Without O_NONBLOCK a pipe in its place waits for its reader. */
const WRITING = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NONBLOCK
const LONGEST = 16

export class LogHead {
  private readonly file: string

  /** @param log the log's own file */
  constructor(log: string) {
    this.file = `${log}-head`
  }

  /** Notes that a place was acknowledged. A crash may leave it behind the log, which says nothing. */
  note(seq: number): void {
    try {
      const descriptor = openSync(this.file, WRITING, 0o600)
      try {
        writeSync(descriptor, `${seq}\n`)
      } finally {
        closeSync(descriptor)
      }
    } catch {
      // The log itself says what is wrong with the disk.
    }
  }

  /** What is missing at the log's end, in one sentence; undefined where nothing is. @param last the log's last place */
  missing(last: number): string | undefined {
    const noted = this.read()
    if (noted === undefined || noted <= last) return undefined
    return `the event log ends at place ${last}, though place ${noted} had been acknowledged: its last ${noted - last} commits are lost (a damaged write-ahead log, or an older copy of the file); it goes on from there, and keys that are lost are minted anew`
  }

  private read(): number | undefined {
    try {
      const text = readRegularFile(this.file, LONGEST).toString("ascii")
      return /^\d{1,15}\n$/.test(text) ? Number(text) : undefined
    } catch {
      return undefined
    }
  }
}
