/**
 * chronyd's error in the scenarios: `npx node loadtest/chronyd-figures.ts --clknetsim DIR --chronyd FILE [NAME] [--seeds N] [--named VERSION] [--out FILE]`.
 *
 * Runs chronyd itself through each world in clknetsim (github.com/mlichvar/clknetsim, whose library redirects chronyd's clock and
 * sockets, so that no real clock is touched) and writes loadtest/chronyd-figures.json, which `npm run scenarios` has as a
 * column. Twice each: at chronyd's own polls, and asked every 64 s. Worlds that clknetsim has no words for are left out.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import type { Scenario } from "@meridian/testkit/scenario"
import { clknetsimRun, hasEqualPolls } from "@meridian/testkit/scenario-clknetsim"
import { allScenarios } from "@meridian/testkit/scenario-all"
import {
  type ChronydFigure,
  type ChronydFigures,
  chronydFiguresFile,
  EQUAL_POLL,
  readChronydFigures
} from "./chronyd-column.ts"

interface Programs {
  readonly clknetsim: string
  readonly chronyd: string
}

/** Runs at once: each mostly waits for its processes to meet. */
const AT_ONCE = 5

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((done) => (child.exitCode === null ? child.once("exit", () => done()) : done()))

const figure = (stats: string, client: number, what: string): number => {
  const own = stats.split(`Node ${client} `)[1] ?? ""
  return Number(new RegExp(`^${what}:\\s+(\\S+)`, "m").exec(own)?.[1] ?? Number.NaN)
}

interface Found {
  readonly rms: number
  readonly max: number
  readonly requests: number
}

const runOnce = async (
  programs: Programs,
  scenario: Scenario,
  seed: number,
  poll?: number
): Promise<Found | undefined> => {
  const directory = mkdtempSync(join(tmpdir(), "meridian-clknetsim-"))
  try {
    const run = clknetsimRun(scenario, seed, directory, poll)
    if (run === undefined) return undefined
    for (const [name, text] of run.files) writeFileSync(join(directory, name), text)
    const environment = { ...process.env, LC_ALL: "C", CLKNETSIM_SOCKET: join(directory, "sock") }
    const nodes = Array.from({ length: run.nodes }, (_, i) =>
      spawn(programs.chronyd, ["-d", "-f", join(directory, `conf.${i + 1}`)], {
        cwd: directory,
        stdio: "ignore",
        env: {
          ...environment,
          LD_PRELOAD: join(programs.clknetsim, "clknetsim.so"),
          CLKNETSIM_NODE: String(i + 1),
          CLKNETSIM_RANDOM_SEED: String(1000 * seed + i)
        }
      })
    )
    const server = spawn(
      join(programs.clknetsim, "clknetsim"),
      ["-s", "sock", "-l", String(run.duration), "-r", String(run.settling), "conf", String(run.nodes)],
      {
        cwd: directory,
        stdio: ["ignore", "pipe", "ignore"],
        env: { ...environment, CLKNETSIM_RANDOM_SEED: String(seed) }
      }
    )
    let stats = ""
    server.stdout.on("data", (chunk) => (stats += String(chunk)))
    await ended(server)
    for (const node of nodes) node.kill()
    await Promise.all(nodes.map(ended))
    const interval = figure(stats, run.nodes, "Mean outgoing packet interval")
    return {
      rms: figure(stats, run.nodes, "RMS offset"),
      max: figure(stats, run.nodes, "Maximum absolute offset"),
      requests: Math.round((run.duration - run.settling) / interval)
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const mean = (values: readonly number[]): number =>
  Math.round(values.reduce((sum, it) => sum + it, 0) / Math.max(1, values.length))

const together = (found: readonly Found[]): ChronydFigure => ({
  rms: Number(Math.sqrt(found.reduce((sum, it) => sum + it.rms ** 2, 0) / found.length).toExponential(3)),
  max: Number(Math.max(...found.map((it) => it.max)).toExponential(3)),
  requests: mean(found.map((it) => it.requests).filter(Number.isFinite))
})

const runs = async (
  programs: Programs,
  scenario: Scenario,
  seeds: number,
  poll?: number
): Promise<ChronydFigure | undefined> => {
  const found: Found[] = []
  for (let first = 1; first <= seeds; first += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, seeds - first + 1) }, (_, i) => first + i)
    for (const one of await Promise.all(some.map((seed) => runOnce(programs, scenario, seed, poll)))) {
      if (one === undefined) return undefined
      if (Number.isFinite(one.rms)) found.push(one)
    }
  }
  return found.length === 0 ? undefined : together(found)
}

const main = async (): Promise<number> => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      clknetsim: { type: "string" },
      chronyd: { type: "string" },
      seeds: { type: "string" },
      named: { type: "string" },
      out: { type: "string" }
    }
  })
  const { clknetsim, chronyd } = values
  if (clknetsim === undefined || chronyd === undefined) {
    console.error("usage: npx node loadtest/chronyd-figures.ts --clknetsim DIR --chronyd FILE [NAME] [--seeds N]")
    return 2
  }
  const programs = { clknetsim: resolve(clknetsim), chronyd: resolve(chronyd) }
  const version = execFileSync(programs.chronyd, ["-v"], { encoding: "utf8" }).trim()
  const seeds = Number(values.seeds ?? 20)
  const [name] = positionals
  const had = `${values.named ?? version.split(" (+")[0]}, in clknetsim, ${seeds} seeds a world`
  const write = (worlds: ChronydFigures["worlds"]): void =>
    writeFileSync(out, `${JSON.stringify({ had, worlds }, null, 2)}\n`)
  const out = values.out ?? chronydFiguresFile
  const before: ChronydFigures = existsSync(out) ? readChronydFigures(out) : { had: "", worlds: {} }
  const worlds = { ...before.worlds }
  for (const scenario of allScenarios) {
    if (scenario.mustNotSynchronise === true) continue
    if (name !== undefined && scenario.group !== name && !scenario.name.includes(name)) continue
    const own = await runs(programs, scenario, seeds)
    if (own === undefined) continue
    const equal = hasEqualPolls(scenario) ? await runs(programs, scenario, seeds, EQUAL_POLL) : undefined
    worlds[scenario.name] = equal === undefined ? { own } : { own, equal }
    console.log(scenario.name, own.rms, equal?.rms, own.requests)
    write(worlds)
  }
  return 0
}

process.exitCode = await main()
