/**
 * npx node loadtest/cold-starts.ts [--runs N] [--minutes N] [--network NAME] [--frequency PPM] [--minpoll N] [--maxpoll N]
 *
 * What live-offset.ts measures once, in the simulator and many times: a node starts behind one of its paths with a clock that is
 * right and does not know it, polls of 8 to 32 s. Prints the errors from the first setting on, those of the first minute from then, and
 * those after three minutes from the start, with and without a scheduler that holds a fifth of the packets.
 */
import { parseArgs } from "node:util"
import type { Scenario } from "@meridian/testkit/scenario"
import { runScenario } from "@meridian/testkit/scenario-run"
import { changedPath, type PathModel } from "@meridian/testkit/sim-network"
import { livePaths } from "./delay-relay.ts"

const HELD_SHARE = 0.2
/** Mean of what the scheduler holds a packet for, seconds: times two exponential draws. */
const HELD = 0.02
const LATER = 180
const EARLY = 60

/** Of a fifth of the exchanges a half is held on the way there, a half on the way back. */
const onBusyMachine = (path: PathModel): PathModel =>
  changedPath(path, (_t, _direction, random) =>
    random.uniform() < HELD_SHARE / 2 ? HELD * random.exponential() * random.exponential() : 0
  )

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "200" },
    minutes: { type: "string", default: "13" },
    network: { type: "string" },
    frequency: { type: "string", default: "0" },
    minpoll: { type: "string", default: "3" },
    maxpoll: { type: "string", default: "5" }
  }
})
const polls = { minpoll: Number(values.minpoll), maxpoll: Number(values.maxpoll) }

interface Second {
  readonly at: number
  readonly error: number
  /** Infinity before the clock was set. */
  readonly bound: number
}

/** A server that is right and says so. */
const server = { error: () => 0, report: () => ({ stratum: 1, leap: 0 as const, rootDelay: 0, rootDispersion: 0 }) }

const coldStart = (path: PathModel, seed: number): readonly Second[] => {
  const scenario: Scenario = {
    name: "cold start",
    title: "a clock that is right and does not know it",
    group: "ugly",
    duration: 60 * Number(values.minutes),
    settling: 0,
    compared: false,
    options: polls,
    world: () => ({
      oscillator: { offset: 0, frequency: 1e-6 * Number(values.frequency), wander: 3e-10, quantum: 1e-7 },
      sources: [{ server, path, iburst: true, ...polls }]
    })
  }
  const trace = { time: [] as number[], error: [] as number[], bound: [] as number[] }
  runScenario(scenario, seed, "meridian", trace)
  return trace.time.map((at, i) => ({ at, error: trace.error[i] ?? 0, bound: trace.bound[i] ?? 0 }))
}

const quantile = (ordered: readonly number[], share: number): string =>
  (1e3 * (ordered[Math.ceil(share * ordered.length) - 1] ?? Number.NaN)).toFixed(2)

const quantiles = (errors: readonly number[]): string => {
  const ordered = errors.map(Math.abs).toSorted((a, b) => a - b)
  const squares = ordered.reduce((sum, it) => sum + it ** 2, 0)
  const rms = (1e3 * Math.sqrt(squares / Math.max(1, ordered.length))).toFixed(2)
  return `p50 ${quantile(ordered, 0.5)}, p99 ${quantile(ordered, 0.99)}, rms ${rms} ms`
}

const report = (name: string, path: PathModel): void => {
  const all: number[] = []
  const early: number[] = []
  const later: number[] = []
  const firsts: number[] = []
  let outside = 0
  for (let seed = 1; seed <= Number(values.runs); seed++) {
    const set = coldStart(path, seed).filter(({ bound }) => Number.isFinite(bound))
    const first = set[0]?.at
    if (first === undefined) continue
    firsts.push(first)
    for (const { at, error, bound } of set) {
      all.push(error)
      if (at < first + EARLY) early.push(error)
      if (at >= LATER) later.push(error)
      if (Math.abs(error) > bound) outside++
    }
  }
  const mean = firsts.reduce((sum, it) => sum + it, 0) / firsts.length
  console.log(
    `${name.padEnd(18)} all ${quantiles(all)}; first minute ${quantiles(early)}; later ${quantiles(later)}; ` +
      `set after ${mean.toFixed(2)} s, ${outside} of ${all.length} outside the claim`
  )
}

for (const [name, path] of Object.entries(livePaths)) {
  if (values.network !== undefined && name !== values.network) continue
  report(name, path)
  report(`${name}, busy`, onBusyMachine(path))
}
