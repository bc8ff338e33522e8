/**
 * The scenario table: `npm run scenarios [-- NAME] [--json FILE] [--plots DIR] [--seeds N] [--against R] [--jobs N]`.
 *
 * Runs Meridian's clock discipline through simulated worlds and prints how far its time was off, beside chronyd's error in
 * the same worlds (chronyd-figures.json says which version, and how it was had), beside RFC 5905's own discipline over the
 * same seeds, and beside the limits of the chrony simulation tests that are reproduced. NAME picks scenarios whose name
 * contains it, or a group: chrony, settled, ugly, attack. Exit status 1 when a target is missed.
 *
 * Errors are root mean squares. "ratio": Meridian's by chronyd's; "64 s": the same when both ask every 64 s. "true": share of
 * the seconds in which the error was within the claimed root distance. "asked": requests after settling, Meridian's,
 * chronyd's and the RFC's loop's. `--against regression` has regression and a runs test as the reference instead. `--jobs`:
 * how many scenarios run at once, each on a core; all cores by default.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { formatSeconds } from "@meridian/algorithms"
import type { Scenario } from "@meridian/testkit/scenario"
import { allScenarios } from "@meridian/testkit/scenario-all"
import { scenarioPlot } from "@meridian/testkit/scenario-plot"
import type { Reference, ScenarioOutcome } from "@meridian/testkit/scenario-run"
import { isBehind, summarise, summariseChronyd } from "@meridian/testkit/scenario-summary"
import { type ChronydFigures, EQUAL_POLL, readChronydFigures } from "./chronyd-column.ts"
import { judgeScenarios, type ScenarioJob } from "./scenario-jobs.ts"

const usage =
  "usage: npm run scenarios [-- NAME] [--json FILE] [--plots DIR] [--seeds N] [--jobs N] [--against rfc5905|regression]"

const columns = (against: Reference): readonly string[] => [
  "scenario",
  "here",
  "chronyd",
  against === "rfc5905" ? "RFC" : "regr.",
  "ratio",
  "64 s",
  "true",
  "bound",
  "asked",
  "chr.",
  against === "rfc5905" ? "RFC" : "regr.",
  ""
]

const fixed = (ratio: number): string => (Number.isFinite(ratio) ? ratio.toFixed(2) : "–")

const row = (outcome: ScenarioOutcome, chronyd: ChronydFigures["worlds"][string] | undefined): readonly string[] => {
  const { scenario, meridian } = outcome
  const first = meridian[0]
  const silent = scenario.mustNotSynchronise === true
  const claimed = first !== undefined && first.claimed > 0
  const verdict = outcome.met
    ? silent
      ? "rightly silent"
      : ""
    : silent
      ? "CLAIMED TO KNOW"
      : `OVER: ${outcome.checks
          .filter((check) => !check.met)
          .map((check) => `${check.what} ${check.found.toExponential(1)} > ${check.limit.toExponential(1)}`)
          .join(", ")}`
  const equal = chronyd?.equal
  return [
    scenario.name,
    silent ? "–" : formatSeconds(outcome.rms),
    silent || chronyd === undefined ? "–" : formatSeconds(chronyd.own.rms),
    outcome.referenceRms === undefined ? "–" : formatSeconds(outcome.referenceRms),
    chronyd === undefined || silent ? "–" : fixed(outcome.rms / chronyd.own.rms),
    equal === undefined || outcome.equalRms === undefined ? "–" : fixed(outcome.equalRms / equal.rms),
    claimed ? `${(100 * outcome.coverage).toFixed(2)}%` : "–",
    claimed ? formatSeconds(first.meanBound) : "–",
    String(outcome.requests),
    chronyd === undefined ? "–" : String(chronyd.own.requests),
    String(outcome.referenceRequests ?? "–"),
    verdict
  ]
}

const widths = [28, 7, 7, 7, 5, 5, 7, 7, 5, 5, 5, 0]

const line = (cells: readonly string[]): string =>
  cells
    .map((cell, i) => (i === 0 || i === cells.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
    .join(" ")
    .trimEnd()

/** Draws of their own for every scenario, so that the luck of one set of numbers is not that of the whole table. */
const seedsOf = (scenario: Scenario, count: number): readonly number[] => {
  let first = 0
  for (const character of scenario.name) first = (first * 31 + (character.codePointAt(0) ?? 0)) % 999_983
  return Array.from({ length: count }, (_, i) => first + i)
}

const BAR = 40

/** How far it is, on the terminal that is looked at; nothing in a file. */
const progress = (done: number, of: number): void => {
  if (!process.stderr.isTTY) return
  const full = Math.round((BAR * done) / of)
  const text = done < of ? `[${"#".repeat(full)}${".".repeat(BAR - full)}] ${done} of ${of} scenarios` : ""
  process.stderr.write(`\r\u001b[K${text.slice(0, 99)}`)
}

const fileName = (scenario: Scenario): string => `${scenario.name.replace(/[^a-zA-Z0-9.+-]+/g, "-")}.svg`

/** What is written for machines: every run of every scenario, and the summary. */
const report = (
  outcomes: readonly ScenarioOutcome[],
  seeds: number,
  against: Reference,
  chronyd: ChronydFigures
): unknown => ({
  seeds,
  reference: against,
  chronyd: chronyd.had,
  summary: [...summarise(outcomes, against), ...summariseChronyd(outcomes, chronyd.worlds)],
  scenarios: outcomes.map(({ scenario, ...found }) => ({
    name: scenario.name,
    title: scenario.title,
    group: scenario.group,
    durationSeconds: scenario.duration,
    settlingSeconds: scenario.settling,
    limits: scenario.limits ?? null,
    mustNotSynchronise: scenario.mustNotSynchronise ?? false,
    rmsSeconds: found.rms,
    rmsEvery64Seconds: found.equalRms ?? null,
    chronyd: chronyd.worlds[scenario.name] ?? null,
    requests: found.requests,
    referenceRmsSeconds: found.referenceRms ?? null,
    referenceRequests: found.referenceRequests ?? null,
    ratio: found.ratio ?? null,
    maxSeconds: found.max,
    coverage: found.coverage,
    checks: found.checks,
    met: found.met,
    meridianRuns: found.meridian,
    referenceRuns: found.reference
  }))
})

const run = async (): Promise<number> => {
  const begun = performance.now()
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "string" },
      plots: { type: "string" },
      seeds: { type: "string" },
      jobs: { type: "string" },
      against: { type: "string" },
      help: { type: "boolean" }
    }
  })
  if (values.help === true) {
    console.log(usage)
    return 0
  }
  const count = Number(values.seeds ?? 20)
  if (!Number.isInteger(count) || count < 1 || count > 100) {
    console.error(`--seeds takes a whole number from 1 to 100, not ${values.seeds}\n${usage}`)
    return 2
  }
  const jobs = Number(values.jobs ?? availableParallelism())
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > 256) {
    console.error(`--jobs takes a whole number from 1 to 256, not ${values.jobs}\n${usage}`)
    return 2
  }
  const against = values.against ?? "rfc5905"
  if (against !== "rfc5905" && against !== "regression") {
    console.error(`--against takes rfc5905 or regression, not ${against}\n${usage}`)
    return 2
  }
  const name = positionals[0]
  const all = allScenarios
  const chosen = all.filter((it) => name === undefined || it.group === name || it.name.includes(name))
  if (chosen.length === 0) {
    console.error(`no scenario's name contains "${name}"; there are:\n${all.map((it) => `  ${it.name}`).join("\n")}`)
    return 2
  }
  const chronyd = readChronydFigures()
  if (values.plots !== undefined) mkdirSync(values.plots, { recursive: true })
  console.log(line(columns(against)))
  const jobOf = (scenario: Scenario): ScenarioJob => ({
    name: scenario.name,
    seeds: seedsOf(scenario, count),
    against,
    equalPoll: EQUAL_POLL
  })
  let done = 0
  progress(0, chosen.length)
  const outcomes = await judgeScenarios(chosen, jobOf, jobs, {
    done: (now) => progress((done = now), chosen.length),
    outcome: (outcome) => {
      const { scenario, trace } = outcome
      progress(chosen.length, chosen.length)
      console.log(line(row(outcome, chronyd.worlds[scenario.name])))
      progress(done, chosen.length)
      if (values.plots !== undefined)
        writeFileSync(
          join(values.plots, fileName(scenario)),
          scenarioPlot(`${scenario.name}: ${scenario.title}`, trace)
        )
    }
  })
  const summary = [...summarise(outcomes, against), ...summariseChronyd(outcomes, chronyd.worlds)]
  const minutes = ((performance.now() - begun) / 60_000).toFixed(1)
  console.log(`\n${count} seeds a scenario; ${minutes} minutes on ${jobs} cores; chronyd: ${chronyd.had}`)
  for (const { what, found, target, met } of summary)
    console.log(`${met ? "met    " : "NOT MET"}  ${what}: ${found} (target ${target})`)
  for (const { scenario } of outcomes.filter((it) => isBehind(it, chronyd.worlds[it.scenario.name])))
    console.log(`why      ${scenario.name}: ${scenario.why ?? "not known"}`)
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify(report(outcomes, count, against, chronyd), null, 2)}\n`)
  return summary.every((it) => it.met) ? 0 : 1
}

process.exitCode = await run()
