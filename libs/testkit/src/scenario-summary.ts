/** What a set of scenarios comes to, against the accuracy that the project asks of itself. */
import type { Reference, ScenarioOutcome } from "./scenario-run.ts"

interface SummaryLine {
  readonly what: string
  readonly found: string
  readonly target: string
  readonly met: boolean
}

const RATIO_TARGET = 0.7
/** Against chronyd: in each world, and in the geometric mean. */
const CHRONYD_EACH = 1
const CHRONYD_MEAN = 0.8
/** More requests than chronyd's times this have to buy an error of at most half of its. */
const TRAFFIC = 1.1
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

/** chronyd's figures for one world: seconds, and requests after settling. */
interface ChronydWorld {
  readonly own: { readonly rms: number; readonly requests: number }
  readonly equal?: { readonly rms: number }
}

interface Compared {
  readonly name: string
  readonly ratio: number
}

/** Ugly worlds in which the RFC's own loop errs less. */
const worseLine = (outcomes: readonly ScenarioOutcome[], against: Reference): readonly SummaryLine[] => {
  const ugly = outcomes.filter(({ scenario, ratio }) => scenario.group === "ugly" && ratio !== undefined)
  const worse = ugly.filter(({ ratio }) => (ratio ?? 0) > 1)
  if (ugly.length === 0 || against !== "rfc5905") return []
  return [
    {
      what: `RMS error against ${against}, ugly worlds (${ugly.length} scenarios)`,
      found:
        worse.length === 0
          ? "none worse"
          : `worse: ${worse.map(({ scenario, ratio }) => `${scenario.name} ${ratio?.toFixed(2)}`).join(", ")}`,
      target: "none worse",
      met: worse.length === 0
    }
  ]
}

const chronydLine = (what: string, compared: readonly Compared[]): readonly SummaryLine[] => {
  if (compared.length === 0) return []
  const mean = geometricMean(compared.map((it) => it.ratio))
  const over = compared.filter((it) => it.ratio > CHRONYD_EACH).toSorted((a, b) => b.ratio - a.ratio)
  const each = over.map((it) => `${it.name} ${it.ratio.toFixed(2)}`).join(", ")
  return [
    {
      what: `RMS error against chronyd, ${what} (${compared.length} scenarios)`,
      found: `geometric mean ${mean.toFixed(3)}, over in ${over.length}${each === "" ? "" : `: ${each}`}`,
      target: `≤ ${CHRONYD_EACH} in each, ${CHRONYD_MEAN} in the mean`,
      met: over.length === 0 && mean <= CHRONYD_MEAN
    }
  ]
}

/** Whether it asks more than chronyd does and has not half of its error for that. */
const asksMore = ({ requests, rms }: ScenarioOutcome, chronyd: ChronydWorld | undefined): boolean =>
  chronyd !== undefined && requests > TRAFFIC * chronyd.own.requests + 2 && rms > chronyd.own.rms / 2

/** Whether a goal that is set for each world by itself is missed in this one. */
export const isBehind = (outcome: ScenarioOutcome, chronyd: ChronydWorld | undefined): boolean =>
  !outcome.met ||
  (outcome.scenario.mustNotSynchronise !== true &&
    (outcome.rms > CHRONYD_EACH * (chronyd?.own.rms ?? Number.POSITIVE_INFINITY) ||
      (outcome.equalRms ?? 0) > CHRONYD_EACH * (chronyd?.equal?.rms ?? Number.POSITIVE_INFINITY) ||
      asksMore(outcome, chronyd) ||
      (outcome.coverage < COVERAGE_TARGET && !beyondKnowing.has(outcome.scenario.name)) ||
      (outcome.scenario.group === "ugly" && (outcome.ratio ?? 0) > 1)))

const ratioTo = (found: number | undefined, chronyd: number | undefined, name: string): readonly Compared[] =>
  found === undefined || chronyd === undefined || chronyd === 0 ? [] : [{ name, ratio: found / chronyd }]

/** What the outcomes come to beside chronyd in the same worlds. */
export const summariseChronyd = (
  outcomes: readonly ScenarioOutcome[],
  worlds: Readonly<Record<string, ChronydWorld>>
): readonly SummaryLine[] => {
  const told = outcomes.filter(({ scenario }) => scenario.mustNotSynchronise !== true)
  const own = told.flatMap((it) => ratioTo(it.rms, worlds[it.scenario.name]?.own.rms, it.scenario.name))
  const equal = told.flatMap((it) => ratioTo(it.equalRms, worlds[it.scenario.name]?.equal?.rms, it.scenario.name))
  const asking = told.flatMap((it) => {
    const chronyd = worlds[it.scenario.name]
    return asksMore(it, chronyd) ? [`${it.scenario.name} ${it.requests} for ${chronyd?.own.requests}`] : []
  })
  return [
    ...chronydLine("each with its own polls", own),
    ...chronydLine("both asking every 64 s", equal),
    ...(own.length === 0
      ? []
      : [
          {
            what: "more requests than chronyd without half its error",
            found: asking.length === 0 ? "none" : asking.join(", "),
            target: "none",
            met: asking.length === 0
          }
        ])
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
    ...worseLine(outcomes, against),
    ...ratioLine("from a cold start", chrony, against),
    ...all("chrony's scenarios within 1.1 times their limits", "all", chrony),
    ...all("falseticking minorities and failing servers withstood", "all", attacks),
    ...coverage("claimed bound true, whatever happens", claiming),
    ...coverage("claimed bound true in holdover", holdovers)
  ]
}
