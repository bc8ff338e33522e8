/**
 * Which processes a node has, written down in its state directory for the start after it.
 *
 * A process whose supervisor is gone ends by itself. One that hangs does not, and keeps its sockets: the next start would
 * find the port taken. So whoever is left of the node that had the directory before is ended first.
 */
import { closeSync, openSync, rmSync, writeSync } from "@meridian/system/files"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { commandWords, processStatus } from "@meridian/system/process-status"
import { readRegularFile } from "@meridian/system/regular-file"

const PROCESS_RECORD_NAME = "processes"

/** Of a fixed length from the start on, so that it is written on a full disk too. */
const RECORD_BYTES = 8_192
/** How long one that is ending by itself may take over it. */
const PATIENCE_MS = 1_000
/** How long the kernel may take over one that was killed. */
const KILLED_PATIENCE_MS = 10_000
const LOOK_EACH_MS = 20

/** A process, told from others that had its number before or have it after. */
interface Identity {
  readonly pid: number
  /** Clock ticks from the machine's start to its own. */
  readonly startedAt: number
}

const isThere = ({ pid, startedAt }: Identity): boolean => processStatus(pid)?.startedAt === startedAt

const parse = (text: string): readonly Identity[] =>
  text.split("\n").flatMap((line) => {
    const [, pid, startedAt] = /^(\d{1,10}) (\d{1,20})$/.exec(line.trim()) ?? []
    return pid === undefined ? [] : [{ pid: Number(pid), startedAt: Number(startedAt) }]
  })

/** Whether a process runs one of the node's own services: a record that somebody else wrote ends nothing else. */
const runsService = (pid: number, programs: readonly string[]): boolean =>
  commandWords(pid).some((word) => programs.includes(word))

/** Whether it is of a node that is gone: an upgrade in place has processes of its own from before. */
const isLeft = (each: Identity, programs: readonly string[]): boolean =>
  isThere(each) && processStatus(each.pid)?.parent !== process.pid && runsService(each.pid, programs)

const untilGone = async (left: readonly Identity[], patienceMs: number): Promise<readonly Identity[]> => {
  let there = left.filter(isThere)
  for (let waited = 0; there.length > 0 && waited < patienceMs; waited += LOOK_EACH_MS) {
    await sleep(LOOK_EACH_MS)
    there = there.filter(isThere)
  }
  return there
}

const kill = ({ pid }: Identity): void => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It has ended, or is another user's: then the bind says what is in the way.
  }
}

export class ProcessRecord {
  private readonly path: string
  private descriptor: number | undefined
  private readonly running = new Map<number, Identity>()

  /** @param directory of a state that was claimed: nobody else has a node there */
  constructor(directory: string) {
    this.path = join(directory, PROCESS_RECORD_NAME)
  }

  /**
   * Ends what is left of the node that had the directory before, and begins the record anew. Where it cannot be written, as in a
   * directory that nobody may write to, there is none: the node says so of the directory itself.
   * @param programs the services' main.ts
   * @returns the processes that had to be killed
   */
  async begin(programs: readonly string[]): Promise<readonly number[]> {
    const left = parse(this.read()).filter((each) => isLeft(each, programs))
    const hanging = await untilGone(left, PATIENCE_MS)
    for (const each of hanging) kill(each)
    await untilGone(hanging, KILLED_PATIENCE_MS)
    try {
      rmSync(this.path, { force: true })
      this.descriptor = openSync(this.path, "wx", 0o644)
    } catch {
      this.descriptor = undefined
    }
    this.write()
    return hanging.map(({ pid }) => pid)
  }

  started(pid: number): void {
    const status = processStatus(pid)
    if (status === undefined) return
    this.running.set(pid, { pid, startedAt: status.startedAt })
    this.write()
  }

  ended(pid: number): void {
    this.running.delete(pid)
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor)
  }

  private read(): string {
    try {
      return readRegularFile(this.path, RECORD_BYTES).toString("latin1")
    } catch {
      return ""
    }
  }

  private write(): void {
    if (this.descriptor === undefined) return
    const lines = [...this.running.values()].map(({ pid, startedAt }) => `${pid} ${startedAt}\n`)
    try {
      writeSync(this.descriptor, lines.join("").slice(0, RECORD_BYTES).padEnd(RECORD_BYTES), 0, "latin1")
    } catch {
      // A full disk before the first write: the next start has no record, as before there was one.
    }
  }
}
