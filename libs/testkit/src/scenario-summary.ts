/** What a set of scenarios comes to, against the accuracy that the project asks of itself. */
import type { Reference, ScenarioOutcome } from "./scenario-run.ts"

export interface SummaryLine {
  readonly what: string
  readonly found: string
  readonly target: string
  readonly met: boolean
}

const RATIO_TARGET = 0.7
const COVERAGE_TARGET = 0.999

const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)

/** Scenarios whose claim cannot be true: most servers agree on a lie, and no client can know. */
const beyondKnowing = new Set(["lying-majority"])

const ratioLine = (what: string, outcomes: readonly ScenarioOutcome[], against: Reference): readonly SummaryLine[] => {
  const ratios = outcomes.flatMap(({ ratio, scenario }) =>
    ratio === undefined ? [] : [{ ratio, name: scenario.name }]
  )
  if (ratios.length === 0) return []
  const worst = ratios.reduce((a, b) => (b.ratio > a.ratio ? b : a))
  return [
    {
      what: `RMS error against ${against}, ${what} (${ratios.length} scenarios)`,
      found: `worst ${worst.ratio.toFixed(3)} (${worst.name}), geometric mean ${geometricMean(ratios.map((it) => it.ratio)).toFixed(3)}`,
      target: against === "rfc5905" ? `≤ ${RATIO_TARGET} in each` : "none",
      met: against !== "rfc5905" || worst.ratio <= RATIO_TARGET
    }
  ]
}

export const summarise = (
  outcomes: readonly ScenarioOutcome[],
  against: Reference = "rfc5905"
): readonly SummaryLine[] => {
  const chrony = outcomes.filter(({ scenario }) => scenario.group === "chrony")
  const attacks = outcomes.filter(({ scenario, checks }) => scenario.group === "attack" && checks.length > 0)
  const claiming = outcomes.filter(
    ({ scenario }) => !beyondKnowing.has(scenario.name) && scenario.mustNotSynchronise !== true
  )
  const holdovers = outcomes.filter(({ scenario }) => scenario.name.startsWith("holdover"))
  const count = (some: readonly ScenarioOutcome[]): string => `${some.filter((it) => it.met).length} of ${some.length}`
  const coverage = (what: string, some: readonly ScenarioOutcome[]): readonly SummaryLine[] => {
    if (some.length === 0) return []
    const worst = some.reduce((a, b) => (b.coverage < a.coverage ? b : a))
    return [
      {
        what,
        found: `least ${(100 * worst.coverage).toFixed(3)} % (${worst.scenario.name})`,
        target: `≥ ${100 * COVERAGE_TARGET} %`,
        met: worst.coverage >= COVERAGE_TARGET
      }
    ]
  }
  const all = (what: string, target: string, some: readonly ScenarioOutcome[]): readonly SummaryLine[] =>
    some.length === 0 ? [] : [{ what, found: count(some), target, met: some.every((it) => it.met) }]
  return [
    ...ratioLine(
      "settled",
      outcomes.filter(({ scenario }) => scenario.group === "settled"),
      against
    ),
    ...ratioLine("from a cold start", chrony, against),
    ...all("chrony's scenarios within 1.1 times their limits", "all", chrony),
    ...all("falseticking minorities and failing servers withstood", "all", attacks),
    ...coverage("claimed bound true, whatever happens", claiming),
    ...coverage("claimed bound true in holdover", holdovers)
  ]
}
