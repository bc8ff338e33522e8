/**
 * npx node loadtest/live-offset.ts [--minutes N] [--minpoll N] [--maxpoll N] [--network NAME] [--suspend SECONDS] [--json FILE]
 *     [--record FOLDER]
 *
 * How far served time is from the truth, live: chronyd serves this machine's own clock on loopback, a node follows it,
 * and since both stand on one CLOCK_REALTIME, what served time is ahead of that clock is its error. Read ten times a
 * second from the node's first decision on. The polls are ntp.conf's defaults (64 to 1024 s) unless told otherwise.
 * --network puts a path between (delay-relay.ts) and a chronyd -x beside the node, which follows the same server over a
 * path of the same kind; what it takes for the offset of the system's clock is its error, read once a second.
 * --suspend stops every process of the node and of the chronyd beside it for so long, half way through, as a laptop's lid
 * does; what is read from then on is told apart.
 * --record keeps what both measured and what they said: Meridian's statistics and chronyd's logs, and the errors, read once a
 * second (`errors`: Unix time, served time's error and claim, chronyd's error; seconds). replay-live.ts runs the discipline over
 * Meridian's once more.
 * Exit code: 0 measured, 1 could not be measured, 2 a wrong command line.
 */
import { appendFileSync, mkdirSync, openSync, readdirSync, readlinkSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { openClockPageReader } from "@meridian/clocks/clock-page"
import { systemClock } from "@meridian/clocks/system-clock"
import { NOW_MONOTONIC_SECONDS, NOW_REALTIME_NANOSECONDS, NOW_REALTIME_SECONDS } from "@meridian/clocks/system-clock"
import { isSynchronised, rootDispersionAt, servedTimeAt, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { unixDifferenceSeconds } from "@meridian/time/timestamp"
import { launchAndRead, leaveNothingBehind } from "./children.ts"
import { livePaths } from "./delay-relay.ts"
import { allowedCores } from "./process-figures.ts"
import {
  chronydCommand,
  chronydLabel,
  meridianCommand,
  missing,
  peerCommand,
  type RunningServer,
  startCommands
} from "./servers.ts"

const SAMPLES_PER_SECOND = 10

const fail = (status: 1 | 2, message: string): never => {
  process.stderr.write(`live-offset: ${message}\n`)
  return process.exit(status)
}

const readFlags = () => {
  try {
    return parseArgs({
      options: {
        minutes: { type: "string", default: "10" },
        minpoll: { type: "string", default: "6" },
        maxpoll: { type: "string", default: "10" },
        network: { type: "string" },
        suspend: { type: "string", default: "0" },
        json: { type: "string" },
        record: { type: "string" }
      }
    }).values
  } catch (error) {
    return fail(2, (error as Error).message)
  }
}

const flags = readFlags()
const minutes = Number(flags.minutes)
if (!(minutes > 0 && minutes <= 24 * 60))
  fail(2, `expected --minutes of more than 0 and at most 1440, found "${flags.minutes}"`)

const suspend = Number(flags.suspend)
if (!(suspend >= 0 && suspend < minutes * 30))
  fail(2, `expected --suspend of less than half of ${minutes} min in seconds, found "${flags.suspend}"`)

const record = flags.record === undefined ? undefined : resolve(flags.record)
if (record !== undefined) {
  mkdirSync(record, { recursive: true })
  writeFileSync(join(record, "errors"), "")
}
/** Lines of one client's configuration that have it keep what it measured, in a folder of its own. */
const recordedIn = (client: string, lines: (folder: string) => readonly string[]): readonly string[] => {
  if (record === undefined) return []
  const folder = join(record, client)
  mkdirSync(folder, { recursive: true })
  return lines(folder)
}

leaveNothingBehind()
const reason = missing("chronyd43")
if (reason !== undefined) fail(1, reason)

const options = { address: "127.0.0.1", workers: 1, cores: allowedCores() }
const upstream = await startCommands("chronyd43", chronydLabel("chronyd43"), options, (port, folder) => [
  chronydCommand("chronyd43", options.address, port, folder)
])
const { network } = flags
if (network !== undefined && livePaths[network] === undefined)
  fail(2, `expected --network ${Object.keys(livePaths).join(", ")}, found "${network}"`)

const relays: RunningServer[] = []
/** A path to the upstream, of its own for each client. */
const relayed = async (seed: number): Promise<number> => {
  if (network === undefined) return upstream.port
  const started = await startCommands("floor", "relay", options, (own) => [
    {
      command: process.execPath,
      args: [join(import.meta.dirname, "delay-relay.ts"), String(own), String(upstream.port), network, String(seed)]
    }
  ])
  relays.push(started)
  return started.port
}
const nodeUpstream = await relayed(1)
const node = await startCommands("meridian", "Meridian", options, (port, folder) => {
  const file = join(folder, "ntp.conf")
  const polls = `minpoll ${flags.minpoll} maxpoll ${flags.maxpoll}`
  const recorded = recordedIn("meridian", (to) => [
    `statsdir ${to}/`,
    "statistics rawstats loopstats",
    "filegen rawstats file rawstats type none",
    "filegen loopstats file loopstats type none"
  ])
  writeFileSync(file, [`server ${options.address}:${nodeUpstream} iburst ${polls}`, ...recorded, ""].join("\n"))
  return [meridianCommand(options, port, folder, ["--config", file])]
})

const chronycPort = 20_000 + (process.pid % 900)
const beside =
  network === undefined
    ? undefined
    : await relayed(2).then((port) =>
        startCommands("chronyd43", chronydLabel("chronyd43"), options, (own, folder) => [
          chronydCommand("chronyd43", options.address, own, folder, [
            `server ${options.address} port ${port} iburst minpoll ${flags.minpoll} maxpoll ${flags.maxpoll}`,
            `cmdport ${chronycPort}`,
            "bindcmdaddress 127.0.0.1",
            ...recordedIn("chronyd", (to) => [`logdir ${to}`, "log rawmeasurements statistics tracking"])
          ])
        ])
      )

/**
 * chronyd's idea of how far the system's clock is behind, seconds: what its own idea of the time is ahead. NaN while it has none.
 */
const chronydError = async (): Promise<number> => {
  const asked = ["-h", options.address, "-p", String(chronycPort), "-n", "-c", "tracking"]
  try {
    const printed = await launchAndRead(peerCommand("bookworm", "usr/bin/chronyc", asked), options.cores)
    const [, , stratum, , offset] = printed.split(",")
    return Number(stratum) === 11 ? Number(offset) : Number.NaN
  } catch {
    return Number.NaN
  }
}

/** The page has no name: it is what the node's processes hold a descriptor of. */
const findPage = (): number => {
  for (const pid of node.pids())
    for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
      const path = `/proc/${pid}/fd/${descriptor}`
      try {
        if (readlinkSync(path).includes("meridian-clock-page")) return openSync(path, "r")
      } catch {
        // Closed meanwhile.
      }
    }
  return fail(1, "no process of the node holds a clock page: run it as the same user")
}
const page = openClockPageReader(findPage())
const { readClocks } = systemClock()
const now = new Float64Array(3)
const curve = unsynchronisedCurve()
/** |error| of served time, seconds; and how many of them lay outside what the page claimed at that moment. */
const errors: number[] = []
const chronydErrors: number[] = []
const suspended: readonly number[] = [...node.pids(), ...(beside?.pids() ?? [])]
const tell = (signal: NodeJS.Signals): void => {
  for (const pid of suspended)
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended: the figures will say so.
    }
}
const middle = (minutes * 60 * SAMPLES_PER_SECOND) >> 1
const awake = middle + suspend * SAMPLES_PER_SECOND
/** From the suspension on: |error| of served time, seconds. */
const errorsSince: number[] = []
const chronydErrorsSince: number[] = []
let outside = 0
let unsynchronised = 0
const begun = performance.now()
for (let sample = 0; sample < minutes * 60 * SAMPLES_PER_SECOND; sample++) {
  // To the moment that is due: on a busy machine chronyc takes as long as ten readings.
  await sleep(Math.max(0, begun + (1000 * (sample + 1)) / SAMPLES_PER_SECOND - performance.now()))
  if (suspend > 0 && sample === middle) tell("SIGSTOP")
  if (suspend > 0 && sample === awake) tell("SIGCONT")
  const isSuspended = sample >= middle && sample < awake
  let its = Number.NaN
  if (beside !== undefined && sample % SAMPLES_PER_SECOND === 0 && !isSuspended) {
    its = await chronydError()
    if (Number.isFinite(its)) chronydErrors.push(Math.abs(its))
    if (Number.isFinite(its) && sample >= middle) chronydErrorsSince.push(Math.abs(its))
  }
  readClocks(now)
  const monotonic = now[NOW_MONOTONIC_SECONDS] as number
  if (!page.readInto(curve) || !isSynchronised(curve, monotonic)) {
    unsynchronised++
    continue
  }
  const realtime = {
    seconds: now[NOW_REALTIME_SECONDS] as number,
    nanoseconds: now[NOW_REALTIME_NANOSECONDS] as number
  }
  const signed = unixDifferenceSeconds(servedTimeAt(curve, monotonic), realtime)
  const error = Math.abs(signed)
  const claimed = rootDispersionAt(curve, monotonic) + curve.rootDelay / 2
  errors.push(error)
  if (sample >= middle) errorsSince.push(error)
  if (error > claimed) outside++
  if (record !== undefined && sample % SAMPLES_PER_SECOND === 0)
    appendFileSync(
      join(record, "errors"),
      `${[realtime.seconds + realtime.nanoseconds / 1e9, signed, claimed, its].join(" ")}\n`
    )
}
const alive = new Set([...node.pids(), ...(beside?.pids() ?? [])])
await node.stop()
await beside?.stop()
await Promise.all(relays.map((it) => it.stop()))
await upstream.stop()

if (errors.length === 0) fail(1, "the node was never synchronised")
const quantilesOf = (values: readonly number[]) => {
  const ordered = values.toSorted((a, b) => a - b)
  const quantile = (share: number): number => (ordered[Math.ceil(share * ordered.length) - 1] ?? Number.NaN) * 1e6
  return { p50: quantile(0.5), p99: quantile(0.99), max: quantile(1) }
}
const result = {
  upstream: upstream.label,
  minutes,
  polls: [Number(flags.minpoll), Number(flags.maxpoll)],
  samples: errors.length,
  unsynchronisedSamples: unsynchronised,
  network: network ?? "loopback",
  microseconds: quantilesOf(errors),
  suspended:
    suspend === 0
      ? null
      : {
          seconds: suspend,
          processes: suspended.length,
          ended: suspended.filter((pid) => !alive.has(pid)).length,
          microseconds: quantilesOf(errorsSince),
          chronyd: quantilesOf(chronydErrorsSince)
        },
  chronyd: beside === undefined ? null : { label: beside.label, ...quantilesOf(chronydErrors) },
  outsideClaim: outside
}
if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(result, null, 2)}\n`)
const { p50, p99, max } = result.microseconds
console.log(
  `${result.upstream} on ${result.network}, polls 2^${flags.minpoll} to 2^${flags.maxpoll} s, ${minutes} min, ${errors.length} readings: ` +
    `|offset| p50 ${p50.toFixed(2)} µs, p99 ${p99.toFixed(2)} µs, max ${max.toFixed(2)} µs; ` +
    `${outside} outside the claimed bound, ${unsynchronised} not synchronised`
)
if (result.chronyd !== null) {
  const { label, ...its } = result.chronyd
  console.log(
    `${label} -x beside it: |offset| p50 ${its.p50.toFixed(2)} µs, p99 ${its.p99.toFixed(2)} µs, max ${its.max.toFixed(2)} µs`
  )
}
if (result.suspended !== null) {
  const { seconds, processes, ended, microseconds, chronyd } = result.suspended
  console.log(
    `${processes} processes stopped for ${seconds} s, ${ended} of them replaced: from then on |offset| p99 ${microseconds.p99.toFixed(2)} µs, ` +
      `max ${microseconds.max.toFixed(2)} µs; chronyd p99 ${chronyd.p99.toFixed(2)} µs, max ${chronyd.max.toFixed(2)} µs`
  )
}
