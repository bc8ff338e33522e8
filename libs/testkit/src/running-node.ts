/** Starts a real node the way a user does, in a state directory and on a port of its own, and ends it again. */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { createServer } from "node:net"
import { setTimeout } from "node:timers/promises"
import { PATIENCE_MS } from "./patience.ts"

const root = resolve(import.meta.dirname, "../../..")
const cli = join(root, "services/cli/bin/meridian.mjs")

/** A child does not inherit what vitest needs for itself. */
const cleanEnvironment = (extra: NodeJS.ProcessEnv): NodeJS.ProcessEnv => {
  const { NODE_OPTIONS: _options, VITEST: _vitest, NODE_ENV: _env, ...rest } = process.env
  return { ...rest, ...extra }
}

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `meridian …` to its end. @param within put before the command: a network namespace to run in */
export const meridian = (
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  within: readonly string[] = []
): Promise<Finished> =>
  new Promise((done) => {
    const [program = "", ...rest] = [...within, process.execPath, cli, ...args]
    execFile(program, rest, { env: cleanEnvironment(env), timeout: PATIENCE_MS }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : null
      done({ code, stdout, stderr })
    })
  })

/** A node is several processes, each of which compiles its own modules. */
const START_MS = 2 * PATIENCE_MS

/** Below the ports that Linux gives to clients, lest one of those gets it before it is bound. */
const FIRST_PORT = 12_000
const PORTS = 20_000
/** Suites that run side by side in one network: each has ports of its own, since one that was found free is bound much later. */
const LANES = 16
const lane = Number(process.env["VITEST_POOL_ID"] ?? 0) % LANES
/** A process gives none out twice: who asks for two wants two. */
const given = new Set<number>()

/** Whether nobody uses a port on any address, for UDP and for TCP. */
export const isFree = async (port: number): Promise<boolean> => {
  const [udp, tcp] = [createSocket("udp6"), createServer()]
  try {
    udp.bind(port)
    await once(udp, "listening")
    tcp.listen(port)
    await once(tcp, "listening")
    return true
  } catch {
    return false
  } finally {
    udp.close()
    tcp.close()
  }
}

/** A port that nobody uses at this moment on any address, for UDP and for TCP. */
export const freePort = async (): Promise<number> => {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = FIRST_PORT + LANES * Math.floor((Math.random() * PORTS) / LANES) + lane
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    return port
  }
  throw new Error(`no free port from ${FIRST_PORT} to ${FIRST_PORT + PORTS} in a hundred attempts`)
}

export interface RunningNode {
  readonly port: number
  readonly state: string
  /** The supervisor. */
  readonly process: ChildProcess
  readonly stdout: () => string
  readonly stderr: () => string
  /** `meridian status --json` as it stands now. */
  readonly status: () => Promise<Record<string, unknown> & { readonly workers: readonly WorkerView[] }>
  /** Ends it (SIGTERM unless told otherwise) if it still runs, removes its state; returns its exit code. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>
}

interface WorkerView {
  readonly index: number
  readonly pid: number
  readonly state: string
  readonly received: number
  readonly replied: number
  readonly restarts: number
  readonly rss: number
  readonly dropped: Readonly<Record<string, number>>
}

export interface NodeOptions {
  readonly args?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** Used again after a crash; otherwise a fresh one is made and removed. */
  readonly state?: string
  readonly port?: number
  /** Put before the command: a network namespace to run in. */
  readonly within?: readonly string[]
}

/** Starts `meridian up`; succeeds when the first screen is there. Throws with the output when it is not. */
export const startNode = async (options: NodeOptions = {}): Promise<RunningNode> => {
  const port = options.port ?? (await freePort())
  const state = options.state ?? mkdtempSync(join(tmpdir(), "meridian-node-"))
  const up = [process.execPath, cli, "up", "--port", String(port), "--state", state, ...(options.args ?? [])]
  const [command = "", ...args] = [...(options.within ?? []), ...up]
  const child = spawn(command, args, {
    env: cleanEnvironment(options.env ?? {}),
    stdio: ["ignore", "pipe", "pipe"]
  })
  const exited = once(child, "exit")
  /** Later than its end: when all that it said has been read, by whoever of its processes. */
  const closed = once(child, "close")
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (chunk: Buffer) => void (stdout += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => void (stderr += chunk.toString()))
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal)
      await Promise.race([exited, setTimeout(PATIENCE_MS, undefined, { ref: false }).then(() => child.kill("SIGKILL"))])
      await exited
    }
    await Promise.race([closed, setTimeout(PATIENCE_MS, undefined, { ref: false })])
    rmSync(state, { recursive: true, force: true })
    return child.exitCode
  }
  for (let waited = 0; !stdout.includes("Try next"); waited += 20) {
    if (child.exitCode !== null || child.signalCode !== null || waited > START_MS) {
      await stop()
      throw new Error(`the node did not start (exit code ${child.exitCode})\n${stdout}\n${stderr}`)
    }
    await setTimeout(20)
  }
  const status: RunningNode["status"] = async () => {
    const { code, stdout: text, stderr: why } = await meridian(["status", "--state", state, "--json"])
    // 3: it is not synchronised, and says so.
    if (code !== 0 && code !== 3) throw new Error(`status failed: ${why}`)
    return JSON.parse(text) as Awaited<ReturnType<RunningNode["status"]>>
  }
  return { port, state, process: child, stdout: () => stdout, stderr: () => stderr, status, stop }
}
