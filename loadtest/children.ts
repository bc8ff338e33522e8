/** The processes and folders that the bench makes. All of them are gone when it ends, however it ends. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { processTree } from "./process-figures.ts"

export interface Command {
  readonly command: string
  readonly args: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly directory?: string
}

export interface Child {
  readonly process: ChildProcess
  /** The end of what it wrote to its standard error output. */
  readonly errors: () => string
}

const MOST_ERROR_CHARACTERS = 4000
const GRACE_MILLISECONDS = 3000

const running = new Set<ChildProcess>()
const folders = new Set<string>()

/** Starts a command pinned to some cores; its standard output is thrown away unless it is to be a pipe. */
export const launch = (
  { command, args, environment, directory }: Command,
  cores: readonly number[],
  output: "ignore" | "pipe" = "ignore"
): Child => {
  const child = spawn("taskset", ["-c", cores.join(","), command, ...args], {
    stdio: ["ignore", output, "pipe"],
    env: { ...process.env, ...environment },
    ...(directory === undefined ? {} : { cwd: directory })
  })
  let said = ""
  child.stderr?.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-MOST_ERROR_CHARACTERS)
  })
  child.on("error", (error) => {
    said += error.message
  })
  running.add(child)
  child.once("close", () => running.delete(child))
  return { process: child, errors: () => said }
}

/**
 * Runs a command pinned to some cores to its end and returns what it printed.
 * @throws Error with its own words when it fails.
 */
export const launchAndRead = (command: Command, cores: readonly number[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const { process: child, errors } = launch(command, cores, "pipe")
    let printed = ""
    child.stdout?.on("data", (chunk: Buffer) => {
      printed += chunk.toString()
    })
    child.once("close", (status) => {
      if (status === 0) resolve(printed)
      else reject(new Error(`${basename(command.command)} ended with status ${status}: ${errors().trim()}`))
    })
  })

const signalEach = (pids: readonly number[], signal: NodeJS.Signals): void => {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It ended by itself.
    }
  }
}

const isOver = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

/** Asks a child to end, waits, and kills it and its descendants when it does not. */
export const stop = async ({ process: child }: Child): Promise<void> => {
  if (child.pid === undefined || isOver(child)) return
  const tree = processTree(child.pid)
  const closed = new Promise((resolve) => child.once("exit", resolve))
  child.kill("SIGTERM")
  const patience = setTimeout(() => signalEach(tree, "SIGKILL"), GRACE_MILLISECONDS)
  await closed
  clearTimeout(patience)
  signalEach(
    tree.filter((pid) => processTree(pid).length > 0 && pid !== child.pid),
    "SIGKILL"
  )
}

/** A folder of our own below the system's temporary one. */
export const temporaryFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-bench-"))
  folders.add(folder)
  return folder
}

export const removeFolder = (folder: string): void => {
  rmSync(folder, { recursive: true, force: true })
  folders.delete(folder)
}

/** Called when the bench's process ends: whatever is still there is killed by its id, and its folders are removed. */
const leaveNothing = (): void => {
  signalEach(
    [...running].flatMap((child) => (child.pid === undefined ? [] : processTree(child.pid))),
    "SIGKILL"
  )
  for (const folder of folders) removeFolder(folder)
}

/** To be called once, first: from then on no way out of this process leaves a child or a folder behind. */
export const leaveNothingBehind = (): void => {
  process.once("exit", leaveNothing)
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129]
  ] as const) {
    process.once(signal, () => process.exit(status))
  }
}

/** Compiles a C file of this folder into build/ unless what is there is newer than its sources; returns the program's path. */
export const compiled = (
  source: string,
  flags: readonly string[] = [],
  name: string = basename(source, ".c")
): string => {
  const path = join(import.meta.dirname, source)
  const program = join(import.meta.dirname, "build", name)
  const parts = [path, ...["histogram.h", "pool.h", "requests.h"].map((header) => join(dirname(path), header))].filter(
    existsSync
  )
  const newest = Math.max(...parts.map((part) => statSync(part).mtimeMs))
  if (existsSync(program) && statSync(program).mtimeMs > newest) return program
  mkdirSync(dirname(program), { recursive: true })
  const compiler = process.env["CC"] ?? "cc"
  try {
    execFileSync(compiler, ["-O2", "-Wall", "-Wextra", ...flags, "-o", program, path], {
      stdio: ["ignore", "ignore", "pipe"],
      encoding: "utf8"
    })
  } catch (error) {
    const said = (error as { readonly stderr?: string }).stderr ?? String(error)
    throw new Error(`could not compile loadtest/${source} with "${compiler}" (a C compiler is needed):\n${said}`, {
      cause: error
    })
  }
  return program
}
