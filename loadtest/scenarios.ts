/**
 * The scenario table: `npm run scenarios [-- NAME] [--json FILE] [--plots DIR] [--seeds N] [--against R]`.
 *
 * Runs Meridian's clock discipline through simulated worlds and prints how far its time was off, beside RFC 5905's own
 * discipline over the same seeds and beside the limits of the chrony simulation tests that are reproduced. NAME picks
 * scenarios whose name contains it, or a group: chrony, settled, attack. Exit status 1 when a target is missed.
 *
 * "bound true" is the share of seconds in which the error was within the claimed root distance, "in 2 sd" the share within
 * two of the standard deviations that the estimator believes in: 95 % when it knows itself well. The asymmetry of a path is
 * in the first and cannot be in the second. `--against regression` compares with regression and a runs test instead.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { formatSeconds } from "@meridian/algorithms/verdict"
import type { Scenario } from "@meridian/testkit/scenario"
import { chronyScenarios } from "@meridian/testkit/scenario-chrony"
import { ownScenarios } from "@meridian/testkit/scenario-own"
import { scenarioPlot } from "@meridian/testkit/scenario-plot"
import { judgeScenario, type Reference, type ScenarioOutcome } from "@meridian/testkit/scenario-run"
import { summarise } from "@meridian/testkit/scenario-summary"

const usage =
  "usage: npm run scenarios [-- NAME] [--json FILE] [--plots DIR] [--seeds N] [--against rfc5905|regression]"

const columns = (against: Reference): readonly string[] => [
  "scenario",
  "RMS",
  against === "rfc5905" ? "RFC 5905" : "regressn",
  "ratio",
  "max",
  "bound true",
  "mean bound",
  "in 2 sd",
  "requests",
  ""
]

const row = (outcome: ScenarioOutcome): readonly string[] => {
  const { scenario, meridian } = outcome
  const first = meridian[0]
  const silent = scenario.mustNotSynchronise === true
  const verdict = outcome.met
    ? silent
      ? "rightly silent"
      : outcome.checks.length > 0
        ? "within limits"
        : ""
    : silent
      ? "CLAIMED TO KNOW"
      : `OVER: ${outcome.checks
          .filter((check) => !check.met)
          .map((check) => `${check.what} ${check.found.toExponential(1)} > ${check.limit.toExponential(1)}`)
          .join(", ")}`
  return [
    scenario.name,
    silent ? "–" : formatSeconds(outcome.rms),
    outcome.referenceRms === undefined ? "–" : formatSeconds(outcome.referenceRms),
    outcome.ratio === undefined ? "–" : outcome.ratio.toFixed(3),
    silent ? "–" : formatSeconds(outcome.max),
    first === undefined || first.claimed === 0 ? "–" : `${(100 * outcome.coverage).toFixed(2)} %`,
    first === undefined || first.claimed === 0 ? "–" : formatSeconds(first.meanBound),
    first === undefined || first.claimed === 0 ? "–" : `${(100 * first.withinTwoDeviations).toFixed(0)} %`,
    String(first?.requests ?? 0),
    verdict
  ]
}

const widths = [37, 8, 8, 6, 8, 10, 10, 7, 8, 0]

const line = (cells: readonly string[]): string =>
  cells
    .map((cell, i) => (i === 0 || i === cells.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
    .join("  ")
    .trimEnd()

const fileName = (scenario: Scenario): string => `${scenario.name.replace(/[^a-zA-Z0-9.+-]+/g, "-")}.svg`

/** What is written for machines: every run of every scenario, and the summary. */
const report = (outcomes: readonly ScenarioOutcome[], seeds: readonly number[], against: Reference): unknown => ({
  seeds,
  reference: against,
  summary: summarise(outcomes, against),
  scenarios: outcomes.map(({ scenario, ...found }) => ({
    name: scenario.name,
    title: scenario.title,
    group: scenario.group,
    durationSeconds: scenario.duration,
    settlingSeconds: scenario.settling,
    limits: scenario.limits ?? null,
    mustNotSynchronise: scenario.mustNotSynchronise ?? false,
    rmsSeconds: found.rms,
    referenceRmsSeconds: found.referenceRms ?? null,
    ratio: found.ratio ?? null,
    maxSeconds: found.max,
    coverage: found.coverage,
    checks: found.checks,
    met: found.met,
    meridianRuns: found.meridian,
    referenceRuns: found.reference
  }))
})

const run = (): number => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "string" },
      plots: { type: "string" },
      seeds: { type: "string" },
      against: { type: "string" },
      help: { type: "boolean" }
    }
  })
  if (values.help === true) {
    console.log(usage)
    return 0
  }
  const count = Number(values.seeds ?? 3)
  if (!Number.isInteger(count) || count < 1 || count > 100) {
    console.error(`--seeds takes a whole number from 1 to 100, not ${values.seeds}\n${usage}`)
    return 2
  }
  const against = values.against ?? "rfc5905"
  if (against !== "rfc5905" && against !== "regression") {
    console.error(`--against takes rfc5905 or regression, not ${against}\n${usage}`)
    return 2
  }
  const name = positionals[0]
  const all = [...ownScenarios, ...chronyScenarios]
  const chosen = all.filter((it) => name === undefined || it.group === name || it.name.includes(name))
  if (chosen.length === 0) {
    console.error(`no scenario's name contains "${name}"; there are:\n${all.map((it) => `  ${it.name}`).join("\n")}`)
    return 2
  }
  const seeds = Array.from({ length: count }, (_, i) => i + 1)
  if (values.plots !== undefined) mkdirSync(values.plots, { recursive: true })
  console.log(line(columns(against)))
  const outcomes = chosen.map((scenario) => {
    const outcome = judgeScenario(scenario, seeds, against)
    console.log(line(row(outcome)))
    if (values.plots !== undefined)
      writeFileSync(
        join(values.plots, fileName(scenario)),
        scenarioPlot(`${scenario.name}: ${scenario.title}`, outcome.trace)
      )
    return outcome
  })
  const summary = summarise(outcomes, against)
  console.log("")
  for (const { what, found, target, met } of summary)
    console.log(`${met ? "met    " : "NOT MET"}  ${what}: ${found} (target ${target})`)
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify(report(outcomes, seeds, against), null, 2)}\n`)
  return summary.every((it) => it.met) ? 0 : 1
}

process.exitCode = run()
