/**
 * Processes that outlive the command that started them. Each is written down with what tells it from a later process of
 * the same number (boot, pid, start time), and only what is still the same is ever sent a signal. Linux only: /proc.
 */
import { spawn } from "node:child_process"
import { closeSync, openSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"

export interface RecordedProcess {
  readonly name: string
  readonly pid: number
  /** Clock ticks between boot and its start, as /proc has it. */
  readonly started: string
  /** The boot that the ticks count from. */
  readonly boot: string
}

export interface Program {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** Takes standard output and standard error. */
  readonly log: string
}

/** A process ended at once, or could not be started. */
class ProcessNotStarted extends Error {
  readonly _tag = "ProcessNotStarted"
}

const bootId = (): string => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()

interface Stat {
  readonly state: string
  readonly session: number
  readonly started: string
}

/** Fields 3, 6 and 22 of proc_pid_stat(5); the name before them may hold blanks and parentheses. */
const statOf = (pid: number): Stat | undefined => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8")
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
    return { state: fields[0] ?? "", session: Number(fields[3]), started: fields[19] ?? "" }
  } catch {
    return undefined
  }
}

const runs = (stat: Stat | undefined): stat is Stat => stat !== undefined && stat.state !== "Z" && stat.state !== "X"

/** Whether the process that was written down still runs. */
export const isRunning = ({ pid, started, boot }: RecordedProcess): boolean => {
  const stat = statOf(pid)
  return runs(stat) && stat.started === started && boot === bootId()
}

/** Starts a program in a session of its own, so that it and its children outlive us and can be told apart. */
export const startRecorded = ({ name, command, args, env, log }: Program): RecordedProcess => {
  const output = openSync(log, "a", 0o600)
  try {
    const child = spawn(command, args, { detached: true, stdio: ["ignore", output, output], env })
    // Without a listener the failure would end us before it can be told.
    child.on("error", () => {})
    child.unref()
    const stat = child.pid === undefined ? undefined : statOf(child.pid)
    if (child.pid === undefined || stat === undefined)
      throw new ProcessNotStarted(`${name} could not be started: is ${command} installed?`)
    return { name, pid: child.pid, started: stat.started, boot: bootId() }
  } finally {
    closeSync(output)
  }
}

/**
 * What runs in the session of a process that was written down, itself among it. While anything is left of a session its
 * number is given to no other process, so a leader of that number that started at another time means another session.
 */
const membersOf = (record: RecordedProcess): readonly number[] => {
  const leader = statOf(record.pid)
  if (record.boot !== bootId() || (leader !== undefined && leader.started !== record.started)) return []
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const stat = statOf(pid)
      return runs(stat) && stat.session === record.pid && BigInt(stat.started) >= BigInt(record.started)
    })
}

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended since.
  }
}

const LOOK_MS = 50
const KILLED_MS = 30_000

/** Asks it to end, kills what is left of its session after the limit; false where something stays all the same. */
export const endRecorded = async (record: RecordedProcess, limitMs: number): Promise<boolean> => {
  if (isRunning(record)) signal(record.pid, "SIGTERM")
  if (await gone(record, limitMs)) return true
  for (const pid of membersOf(record)) signal(pid, "SIGKILL")
  return gone(record, KILLED_MS)
}

const gone = async (record: RecordedProcess, limitMs: number): Promise<boolean> => {
  const until = performance.now() + limitMs
  while (membersOf(record).length > 0) {
    if (performance.now() > until) return false
    await sleep(LOOK_MS)
  }
  return true
}

/** The processes in a file, none where there is no such file. */
export const readRecords = (file: string): readonly RecordedProcess[] => {
  let text: string
  try {
    text = readFileSync(file, "utf8")
  } catch {
    return []
  }
  const value: unknown = JSON.parse(text)
  if (!Array.isArray(value) || !value.every(isRecord)) throw new ProcessNotStarted(`${file} is not ours: remove it`)
  return value
}

const isRecord = (value: unknown): value is RecordedProcess => {
  const { name, pid, started, boot } = (value ?? {}) as Partial<Record<keyof RecordedProcess, unknown>>
  const texts = [name, started, boot].every((it) => typeof it === "string")
  return texts && Number.isSafeInteger(pid) && (pid as number) > 1 && /^\d+$/.test(String(started))
}

/** Whole or not at all. */
export const writeRecords = (file: string, records: readonly RecordedProcess[]): void => {
  writeFileSync(`${file}.new`, `${JSON.stringify(records, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}
