/** The main bench: plain NTP, one worker, one core; Meridian beside its peers and the floor. */
import { disturbed, idle } from "./doubts.ts"
import { highestRate, sample } from "./measure.ts"
import {
  atMost,
  type BenchOptions,
  type BenchResult,
  besideCheck,
  builds,
  type Check,
  compared,
  figure,
  interleaved,
  WARM_UP_SECONDS,
  withServers
} from "./results.ts"
import { missing, type RunningServer, type ServerName, start } from "./servers.ts"
import { median, pairedRatio } from "./statistics.ts"

/** Requests per second of the fixed rate: far below what any of the servers can do on a core of this decade. */
const FIXED_RATE = 40_000
const SEARCH_REPEATS = 3
/** Measures every server that can be started here; the others are named in the notes. */
export const plain = async (options: BenchOptions): Promise<BenchResult> => {
  const { layout, address, rounds, seconds, servers: wanted, beside, progress } = options
  const core = layout.generator
  const present = wanted.filter((name) => missing(name) === undefined)
  const skipped = wanted.flatMap((name) =>
    missing(name) === undefined ? [] : [`${name} is left out: ${missing(name)}`]
  )
  const starting = present.flatMap((name) =>
    (name === "meridian" ? builds(options) : [undefined]).map(
      (build) => () => start(name, { address, workers: 1, cores: layout.one, build })
    )
  )
  return withServers(starting, async (servers) => {
    for (const server of servers) {
      progress(`plain: warming up ${server.label}`)
      await sample(server, { mode: "closed", seconds: WARM_UP_SECONDS }, core)
    }
    const saturated = await interleaved(servers, rounds, (server, round) => {
      progress(`plain: round ${round + 1} of ${rounds}, ${server.label}, closed loop`)
      return sample(server, { mode: "closed", seconds }, core)
    })
    const fixed = await interleaved(servers, rounds, (server, round) => {
      progress(`plain: round ${round + 1} of ${rounds}, ${server.label}, ${FIXED_RATE}/s`)
      return sample(server, { mode: "open", rate: FIXED_RATE, seconds }, core)
    })
    const closedRate = (server: RunningServer) =>
      median((saturated.get(server) ?? []).map((each) => each.report.answeredPerSecond))
    const highest = await interleaved(servers, Math.min(rounds, SEARCH_REPEATS), (server, round) => {
      progress(`plain: search ${round + 1}, ${server.label}, highest rate with loss under 0.1 %`)
      return highestRate(server, closedRate(server), core)
    })
    const half = await interleaved(servers, rounds, (server, round) => {
      progress(`plain: round ${round + 1} of ${rounds}, ${server.label}, latency at half its highest rate`)
      const halfRate = median((highest.get(server) ?? []).map((each) => each.ratePerSecond)) / 2
      return sample(server, { mode: "open", rate: halfRate, seconds }, core)
    })
    const cpuOf = (label: string | undefined, results: typeof saturated) => {
      const server = servers.find((each) => each.label === label)
      return server && (results.get(server) ?? []).map((each) => each.cpuMicroseconds)
    }
    const cpu = (name: ServerName, results: typeof saturated) =>
      cpuOf(servers.find((each) => each.name === name)?.label, results)
    const besideThat = (name: string, results: typeof saturated): readonly Check[] => {
      const [own, other] = [cpu("meridian", results), cpuOf(beside?.label, results)]
      return beside === undefined || own === undefined || other === undefined
        ? []
        : [besideCheck(name, own, other, beside)]
    }
    const ratio = (what: string, a: ServerName, b: ServerName, limit?: number): readonly Check[] => {
      const [over, under] = [cpu(a, saturated), cpu(b, saturated)]
      if (over === undefined || under === undefined) return []
      const found = pairedRatio(over, under)
      return [limit === undefined ? compared(what, found, 3) : atMost(what, found, limit, 3)]
    }
    const limited = [...highest]
      .filter(([, found]) => found.some((each) => each.generatorLimited))
      .map(([server]) => server.label)
    return {
      name: "plain",
      title: "plain NTP, one worker, one core",
      figures: [
        figure("CPU per reply, saturated, µs", 3, saturated, (each) => each.cpuMicroseconds),
        figure("  of which workers, µs", 3, saturated, (each) => each.workerCpuMicroseconds),
        figure(`CPU per reply at ${FIXED_RATE}/s, µs`, 3, fixed, (each) => each.cpuMicroseconds),
        figure("replies/s, closed loop", 0, saturated, (each) => each.report.answeredPerSecond),
        figure("server's share of its core", 3, saturated, (each) => each.busy),
        figure("highest rate, loss under 0.1 %, /s", 0, highest, (each) => each.ratePerSecond),
        figure("latency p50 at half of it, µs", 1, half, (each) => each.report.latencyMicroseconds.p50),
        figure("latency p99 at half of it, µs", 1, half, (each) => each.report.latencyMicroseconds.p99),
        figure("  generator late by at most, µs", 1, half, (each) => each.report.mostBehindMicroseconds)
      ],
      checks: [
        ...ratio("CPU per reply, saturated: Meridian / C floor", "meridian", "floor", 1.08),
        ...ratio("CPU per reply, saturated: Meridian / chronyd 4.3", "meridian", "chronyd43", 0.85),
        ...ratio("CPU per reply, saturated: Meridian / newest chronyd", "meridian", "chronyd-new"),
        ...ratio("CPU per reply, saturated: chronyd 4.3 / C floor", "chronyd43", "floor"),
        ...besideThat("CPU per reply, saturated", saturated),
        ...besideThat(`CPU per reply at ${FIXED_RATE}/s`, fixed)
      ],
      notes: [
        ...skipped,
        ...disturbed("in the closed loop", saturated),
        ...idle(saturated),
        ...disturbed("while latency was measured", half),
        ...(limited.length > 0
          ? [`the generator could not send fast enough to find the limit of ${limited.join(", ")}`]
          : [])
      ]
    }
  })
}
