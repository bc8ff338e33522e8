/** One measurement at a time: the generator runs against one server, and the server's CPU time is read before and after. */
import { join } from "node:path"
import { compiled, launchAndRead, removeFolder, temporaryFolder } from "./children.ts"
import { cpuTime } from "./process-figures.ts"
import { DelayedError, isKeptWaiting, undisturbed } from "./repeats.ts"
import { readSample, type RequestPool } from "./request-pool.ts"
import type { RunningServer } from "./servers.ts"

/** What generator/udpload.c prints. */
export interface GeneratorReport {
  readonly seconds: number
  readonly sent: number
  readonly answered: number
  readonly lost: number
  readonly refused: number
  readonly offeredPerSecond: number
  readonly answeredPerSecond: number
  /** Answers that broke a rule; late ones are in `lost` only. */
  readonly wrong: number
  readonly faults: Readonly<Record<string, number>>
  readonly latencyMicroseconds: {
    readonly p50: number
    readonly p90: number
    readonly p99: number
    readonly p999: number
    readonly max: number
  }
  readonly mostBehindMicroseconds: number
  readonly generatorCpuSeconds: number
}

export type Load =
  | { readonly mode: "closed"; readonly seconds: number; readonly count?: number }
  | { readonly mode: "open"; readonly rate: number; readonly seconds: number; readonly timeoutMilliseconds?: number }

const loadFlags = (load: Load): readonly string[] => {
  const seconds = ["--mode", load.mode, "--seconds", String(load.seconds)]
  if (load.mode === "closed") return load.count === undefined ? seconds : [...seconds, "--count", String(load.count)]
  const rate = ["--rate", String(Math.round(load.rate))]
  const timeout = load.timeoutMilliseconds === undefined ? [] : ["--timeout-ms", String(load.timeoutMilliseconds)]
  return [...seconds, ...rate, ...timeout]
}

/** Runs the generator on its core until it ends by itself and returns its report. */
export const generate = async (
  address: string,
  port: number,
  flags: readonly string[],
  core: number,
  within: readonly string[] = []
): Promise<GeneratorReport> => {
  const program = compiled("generator/udpload.c")
  const [command = program, ...args] = [...within, program, "--target", address, "--port", String(port), ...flags]
  const text = await launchAndRead({ command, args }, [core])
  return JSON.parse(text) as GeneratorReport
}

/**
 * Runs the generator with requests from a pool, and checks the sample of replies that it kept.
 * @throws Error when one of them was not made by who holds the keys
 */
const generatePooled = async (
  { label, address, port }: RunningServer,
  flags: readonly string[],
  core: number,
  pool: RequestPool
): Promise<GeneratorReport> => {
  const folder = temporaryFolder()
  try {
    const recorded = join(folder, "replies")
    const from = pool.from === undefined ? [] : ["--from", pool.from]
    const more = ["--request", pool.kind, "--pool", pool.file, "--record", recorded, ...from]
    const report = await generate(address, port, [...flags, ...more], core)
    const replies = readSample(recorded)
    if (replies.length === 0 && report.answered > 0) throw new Error("expected a sample of the replies, found none")
    pool.verify(replies)
    return report
  } catch (error) {
    throw new Error(`${label}: ${(error as Error).message}`, { cause: error })
  } finally {
    removeFolder(folder)
  }
}

/** One run of the generator and what it cost the server. */
export interface Sample {
  readonly report: GeneratorReport
  /** User and system time of all processes of the server for each correct reply, µs. */
  readonly cpuMicroseconds: number
  /** The same for the processes that answer packets, µs. */
  readonly workerCpuMicroseconds: number
  /** CPU time of the server per second of load: 1 is one full core. */
  readonly busy: number
  /** Share of the time that the server was ready to run but something else had its core. */
  readonly disturbed: number
}

/** As {@link sample}, once. */
const sampleOnce = async (server: RunningServer, load: Load, core: number, pool?: RequestPool): Promise<Sample> => {
  const pids = server.pids()
  const workers = server.workerPids()
  const before = cpuTime(pids)
  const workersBefore = cpuTime(workers)
  const flags = loadFlags(load)
  const report =
    pool === undefined
      ? await generate(server.address, server.port, flags, core, server.within?.())
      : await generatePooled(server, flags, core, pool)
  const after = cpuTime(pids)
  const workersAfter = cpuTime(workers)
  if (report.wrong > 0) {
    const faults = Object.entries(report.faults).filter(([, count]) => count > 0)
    const message = `${server.label} gave ${report.wrong} wrong answers of ${report.answered + report.wrong} (${faults.map(([name, count]) => `${name}: ${count}`).join(", ")})`
    throw faults.every(([name]) => FAULTS_OF_DELAY.includes(name)) ? new DelayedError(message) : new Error(message)
  }
  if (report.answered === 0) throw new Error(`${server.label} answered none of ${report.sent} requests`)
  return {
    report,
    cpuMicroseconds: ((after.used - before.used) / report.answered) * 1e6,
    workerCpuMicroseconds: ((workersAfter.used - workersBefore.used) / report.answered) * 1e6,
    busy: (after.used - before.used) / report.seconds,
    disturbed: (after.waited - before.waited) / report.seconds
  }
}

/** What answers are that are right, and came when the generator had given them up or its own clock had gone on. */
const FAULTS_OF_DELAY = ["time", "late", "duplicate"]

/** A generator that sent less of what was to be sent was held up itself. */
const OFFERED_SHARE = 0.97

/** What counts as a disturbance. */
interface Calm {
  /** That the server waited for its core; not where something of the bench's own shares it. */
  readonly waiting?: boolean
  /** That the generator sent less than it was to. */
  readonly heldUp?: boolean
}

/**
 * Puts one load on a server: plain requests, or those of a pool; again where neighbours disturbed it.
 * @throws Error when an answer was wrong, or none came: figures of a server that answers wrongly mean nothing. DelayedError where
 *   answers were late each time.
 */
export const sample = (
  server: RunningServer,
  load: Load,
  core: number,
  pool?: RequestPool,
  { waiting = true, heldUp = true }: Calm = {}
): Promise<Sample> =>
  undisturbed(
    () => sampleOnce(server, load, core, pool),
    (found) =>
      (waiting && isKeptWaiting(found)) ||
      (heldUp && load.mode === "open" && found.report.offeredPerSecond < load.rate * OFFERED_SHARE)
  )

const MOST_LOSS = 0.001
const SEARCH_STEPS = 7
const SEARCH_SECONDS = 1
/** An answer later than this counts as lost in the search, so that a deep queue does not pass for speed. */
const SEARCH_TIMEOUT_MILLISECONDS = 50
/** The generator must have sent this share of what it was to send, or the step says nothing about the server. */
const LEAST_OFFERED = 0.98

interface HighestRate {
  /** Requests per second answered with a loss under 0.1 %. */
  readonly ratePerSecond: number
  /** True when the generator could not send faster, so the server may be able to do more. */
  readonly generatorLimited: boolean
}

/**
 * Searches by halving between 0 and 1.3 times the rate of the closed loop, seven steps, each tried twice before it counts
 * as failed. The result is exact to 1 % of the closed loop's rate.
 */
export const highestRate = async (
  server: RunningServer,
  closedLoopRate: number,
  core: number
): Promise<HighestRate> => {
  let passed = 0
  let generatorLimited = false
  let low = 0
  let high = closedLoopRate * 1.3
  for (let step = 0; step < SEARCH_STEPS; step++) {
    const rate = (low + high) / 2
    let good = false
    let offered = false
    for (let attempt = 0; attempt < 2 && !good; attempt++) {
      const load = {
        mode: "open",
        rate,
        seconds: SEARCH_SECONDS,
        timeoutMilliseconds: SEARCH_TIMEOUT_MILLISECONDS
      } as const
      const { report } = await sample(server, load, core, undefined, { waiting: false, heldUp: false })
      const kept = report.lost < report.sent * MOST_LOSS
      if (kept && report.offeredPerSecond >= rate * LEAST_OFFERED) good = true
      if (kept && !good) offered = true
      if (kept) passed = Math.max(passed, report.answeredPerSecond)
    }
    if (good) low = rate
    else high = rate
    if (!good) generatorLimited = offered
  }
  return { ratePerSecond: passed, generatorLimited }
}
