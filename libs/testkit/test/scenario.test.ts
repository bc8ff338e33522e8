/** The accuracy that Meridian asks of itself, on fewer seeds than `npm run scenarios` takes and on shorter weeks. */
import { describe, expect, it } from "vitest"
import type { Scenario } from "@meridian/testkit/scenario"
import { chronyScenarios } from "../src/scenario-chrony.ts"
import { ownScenarios } from "../src/scenario-own.ts"
import { scenarioPlot } from "@meridian/testkit/scenario-plot"
import { judgeScenario, runScenario } from "@meridian/testkit/scenario-run"
import { summarise } from "@meridian/testkit/scenario-summary"

const named = (name: string): Scenario => {
  const found = ownScenarios.find((it) => it.name === name)
  if (found === undefined) throw new Error(`no scenario is called ${name}`)
  return found
}

const alone = (scenario: Scenario): Scenario => ({ ...scenario, compared: false })

describe("chrony's simulation tests", () => {
  it("reproduces at least twenty of them", () => {
    const tests = new Set(chronyScenarios.map((it) => it.name.split(" ")[1]))
    expect(tests.size).toBeGreaterThanOrEqual(20)
  })

  it.each(chronyScenarios.map((it) => [it.name, it] as const))(
    "%s: within its limits, or rightly silent",
    (_name, scenario) => {
      const outcome = judgeScenario(alone(scenario), [11])
      expect(outcome.checks.filter((check) => !check.met)).toEqual([])
      expect(outcome.met).toBe(true)
      expect(outcome.coverage).toBeGreaterThanOrEqual(0.999)
    }
  )
})

describe("an ordinary week, two days of it", () => {
  const names = ["wan", "lan", "asymmetric-queues", "satellite", "warm-days", "cold-snap", "route-change"]

  it.each(names)("%s: at most 0.7 of the error of RFC 5905's discipline, and an honest bound", (name) => {
    const outcome = judgeScenario({ ...named(name), duration: 2 * 86_400 }, [11])
    expect(outcome.ratio).toBeLessThanOrEqual(0.7)
    expect(outcome.coverage).toBeGreaterThanOrEqual(0.999)
  })
})

describe("attacks and failures", () => {
  it.each(ownScenarios.filter((it) => it.limits !== undefined).map((it) => it.name))("%s: not captured", (name) => {
    const outcome = judgeScenario(named(name), [11])
    expect(outcome.checks.filter((check) => !check.met)).toEqual([])
    expect(outcome.coverage).toBeGreaterThanOrEqual(0.999)
  })

  it("cannot see through a majority that lies, and the judge says so", () => {
    expect(judgeScenario(named("lying-majority"), [11]).coverage).toBeLessThan(0.5)
  })

  it("keeps a true claim for a month without servers", () => {
    const result = runScenario(named("holdover-month"), 11, "meridian")
    expect(result.coverage).toBeGreaterThanOrEqual(0.999)
    expect(result.claimed).toBeGreaterThan(30 * 86_400)
  })
})

describe("what is made of the outcomes", () => {
  const short = { ...named("liar"), duration: 86_400, settling: 3600 }

  it("says what was met and what was not", () => {
    const outcome = judgeScenario(short, [1])
    expect(summarise([outcome]).every((it) => it.met)).toBe(true)
    const bad = { ...outcome, met: false, coverage: 0.5 }
    expect(summarise([bad]).map((it) => it.met)).toEqual([false, false])
    expect(summarise([{ ...outcome, ratio: 0.71 }])[0]).toMatchObject({ met: true })
    const settled = { ...outcome, scenario: { ...outcome.scenario, group: "settled" as const }, ratio: 0.71 }
    expect(summarise([settled])[0]).toMatchObject({ met: false, found: expect.stringContaining("0.710 (liar)") })
  })

  it("finds out a scenario in which the clock was set and must not be", () => {
    expect(judgeScenario({ ...short, mustNotSynchronise: true }, [1]).met).toBe(false)
  })

  it("draws error and bound, and nothing where nothing was claimed", () => {
    const svg = scenarioPlot("a <b> & c", {
      time: [1, 2, 3],
      error: [1e-3, 0, -2e-3],
      bound: [Number.POSITIVE_INFINITY, 0.01, 0.02]
    })
    expect(svg).toMatch(/^<svg xmlns/)
    expect(svg).toContain("a &#60;b&#62; &#38; c")
    expect(svg).not.toMatch(/NaN|Infinity/)
    expect(svg.match(/<path/g)).toHaveLength(2)
  })
})
