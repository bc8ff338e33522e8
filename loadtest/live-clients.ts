/**
 * Who takes part in a live run: a chronyd that serves this machine's clock, a node that follows it, and where a path is put
 * between, a `chronyd -x` that follows it over another of the same kind. Both are started at once, and read by what each
 * says itself: the node's clock page, chronyd's `tracking`.
 */
import { mkdirSync, openSync, readdirSync, readlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type ClockPageReader, openClockPageReader } from "@meridian/clocks/clock-page"
import { launchAndRead, type Command } from "./children.ts"
import { allowedCores } from "./process-figures.ts"
import {
  chronydCommand,
  chronydLabel,
  meridianCommand,
  peerCommand,
  type RunningServer,
  startCommands
} from "./servers.ts"

export interface LiveOptions {
  /** A path that delay-relay.ts knows; undefined: none, and no chronyd beside the node. */
  readonly network: string | undefined
  /** What the paths draw from: another run with the same has the same delays in the same order. */
  readonly seed: number
  /** log2 seconds. */
  readonly polls: readonly [minpoll: number, maxpoll: number]
  /** Where both keep what they measured. */
  readonly record: string | undefined
  /** For the processes of both. */
  readonly environment: Readonly<Record<string, string>>
}

export interface LiveClients {
  readonly upstream: RunningServer
  readonly node: RunningServer
  readonly beside: RunningServer | undefined
  /** What chronyd takes the time for, less the clock of its processes: seconds. NaN while it is not synchronised. */
  readonly chronydOffset: () => Promise<number>
  readonly stop: () => Promise<void>
}

const options = { address: "127.0.0.1", workers: 1, cores: allowedCores() }
/** Of a client of the upstream, which is at 10. */
export const CLIENT_STRATUM = 11

/** Does not wait for the first answer: the time until then is part of the run. */
const atOnce = () => Promise.resolve(true)

const under = (environment: LiveOptions["environment"], command: Command): Command => ({
  ...command,
  environment: { ...command.environment, ...environment }
})

/** Lines of one client's configuration that have it keep what it measured, in a folder of its own. */
const recordedIn = (
  record: string | undefined,
  client: string,
  lines: (folder: string) => readonly string[]
): readonly string[] => {
  if (record === undefined) return []
  const folder = join(record, client)
  mkdirSync(folder, { recursive: true })
  return lines(folder)
}

const startNode = (live: LiveOptions, upstream: number): Promise<RunningServer> =>
  startCommands(
    "meridian",
    "Meridian",
    options,
    (port, folder) => {
      const file = join(folder, "ntp.conf")
      const polls = `minpoll ${live.polls[0]} maxpoll ${live.polls[1]}`
      const recorded = recordedIn(live.record, "meridian", (to) => [
        `statsdir ${to}/`,
        "statistics rawstats loopstats",
        "filegen rawstats file rawstats type none",
        "filegen loopstats file loopstats type none"
      ])
      writeFileSync(file, [`server ${options.address}:${upstream} iburst ${polls}`, ...recorded, ""].join("\n"))
      return [under(live.environment, meridianCommand(options, port, folder, ["--config", file]))]
    },
    atOnce
  )

/** It keeps its frequency and its samples over a restart, as it can be told to. */
const startChronyd = (live: LiveOptions, upstream: number, commandPort: number): Promise<RunningServer> =>
  startCommands(
    "chronyd43",
    chronydLabel("chronyd43"),
    options,
    (port, folder) => {
      const command = chronydCommand("chronyd43", options.address, port, folder, [
        `server ${options.address} port ${upstream} iburst minpoll ${live.polls[0]} maxpoll ${live.polls[1]}`,
        // Else what it follows shows, and is served, only from a root distance of a second on: some samples later.
        "local stratum 10 distance 1000000",
        `cmdport ${commandPort}`,
        "bindcmdaddress 127.0.0.1",
        `driftfile ${join(folder, "drift")}`,
        `dumpdir ${folder}`,
        ...recordedIn(live.record, "chronyd", (to) => [`logdir ${to}`, "log rawmeasurements statistics tracking"])
      ])
      return [under(live.environment, { ...command, args: [...command.args, "-r"] })]
    },
    atOnce
  )

export const startClients = async (live: LiveOptions): Promise<LiveClients> => {
  const upstream = await startCommands("chronyd43", chronydLabel("chronyd43"), options, (port, folder) => [
    chronydCommand("chronyd43", options.address, port, folder)
  ])
  const { network } = live
  const relays: RunningServer[] = []
  /** A path to the upstream, of its own for each client. */
  const relayed = async (seed: number): Promise<number> => {
    if (network === undefined) return upstream.port
    const file = join(import.meta.dirname, "delay-relay.ts")
    const started = await startCommands("floor", "relay", options, (own) => [
      { command: process.execPath, args: [file, String(own), String(upstream.port), network, String(seed)] }
    ])
    relays.push(started)
    return started.port
  }
  const commandPort = 20_000 + (process.pid % 900)
  const [first, second] = [await relayed(2 * live.seed - 1), await relayed(2 * live.seed)]
  const [node, beside] = await Promise.all([
    startNode(live, first),
    network === undefined ? undefined : startChronyd(live, second, commandPort)
  ])
  const chronydOffset = async (): Promise<number> => {
    const asked = ["-h", options.address, "-p", String(commandPort), "-n", "-c", "tracking"]
    try {
      const printed = await launchAndRead(peerCommand("bookworm", "usr/bin/chronyc", asked), options.cores)
      const [, , stratum, , offset] = printed.split(",")
      return Number(stratum) === CLIENT_STRATUM ? Number(offset) : Number.NaN
    } catch {
      return Number.NaN
    }
  }
  const stop = async (): Promise<void> => {
    await Promise.all([node.stop(), beside?.stop()])
    await Promise.all(relays.map((it) => it.stop()))
    await upstream.stop()
  }
  return { upstream, node, beside, chronydOffset, stop }
}

/** The page has no name: it is what the node's processes hold a descriptor of. Undefined before there is one. */
export const findPage = (node: RunningServer): ClockPageReader | undefined => {
  for (const pid of node.pids())
    for (const path of descriptorsOf(pid)) {
      try {
        if (readlinkSync(path).includes("meridian-clock-page")) return openClockPageReader(openSync(path, "r"))
      } catch {
        // Closed meanwhile.
      }
    }
  return undefined
}

const descriptorsOf = (pid: number): readonly string[] => {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((descriptor) => `/proc/${pid}/fd/${descriptor}`)
  } catch {
    return []
  }
}
