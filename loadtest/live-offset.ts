/**
 * npx node loadtest/live-offset.ts [--minutes N] [--minpoll N] [--maxpoll N] [--network NAME] [--seed N] [--step SECONDS]
 *     [--suspend SECONDS] [--restart] [--json FILE] [--record FOLDER]
 *
 * How far served time is from the truth, live: chronyd serves this machine's own clock on loopback, a node follows it,
 * and since both stand on one CLOCK_REALTIME, what served time is ahead of that clock is its error. Read ten times a
 * second from the node's first decision on. The polls are ntp.conf's defaults (64 to 1024 s) unless told otherwise.
 * --network puts a path between (delay-relay.ts) and a chronyd -x beside the node, started in the same moment, which follows the
 * same server over a path of the same kind; what it takes for the offset of the system's clock is its error, read once a
 * second. They are compared over the seconds in which both were synchronised. --seed has the paths delay otherwise.
 *
 * What befalls both in a run, evenly spread over it and with what was read from then on told apart: --step sets the CLOCK_REALTIME of
 * their processes by so much, through the library that tests use; --suspend stops every process of both for so long, as a laptop's lid
 * does; --restart ends both in order and starts them again, with what each keeps on disk.
 * --record keeps what both measured and what they said: Meridian's statistics and chronyd's logs, and the errors, read once a
 * second (`errors`: Unix time, served time's error and claim, chronyd's error; seconds). replay-live.ts runs the discipline over
 * Meridian's once more.
 * Exit code: 0 measured, 1 could not be measured, 2 a wrong command line.
 */
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import type { ClockPageReader } from "@meridian/clocks/clock-page"
import { systemClock } from "@meridian/clocks/system-clock"
import { NOW_MONOTONIC_SECONDS, NOW_REALTIME_NANOSECONDS, NOW_REALTIME_SECONDS } from "@meridian/clocks/system-clock"
import { SteppedRealtime } from "@meridian/testkit/stepped-realtime"
import { isSynchronised, rootDispersionAt, servedTimeAt, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { unixDifferenceSeconds } from "@meridian/time/timestamp"
import { leaveNothingBehind } from "./children.ts"
import { livePaths } from "./delay-relay.ts"
import { findPage, startClients } from "./live-clients.ts"
import { type Disturbance, disturber, momentsOf } from "./live-disturbances.ts"
import { beside, inWords, type LiveResult, phase, quantilesOf, type Reading } from "./live-figures.ts"
import { missing } from "./servers.ts"

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
        seed: { type: "string", default: "1" },
        step: { type: "string" },
        suspend: { type: "string" },
        restart: { type: "boolean", default: false },
        json: { type: "string" },
        record: { type: "string" }
      }
    }).values
  } catch (error) {
    return fail(2, (error as Error).message)
  }
}

const flags = readFlags()
const { network } = flags
const numberOf = (
  flag: "minutes" | "seed" | "step" | "suspend",
  expected: string,
  isRight: (it: number) => boolean
) => {
  const value = Number(flags[flag])
  return isRight(value) ? value : fail(2, `expected --${flag} of ${expected}, found "${flags[flag]}"`)
}
const minutes = numberOf("minutes", "more than 0 and at most 1440", (it) => it > 0 && it <= 24 * 60)
const seed = numberOf("seed", "a whole number from 1 on", (it) => Number.isSafeInteger(it) && it > 0)
if (network !== undefined && livePaths[network] === undefined)
  fail(2, `expected --network ${Object.keys(livePaths).join(", ")}, found "${network}"`)

const planned: readonly Disturbance[] = [
  ...(flags.step === undefined
    ? []
    : [
        { what: "step", seconds: numberOf("step", "at most a day in seconds", (it) => Math.abs(it) <= 86_400) } as const
      ]),
  ...(flags.suspend === undefined || Number(flags.suspend) === 0
    ? []
    : [
        {
          what: "suspend",
          seconds: numberOf("suspend", "less than a quarter of the run in seconds", (it) => it > 0 && it < minutes * 15)
        } as const
      ]),
  ...(flags.restart ? [{ what: "restart" } as const] : [])
]
const moments = momentsOf(planned.length, minutes * 60)

const record = flags.record === undefined ? undefined : resolve(flags.record)
if (record !== undefined) {
  mkdirSync(record, { recursive: true })
  writeFileSync(join(record, "errors"), "")
}

leaveNothingBehind()
const reason = missing("chronyd43")
if (reason !== undefined) fail(1, reason)

const realtime = planned.some(({ what }) => what === "step") ? new SteppedRealtime() : undefined
process.once("exit", () => realtime?.close())
const begun = performance.now()
const clients = await startClients({
  network,
  seed,
  polls: [Number(flags.minpoll), Number(flags.maxpoll)],
  record,
  environment: (realtime?.environment ?? {}) as Readonly<Record<string, string>>
})
const disturb = disturber(clients, realtime)

const { readClocks } = systemClock()
const now = new Float64Array(3)
const curve = unsynchronisedCurve()
/** Error of served time, seconds; and how many of them lay outside what the page claimed at that moment. */
const errors: number[] = []
const readings: Reading[] = []
let outside = 0
let unsynchronised = 0
let page: ClockPageReader | undefined
const first = { meridian: Number.NaN, chronyd: Number.NaN }

for (let sample = 0; sample < minutes * 60 * SAMPLES_PER_SECOND; sample++) {
  // To the moment that is due: on a busy machine chronyc takes as long as ten readings.
  await sleep(Math.max(0, begun + (1000 * (sample + 1)) / SAMPLES_PER_SECOND - performance.now()))
  const isWholeSecond = sample % SAMPLES_PER_SECOND === 0
  const due = isWholeSecond ? planned[moments.indexOf(sample / SAMPLES_PER_SECOND)] : undefined
  if (due !== undefined) disturb.begin(due)
  const its =
    clients.beside !== undefined && isWholeSecond && !disturb.isSuspended() && disturb.isThere()
      ? (await clients.chronydOffset()) + disturb.stepped()
      : Number.NaN
  if (disturb.isThere()) page ??= findPage(clients.node)
  else page = undefined
  readClocks(now)
  const monotonic = now[NOW_MONOTONIC_SECONDS] as number
  const realtimeNow = {
    seconds: now[NOW_REALTIME_SECONDS] as number,
    nanoseconds: now[NOW_REALTIME_NANOSECONDS] as number
  }
  let [error, claim] = [Number.NaN, Number.NaN]
  if (page?.readInto(curve) === true && isSynchronised(curve, monotonic)) {
    error = unixDifferenceSeconds(servedTimeAt(curve, monotonic), realtimeNow)
    claim = rootDispersionAt(curve, monotonic) + curve.rootDelay / 2
    errors.push(error)
    if (Math.abs(error) > claim) outside++
  } else if (errors.length > 0) unsynchronised++
  const at = (performance.now() - begun) / 1000
  if (Number.isNaN(first.meridian) && Number.isFinite(error)) first.meridian = at
  if (Number.isNaN(first.chronyd) && Number.isFinite(its)) first.chronyd = at
  if (!isWholeSecond) continue
  readings.push({ at, meridian: error, claim, chronyd: its })
  if (record !== undefined)
    appendFileSync(
      join(record, "errors"),
      `${[realtimeNow.seconds + realtimeNow.nanoseconds / 1e9, error, claim, its].join(" ")}\n`
    )
}
const suspended = disturb.suspended() ?? null
const outage = disturb.outage() ?? null
await clients.stop()

if (errors.length === 0) fail(1, "the node was never synchronised")
const phases = planned.map((it, i) => {
  const [from = 0, until = readings.length] = moments.slice(i, i + 2)
  return phase("seconds" in it ? `${it.what} ${it.seconds} s` : it.what, from, readings.slice(from, until))
})
const result: LiveResult = {
  upstream: clients.upstream.label,
  minutes,
  seed,
  polls: [Number(flags.minpoll), Number(flags.maxpoll)],
  network: network ?? "loopback",
  samples: errors.length,
  unsynchronisedSamples: unsynchronised,
  microseconds: quantilesOf(errors),
  outsideClaim: outside,
  first,
  chronyd: clients.beside === undefined ? null : { label: clients.beside.label, ...beside(readings) },
  phases,
  suspended,
  outage
}
if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(result, null, 2)}\n`)
console.log(inWords(result).join("\n"))
