/**
 * npx node loadtest/replay-live.ts FOLDER
 *
 * Runs what `live-offset.ts --record FOLDER` kept of Meridian's samples through the discipline once more, without network and
 * processes. Where that says what the live run said, the samples and the algorithm explain it, and not the processes. What
 * chronyd measured is beside it, for the eye: against its own idea of the time, which its logs do not have at each packet.
 * Exit code: 0 replayed, 1 nothing recorded there, 2 a wrong command line.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { meridianClient } from "@meridian/testkit/sim-client-meridian"

interface Measured {
  /** Unix time, seconds. */
  readonly time: number
  /** Seconds. */
  readonly offset: number
  readonly delay: number
}

/** One line of `errors`: Unix time, Meridian's error, its claim, chronyd's error (NaN while it had none). */
type Reading = readonly [time: number, error: number, claim: number, chronyd: number]

const NTP_TO_UNIX = 2_208_988_800
const PRECISION = 2 ** -26
/** Of live-offset.ts's minpoll and maxpoll as it is run for docs/scenarios.md, log2 seconds. */
const POLLS = { minpoll: 3, maxpoll: 5 }

const lines = (folder: string, file: string): readonly string[] =>
  readFileSync(join(folder, file), "utf8").trim().split("\n")

/** Whole seconds and nanoseconds apart: a double has not digits enough for both. */
const apart = (a: string, b: string): number => {
  const [aSeconds, aRest] = a.split(".")
  const [bSeconds, bRest] = b.split(".")
  return Number(aSeconds) - Number(bSeconds) + (Number(`0.${aRest}`) - Number(`0.${bRest}`))
}

const rawstats = (line: string): Measured => {
  const [t1 = "", t2 = "", t3 = "", t4 = ""] = line.split(/\s+/).slice(4)
  return {
    time: Number(t4) - NTP_TO_UNIX,
    offset: (apart(t2, t1) + apart(t3, t4)) / 2,
    delay: apart(t4, t1) - apart(t3, t2)
  }
}

const quantiles = (errors: readonly number[]): string => {
  const ordered = errors.map(Math.abs).toSorted((a, b) => a - b)
  const quantile = (share: number): string =>
    (1e3 * (ordered[Math.ceil(share * ordered.length) - 1] ?? Number.NaN)).toFixed(2)
  return `p50 ${quantile(0.5)}, p99 ${quantile(0.99)}, max ${quantile(1)} ms`
}

/** Errors of what would have been served, once a second from the first setting on: true time is our clock's. */
const replayed = (samples: readonly Measured[], until: number): readonly number[] => {
  const client = meridianClient({ sources: [POLLS], precision: PRECISION, discipline: POLLS })
  const begin = samples[0]?.time ?? until
  const errors: number[] = []
  let next = 0
  for (let now = begin; now < until; now++) {
    for (; next < samples.length && (samples[next]?.time ?? until) <= now; next++) {
      const { time, offset, delay } = samples[next] as Measured
      const at = time - begin
      client.polled(0, at)
      const sample = { time: at, offset, delay: Math.max(PRECISION, delay), dispersion: 2 * PRECISION + 15e-6 * delay }
      client.answered(0, { sample, report: { stratum: 10, leap: 0, rootDelay: 0, rootDispersion: 0, loop: false } }, at)
    }
    if (client.discipline.state !== "unset") errors.push(client.correction(now - begin))
  }
  return errors
}

const main = (folder: string | undefined): number => {
  if (folder === undefined) {
    console.error("usage: npx node loadtest/replay-live.ts FOLDER")
    return 2
  }
  const readings = lines(folder, "errors").map((line) => line.split(" ").map(Number) as unknown as Reading)
  const until = readings.at(-1)?.[0] ?? 0
  const own = lines(folder, "meridian/rawstats").map(rawstats)
  console.log(`live: Meridian ${quantiles(readings.map((it) => it[1]).filter(Number.isFinite))}`)
  console.log(`live: chronyd ${quantiles(readings.map((it) => it[3]).filter(Number.isFinite))}`)
  console.log(`replayed: Meridian with its ${own.length} samples: ${quantiles(replayed(own, until))}`)
  return 0
}

try {
  process.exitCode = main(process.argv[2])
} catch (error) {
  console.error(`replay-live: ${(error as Error).message}; expected what live-offset.ts --record FOLDER keeps`)
  process.exitCode = 1
}
