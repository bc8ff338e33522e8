/** Runs scenarios: Meridian's discipline and the RFC's over the same seeds, and a verdict on what was asked. */
import { defaultDisciplineOptions } from "@meridian/algorithms"
import { hasEqualPolls } from "./scenario-clknetsim.ts"
import type { Scenario, ScenarioLimits } from "./scenario.ts"
import { meridianClient } from "./sim-client-meridian.ts"
import { rfcClient } from "./sim-client-rfc.ts"
import { RegressionEstimator } from "./sim-regression.ts"
import type { SimulationResult, SimulationTrace } from "./sim-judge.ts"
import { runSimulation } from "./sim-run.ts"

/** Reading error that simulated clocks claim, seconds. */
export const PRECISION = 1e-7

/** How much over a published limit still counts as within it. */
const LIMIT_FACTOR = 1.1

interface LimitCheck {
  readonly what: keyof ScenarioLimits
  readonly found: number
  readonly limit: number
  readonly met: boolean
}

export interface ScenarioOutcome {
  readonly scenario: Scenario
  /** One result for each seed. */
  readonly meridian: readonly SimulationResult[]
  /** Empty when the scenario is not compared. */
  readonly reference: readonly SimulationResult[]
  /** Root mean square over the seeds, seconds. */
  readonly rms: number
  /** The same when it is asked every 64 s, where that was run. */
  readonly equalRms: number | undefined
  /** Requests after settling, mean of the seeds. */
  readonly requests: number
  readonly referenceRms: number | undefined
  readonly referenceRequests: number | undefined
  readonly ratio: number | undefined
  readonly max: number
  /** Least over the seeds. */
  readonly coverage: number
  readonly checks: readonly LimitCheck[]
  readonly met: boolean
  /** Of the first seed. */
  readonly trace: SimulationTrace
}

const quadratic = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length)

const requestsOf = (results: readonly SimulationResult[]): number =>
  Math.round(results.reduce((sum, it) => sum + it.settledRequests, 0) / results.length)

const worst = (results: readonly SimulationResult[], of: (result: SimulationResult) => number): number =>
  Math.max(...results.map(of))

const limitChecks = (scenario: Scenario, results: readonly SimulationResult[]): readonly LimitCheck[] => {
  const { limits } = scenario
  if (limits === undefined) return []
  const check = (what: keyof ScenarioLimits, found: number): LimitCheck => ({
    what,
    found,
    limit: limits[what],
    met: found <= LIMIT_FACTOR * limits[what]
  })
  const figures: Readonly<Record<keyof ScenarioLimits, (it: SimulationResult) => number>> = {
    timeMax: (it) => it.max,
    timeRms: (it) => it.rms,
    frequencyMax: (it) => it.frequencyMax,
    frequencyRms: (it) => it.frequencyRms,
    synchronisedBy: (it) => it.synchronisedAt
  }
  return (Object.keys(figures) as (keyof ScenarioLimits)[]).map((what) => check(what, worst(results, figures[what])))
}

/** One run of one scenario. */
export const runScenario = (
  scenario: Scenario,
  seed: number,
  discipline: "meridian" | Reference,
  trace?: SimulationTrace
): SimulationResult => {
  const world = scenario.world(seed)
  const { minpoll, maxpoll } = { ...defaultDisciplineOptions, ...scenario.options }
  const client =
    discipline !== "rfc5905"
      ? meridianClient({
          estimator: discipline === "regression" ? (precision) => new RegressionEstimator(precision) : undefined,
          sources: world.sources,
          precision: PRECISION,
          discipline: scenario.options ?? {},
          frequency: world.frequency
        })
      : rfcClient({ sources: world.sources, precision: PRECISION, minpoll, maxpoll, frequency: world.frequency?.value })
  return runSimulation(
    {
      seed,
      duration: scenario.duration,
      oscillator: world.oscillator,
      sources: world.sources,
      precision: PRECISION,
      settling: scenario.settling,
      claimsFrom: scenario.claimsFrom ?? 0,
      syncLimit: scenario.limits?.timeMax ?? 1e-3,
      ...(scenario.limits === undefined ? {} : { syncFrequencyLimit: scenario.limits.frequencyMax })
    },
    client,
    { trace }
  )
}

/** What Meridian's discipline can be measured against: the RFC's, or itself with regression as its estimator. */
export type Reference = "rfc5905" | "regression"

/** The same world with every source asked every 2^poll seconds. */
const askedEvery = (scenario: Scenario, poll: number): Scenario => ({
  ...scenario,
  options: { ...scenario.options, minpoll: poll, maxpoll: poll },
  world: (seed) => {
    const world = scenario.world(seed)
    return { ...world, sources: world.sources.map((source) => ({ ...source, minpoll: poll, maxpoll: poll })) }
  }
})

/**
 * All runs of one scenario, and what they come to.
 * @param equalPoll an exponent at which it is run once more, where its polls are not part of it
 */
export const judgeScenario = (
  scenario: Scenario,
  seeds: readonly number[],
  against: Reference = "rfc5905",
  equalPoll?: number
): ScenarioOutcome => {
  const trace: SimulationTrace = { time: [], error: [], bound: [] }
  const meridian = seeds.map((seed, i) => runScenario(scenario, seed, "meridian", i === 0 ? trace : undefined))
  const reference = scenario.compared ? seeds.map((seed) => runScenario(scenario, seed, against)) : []
  const rms = quadratic(meridian.map((it) => it.rms))
  const asked = equalPoll === undefined || !hasEqualPolls(scenario) ? undefined : askedEvery(scenario, equalPoll)
  const equal = asked === undefined ? [] : seeds.map((seed) => runScenario(asked, seed, "meridian"))
  const referenceRms = reference.length > 0 ? quadratic(reference.map((it) => it.rms)) : undefined
  const checks = limitChecks(scenario, meridian)
  const silent = scenario.mustNotSynchronise !== true || meridian.every((it) => it.claimed === 0)
  return {
    scenario,
    meridian,
    reference,
    rms,
    equalRms: equal.length === 0 ? undefined : quadratic(equal.map((it) => it.rms)),
    requests: requestsOf(meridian),
    referenceRms,
    referenceRequests: reference.length > 0 ? requestsOf(reference) : undefined,
    ratio: referenceRms === undefined ? undefined : rms / referenceRms,
    max: worst(meridian, (it) => it.max),
    coverage: Math.min(...meridian.map((it) => it.coverage)),
    checks,
    met: silent && checks.every((it) => it.met),
    trace
  }
}
