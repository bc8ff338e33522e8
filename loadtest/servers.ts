/**
 * The servers that are compared: how each is started on a port of loopback, how one knows that it answers, which processes
 * it is made of, how it ends.
 */
import { execFile, spawnSync } from "node:child_process"
import { createSocket } from "node:dgram"
import { existsSync, readdirSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { promisify } from "node:util"
import { type Command, compiled, launch, removeFolder, stop, temporaryFolder } from "./children.ts"
import { commandLine, processTree } from "./process-figures.ts"

const here = import.meta.dirname
export const checkout = dirname(here)
const CLI = "services/cli/bin/meridian.mjs"
const cli = join(checkout, CLI)
const peers = process.env["PEERS"] ?? join(checkout, ".meridian/peers")

export type ServerName = "meridian" | "chronyd43" | "chronyd-new" | "floor"

/** Another tree of Meridian's that is measured beside this one: an installed checkout, or a folder of a package. */
export interface OtherBuild {
  readonly folder: string
  /** "Meridian" and its commit. */
  readonly label: string
}

/** @throws Error when there is no Meridian in that folder, or it is not installed */
export const otherBuild = (folder: string): OtherBuild => {
  for (const needed of [CLI, "node_modules"])
    if (!existsSync(join(folder, needed)))
      throw new Error(
        `expected an installed tree of Meridian's in ${folder}, found no ${needed}; "npm run ensure" in it installs one`
      )
  const commit = spawnSync("git", ["-C", folder, "rev-parse", "--short", "HEAD"], { encoding: "utf8" })
  return { folder, label: `Meridian ${commit.status === 0 ? commit.stdout.trim() : basename(folder)}` }
}

export interface StartOptions {
  readonly address: string
  readonly workers: number
  /** The cores that all its processes are pinned to. */
  readonly cores: readonly number[]
  /** Meridian of another tree than this one. */
  readonly build?: OtherBuild | undefined
}

export interface RunningServer {
  readonly name: ServerName | "other"
  readonly label: string
  readonly address: string
  readonly port: number
  /** Milliseconds from the start command to the first correct reply. */
  readonly startMilliseconds: number
  /** All processes, its supervisor included. */
  readonly pids: () => readonly number[]
  /** The processes that answer packets. */
  readonly workerPids: () => readonly number[]
  /** The state directory, for `meridian status`. */
  readonly folder: string
  /** Of a server with a network of its own: what a client's command is put behind. */
  readonly within?: () => readonly string[]
  /** Ends all its processes in order and starts them anew, with the same port and folder; does not wait until it answers. */
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

interface Recipe {
  readonly label: () => string
  /** Why it cannot be started here, if it cannot. */
  readonly missing: () => string | undefined
  /** One command for each process that the bench has to start itself. */
  readonly commands: (options: StartOptions, port: number, folder: string) => readonly Command[]
}

/** The library folder of a peer's suite: usr/lib/x86_64-linux-gnu or what this architecture calls it. */
const libraries = (suite: string): string => {
  const parent = join(peers, suite, "usr/lib")
  const found = existsSync(parent) ? readdirSync(parent).find((name) => name.endsWith("-linux-gnu")) : undefined
  return join(parent, found ?? "none")
}

/** Runs a peer's program with the libraries, and where it was unpacked the loader, of its own Debian suite. */
export const peerCommand = (suite: string, program: string, args: readonly string[]): Command => {
  const path = join(peers, suite, program)
  const folder = libraries(suite)
  const loader = existsSync(folder) ? readdirSync(folder).find((name) => /^ld-linux.*\.so/.test(name)) : undefined
  return loader === undefined
    ? { command: path, args, environment: { LD_LIBRARY_PATH: folder } }
    : { command: join(folder, loader), args: ["--library-path", folder, path, ...args] }
}

export const isRoot = process.getuid?.() === 0

/** No peer may set this machine's clock, whatever it is told. Without root there is nothing to take away. */
export const withoutClock = (command: Command): Command =>
  isRoot
    ? {
        ...command,
        command: "setpriv",
        args: ["--bounding-set", "-sys_time", "--inh-caps", "-sys_time", command.command, ...command.args]
      }
    : command

const CHRONYD = "usr/sbin/chronyd"
const newestSuite = (): string => ["sid", "trixie"].find((suite) => existsSync(join(peers, suite, CHRONYD))) ?? "sid"

/** The versions of chronyd that are compared. */
const chronydSuites = { chronyd43: () => "bookworm", "chronyd-new": newestSuite } as const
export type ChronydName = keyof typeof chronydSuites

/** The version that a peer's program says it has. */
export const peerVersion = (suite: string, program: string, flag: string): string => {
  const { command, args, environment } = peerCommand(suite, program, [flag])
  const said = spawnSync(command, args, { encoding: "utf8", env: { ...process.env, ...environment } })
  return /\d+(\.\d+)+/.exec(said.stdout + said.stderr)?.[0] ?? "?"
}

/** Its name and version. */
export const chronydLabel = (name: ChronydName): string =>
  `chronyd ${peerVersion(chronydSuites[name](), CHRONYD, "-v")}`

/** @param more lines of its configuration, beside those that make it a server of its own clock */
export const chronydCommand = (
  name: ChronydName,
  address: string,
  port: number,
  folder: string,
  more: readonly string[] = []
): Command => {
  const file = join(folder, "chrony.conf")
  const lines = [
    `port ${port}`,
    "cmdport 0",
    "bindcmdaddress /",
    `bindaddress ${address}`,
    "local stratum 10",
    "allow",
    `pidfile ${join(folder, "pid")}`,
    ...more
  ]
  writeFileSync(file, `${lines.join("\n")}\n`)
  const identity = isRoot ? ["-u", "root"] : ["-U"]
  return withoutClock(peerCommand(chronydSuites[name](), CHRONYD, [...identity, "-x", "-d", "-F", "0", "-f", file]))
}

/** Why a peer's program cannot be started here, or nothing when it can. */
export const missingPeer = (suite: string, program: string): string | undefined => {
  const path = join(peers, suite, program)
  return existsSync(path) ? undefined : `no ${path}; fetch the peers with "npx node infra/peers/fetch.ts" or set PEERS`
}

const chronyd = (name: ChronydName): Recipe => ({
  label: () => chronydLabel(name),
  missing: () => missingPeer(chronydSuites[name](), CHRONYD),
  commands: ({ address }, port, folder) => [chronydCommand(name, address, port, folder)]
})

/** @param more flags of `meridian up` */
export const meridianCommand = (
  { address, workers, build }: StartOptions,
  port: number,
  folder: string,
  more: readonly string[] = []
): Command => {
  const program = build === undefined ? cli : join(build.folder, CLI)
  const flags = ["--workers", String(workers), "--port", String(port), "--state", folder, "--listen", address]
  return { command: process.execPath, args: [program, "up", ...flags, ...more] }
}

/** Meridian with a configuration file of these lines. */
export const configuredMeridian = (
  options: StartOptions,
  port: number,
  folder: string,
  lines: readonly string[]
): Command => {
  const file = join(folder, "meridian.conf")
  writeFileSync(file, `${lines.join("\n")}\n`)
  return meridianCommand(options, port, folder, ["--config", file])
}

const recipes: Readonly<Record<ServerName, Recipe>> = {
  meridian: {
    label: () => "Meridian",
    missing: () => (existsSync(cli) ? undefined : `no ${cli}`),
    commands: (options, port, folder) => [meridianCommand(options, port, folder)]
  },
  chronyd43: chronyd("chronyd43"),
  "chronyd-new": chronyd("chronyd-new"),
  floor: {
    label: () => "C floor",
    missing: () => undefined,
    commands: ({ address, workers }, port) =>
      Array.from({ length: workers }, () => ({ command: compiled("floor/echo.c"), args: [address, String(port)] }))
  }
}

export const serverNames = Object.keys(recipes) as readonly ServerName[]

/** Why a server cannot be started here, or nothing when it can. */
export const missing = (name: ServerName): string | undefined => recipes[name].missing()

const run = promisify(execFile)

/** A worker's line in `meridian status --json`, as far as the bench reads it. */
interface WorkerStatus {
  readonly pid: number
  readonly replied: number
  readonly rss: number
  readonly heapUsed: number
}

/** Asks a running Meridian for its workers' figures; run on the generator's core so that the server is not disturbed. */
export const workerStatus = async (folder: string, core: number): Promise<readonly WorkerStatus[]> => {
  const { stdout } = await run(
    "taskset",
    ["-c", String(core), process.execPath, cli, "status", "--json", "--state", folder],
    { timeout: 10_000 }
  )
  const status = JSON.parse(stdout) as { readonly workers?: readonly WorkerStatus[] }
  if (status.workers === undefined)
    throw new Error("expected `workers` in the output of meridian status --json, found none")
  return status.workers
}

const READY_WITHIN_MILLISECONDS = 60_000
const ASK_EVERY_MILLISECONDS = 2
const PACKET_BYTES = 48

/** True for a version 4 server reply from a synchronised server that echoes the transmit timestamp we sent. */
const isCorrect = (request: Uint8Array, reply: Uint8Array): boolean => {
  const [first = 0, stratum = 0] = reply
  const echoes = reply.subarray(24, 32).every((byte, i) => byte === request[40 + i])
  return (
    reply.length === PACKET_BYTES &&
    first >> 6 !== 3 &&
    (first & 0x3f) === 0x24 &&
    stratum >= 1 &&
    stratum <= 15 &&
    echoes
  )
}

/** Asks every 2 ms until a correct reply comes; resolves to false when none came in time or `ended` said so. */
export const answers = (address: string, port: number, ended: () => boolean): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4")
    const request = new Uint8Array(PACKET_BYTES)
    request[0] = 0x23
    crypto.getRandomValues(request.subarray(40))
    const deadline = performance.now() + READY_WITHIN_MILLISECONDS
    const finish = (correct: boolean) => {
      clearInterval(timer)
      socket.close()
      resolve(correct)
    }
    const timer = setInterval(() => {
      if (performance.now() > deadline || ended()) finish(false)
      else socket.send(request, port, address)
    }, ASK_EVERY_MILLISECONDS)
    socket.on("error", () => {})
    socket.on("message", (reply) => {
      if (isCorrect(request, reply)) finish(true)
    })
  })

let nextPort = 21_000 + (process.pid % 500) * 20

/** Starts commands that together are one server on `port`, and resolves when it answers (or when `ready` says so). */
export const startCommands = async (
  name: RunningServer["name"],
  label: string,
  { address, cores }: StartOptions,
  commands: (port: number, folder: string) => readonly Command[],
  ready: typeof answers = answers
): Promise<RunningServer> => {
  const port = nextPort++
  const folder = temporaryFolder()
  const begin = performance.now()
  const begun = () => commands(port, folder).map((command) => launch(command, cores))
  let children = begun()
  const restart = async () => {
    await Promise.all(children.map(stop))
    children = begun()
  }
  const pids = () => children.flatMap((child) => processTree(child.process.pid ?? 0))
  const halt = async () => {
    await Promise.all(children.map(stop))
    removeFolder(folder)
  }
  const ended = () => children.some((child) => child.process.exitCode !== null || child.process.signalCode !== null)
  if (!(await ready(address, port, ended))) {
    const why = ended() ? "ended before it gave a correct reply" : "gave no correct reply within a minute"
    await halt()
    const said = children
      .map((child) => child.errors())
      .join("")
      .trim()
    throw new Error(`${label} ${why} on ${address} port ${port}${said === "" ? "" : `; it said:\n${said}`}`)
  }
  const startMilliseconds = performance.now() - begin
  // Meridian's supervisor and clock are beside its workers; every other server is its own worker.
  const workerPids = () => {
    const all = pids()
    const workers = all.filter((pid) => commandLine(pid).includes("services/worker/"))
    return workers.length > 0 ? workers : all
  }
  return { name, label, address, port, startMilliseconds, pids, workerPids, folder, restart, stop: halt }
}

/** Starts a server and waits until it answers. */
export const start = (name: ServerName, options: StartOptions): Promise<RunningServer> => {
  const recipe = recipes[name]
  return startCommands(nameOf(name, options), options.build?.label ?? recipe.label(), options, (port, folder) =>
    recipe.commands(options, port, folder)
  )
}

/** What another tree's server goes by: this tree's alone is "meridian". */
export const nameOf = (name: ServerName, { build }: StartOptions): RunningServer["name"] =>
  build === undefined ? name : "other"

/** Starts Meridian as a newcomer does, with `npm start`, on an installed tree. */
export const startWithNpm = (options: StartOptions): Promise<RunningServer> =>
  startCommands(nameOf("meridian", options), "npm start", options, (port, folder) => [
    {
      command: "npm",
      args: ["start", "--silent", "--", "--port", String(port), "--state", folder, "--listen", options.address],
      directory: options.build?.folder ?? checkout
    }
  ])
