/** What Linux says about processes and the machine: CPU time, memory, cores. Read from /proc, nothing is run. */
import { readdirSync, readFileSync } from "node:fs"
import { availableParallelism, cpus, release } from "node:os"

/** The kernel's USER_HZ, which is 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/** A file's text, or nothing when the process has gone. */
const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

export const entries = (path: string): readonly string[] => {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** The fields of /proc/PID/stat from the third on; the second, the name, may hold spaces and brackets. */
const statFields = (pid: number): readonly string[] | undefined => {
  const text = read(`/proc/${pid}/stat`)
  return text?.slice(text.lastIndexOf(")") + 2).split(" ")
}

/** `root` and all its living descendants, parents first. Empty when it has ended. */
export const processTree = (root: number): readonly number[] => {
  const children = new Map<number, number[]>()
  for (const entry of entries("/proc")) {
    const pid = Number(entry)
    const fields = Number.isInteger(pid) ? statFields(pid) : undefined
    if (fields === undefined || fields[0] === "Z") continue
    const parent = Number(fields[1])
    children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  if (statFields(root) === undefined) return []
  const tree = [root]
  for (let i = 0; i < tree.length; i++) tree.push(...(children.get(tree[i] as number) ?? []))
  return tree
}

/** The command line of a process, its words separated by blanks; empty when it has ended. */
export const commandLine = (pid: number): string => (read(`/proc/${pid}/cmdline`) ?? "").split("\0").join(" ")

/** User and system time of a process and all its threads in seconds, to the clock tick of 10 ms (/proc/PID/stat). */
export const tickCpuSeconds = (pid: number): number => {
  const fields = statFields(pid)
  return fields === undefined ? 0 : (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

interface CpuTime {
  /** User and system time, seconds. */
  readonly used: number
  /** Time that threads were ready but another process had their core, seconds. */
  readonly waited: number
}

/**
 * User and system time of processes. It is summed from the scheduler's own count (/proc/PID/task/T/schedstat, nanoseconds),
 * the number that /proc/PID/stat shows divided into user and system and rounded to 10 ms; where the kernel keeps no
 * schedstat, the rounded one is used. Threads that end between two calls would be missed: servers have none.
 */
export const cpuTime = (pids: readonly number[]): CpuTime => {
  let used = 0
  let waited = 0
  for (const pid of pids) {
    let precise = 0
    for (const task of entries(`/proc/${pid}/task`)) {
      const [run, wait] = (read(`/proc/${pid}/task/${task}/schedstat`) ?? "0 0").split(" ")
      precise += Number(run) / 1e9
      waited += Number(wait) / 1e9
    }
    used += precise > 0 ? precise : tickCpuSeconds(pid)
  }
  return { used, waited }
}

const kilobytes = (text: string | undefined, name: string): number =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text ?? "")?.[1] ?? 0)

/** Resident memory of one process in bytes, shared pages counted whole. */
export const residentBytes = (pid: number): number => kilobytes(read(`/proc/${pid}/status`), "VmRSS") * 1024

/** Memory of several processes in bytes, each shared page counted once between all that share it (PSS). */
export const proportionalBytes = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => sum + kilobytes(read(`/proc/${pid}/smaps_rollup`), "Pss") * 1024, 0)

/** The cores that this process may use, lowest first. */
export const allowedCores = (): readonly number[] => {
  const list = /^Cpus_allowed_list:\s+(\S+)/m.exec(read("/proc/self/status") ?? "")?.[1]
  if (list === undefined) return Array.from({ length: availableParallelism() }, (_, i) => i)
  return list.split(",").flatMap((range) => {
    const [first, last] = range.split("-").map(Number) as [number, number?]
    return Array.from({ length: (last ?? first) - first + 1 }, (_, i) => first + i)
  })
}

/** Which cores do what. */
export interface CoreLayout {
  readonly generator: number
  /** One server process, and everything that belongs to it. */
  readonly one: readonly number[]
  /** A server with two workers. */
  readonly two: readonly number[]
  /** The layout in words, for the reader of the figures. */
  readonly words: readonly string[]
}

export const coreLayout = (cores: readonly number[]): CoreLayout => {
  const [generator = 0, second = generator, third] = cores
  const words = [
    `the generator has core ${generator} to itself, a server with all its processes is pinned to core ${second}`
  ]
  if (second === generator)
    words.push("there is one core only: generator and server share it, so no figure here is worth comparing")
  words.push(
    third === undefined
      ? `two workers: both on core ${second}, as no core is left for the second; the figure holds the cost of the second process, not of a second core`
      : `two workers: cores ${second} and ${third}`
  )
  return { generator, one: [second], two: third === undefined ? [second] : [second, third], words }
}

interface MachineFacts {
  readonly processor: string
  readonly cores: number
  readonly memoryBytes: number
  readonly kernel: string
  readonly node: string
  readonly date: string
}

export const machineFacts = (): MachineFacts => ({
  processor: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  memoryBytes: kilobytes(read("/proc/meminfo"), "MemTotal") * 1024,
  kernel: release(),
  node: process.version,
  date: new Date().toISOString()
})
