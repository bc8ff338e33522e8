/**
 * One worker at half of its saturation, its whole node on one core: what is lost, and how long clients wait, when a successor takes the worker's
 * place (SIGHUP), when the worker is killed, and when the node becomes what is installed now (SIGUSR2).
 */
import { generate, sample } from "./measure.ts"
import type { BenchOptions, BenchResult, Check, Figure } from "./results.ts"
import { compared, WARM_UP_SECONDS, withServers } from "./results.ts"
import { type RunningServer, start } from "./servers.ts"
import { summary } from "./statistics.ts"

/** The act comes in its first quarter, and a supervisor that becomes another takes the longest. */
const LOAD_SECONDS = 8
const ACT_AFTER_MS = 2_000
/** What comes later than that is lost; what is merely late shows in the waits. */
const LOST_MS = 5_000
/** Of the requests that a killed worker may take with it. */
const KILLED_SHARE = 1e-4

interface Act {
  readonly name: string
  readonly signal: NodeJS.Signals
  readonly target: (server: RunningServer) => number | undefined
  /** Share of the requests that may be lost. */
  readonly mostLost: number
}

const supervisor = ({ pids }: RunningServer): number | undefined => pids()[0]
const worker = ({ workerPids }: RunningServer): number | undefined => workerPids()[0]

const acts: readonly Act[] = [
  { name: "worker replaced", signal: "SIGHUP", target: supervisor, mostLost: 0 },
  { name: "worker killed", signal: "SIGKILL", target: worker, mostLost: KILLED_SHARE },
  { name: "node upgraded", signal: "SIGUSR2", target: supervisor, mostLost: 0 }
]

interface Passed {
  readonly sent: number
  readonly lost: number
  readonly p99: number
  readonly longest: number
}

const underLoad = async (server: RunningServer, rate: number, act: Act, core: number): Promise<Passed> => {
  const timer = setTimeout(() => {
    const pid = act.target(server)
    if (pid !== undefined) process.kill(pid, act.signal)
  }, ACT_AFTER_MS)
  const pace = ["--mode", "open", "--rate", String(rate), "--seconds", String(LOAD_SECONDS)]
  const report = await generate(server.address, server.port, [...pace, "--timeout-ms", String(LOST_MS)], core)
  clearTimeout(timer)
  if (report.wrong > 0) throw new Error(`${act.name}: ${report.wrong} wrong answers`)
  const { p99, max } = report.latencyMicroseconds
  return { sent: report.sent, lost: report.lost, p99: p99 / 1e3, longest: max / 1e3 }
}

export const succession = ({ layout, address, rounds, seconds, progress }: BenchOptions): Promise<BenchResult> =>
  withServers([() => start("meridian", { address, workers: 1, cores: layout.one })], async ([node]) => {
    const server = node as RunningServer
    const core = layout.generator
    await sample(server, { mode: "closed", seconds: WARM_UP_SECONDS }, core)
    const { report } = await sample(server, { mode: "closed", seconds }, core)
    const rate = Math.floor(report.answeredPerSecond / 2)
    const found = new Map<Act, Passed[]>(acts.map((act) => [act, []]))
    for (let round = 1; round <= rounds; round += 1)
      for (const act of acts) {
        progress(`succession: round ${round} of ${rounds}, ${act.name} at ${rate.toLocaleString("en")}/s`)
        found.get(act)?.push(await underLoad(server, rate, act, core))
      }
    const row = (name: string, digits: number, value: (passed: Passed) => number): Figure => ({
      name,
      digits,
      of: Object.fromEntries([...found].map(([act, passed]) => [act.name, summary(passed.map(value))]))
    })
    return {
      name: "succession",
      title: `one worker at half of its saturation, ${rate.toLocaleString("en")} requests a second, its node on one core`,
      figures: [
        row("requests", 0, ({ sent }) => sent),
        row("lost", 0, ({ lost }) => lost),
        row("waited, p99, ms", 2, ({ p99 }) => p99),
        row("waited, longest, ms", 1, ({ longest }) => longest)
      ],
      checks: [
        compared("saturation, requests a second", summary([report.answeredPerSecond]), 0),
        ...[...found].map(([act, passed]) => lossCheck(act, passed))
      ],
      notes: [`the signal comes ${ACT_AFTER_MS / 1e3} s into ${LOAD_SECONDS} s of load`]
    }
  })

/** Of all rounds together: what is held to a share has to be seen over a million. */
const lossCheck = ({ name, mostLost }: Act, passed: readonly Passed[]): Check => {
  const sent = passed.reduce((sum, each) => sum + each.sent, 0)
  const lost = passed.reduce((sum, each) => sum + each.lost, 0)
  return {
    name: `${name}: lost of ${sent.toLocaleString("en")}`,
    found: summary([lost]),
    digits: 0,
    target: mostLost === 0 ? "none" : `at most ${100 * mostLost} %`,
    met: lost <= sent * mostLost
  }
}
