/** CPU per reply where packets come through a driver: answered by the BPF program, by a worker, by chronyd and by the floor. */
import { readFileSync, writeFileSync } from "node:fs"
import { startCabled, missingCable } from "./cabled.ts"
import { compiled } from "./children.ts"
import { idle } from "./doubts.ts"
import { type Load, type Sample, sample } from "./measure.ts"
import { entries } from "./process-figures.ts"
import {
  atMost,
  type BenchOptions,
  type BenchResult,
  type Check,
  compared,
  figure,
  interleaved,
  WARM_UP_SECONDS,
  withServers
} from "./results.ts"
import { chronydCommand, chronydLabel, configuredMeridian, type RunningServer } from "./servers.ts"
import { pairedRatio, summary } from "./statistics.ts"

const RATES = [1_000, 10_000, 40_000, 100_000] as const
/** Of chronyd 4.3's CPU per reply, saturated; of a packet in the program, ns. */
const SATURATED_LIMIT = 0.35
const PROGRAM_LIMIT = 150

const XDP = "Meridian, XDP"
const WORKER = "Meridian, worker"

/** What the kernel counted of the program that a process of the server holds: ns and runs. */
const programFigures = (server: RunningServer): { readonly nanoseconds: number; readonly runs: number } => {
  for (const pid of server.pids())
    for (const descriptor of entries(`/proc/${pid}/fdinfo`)) {
      const text = read(`/proc/${pid}/fdinfo/${descriptor}`)
      const number = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(text)?.[1] ?? NaN)
      if (number("run_cnt") >= 0) return { nanoseconds: number("run_time_ns"), runs: number("run_cnt") }
    }
  return { nanoseconds: 0, runs: 0 }
}

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

const STATISTICS = "/proc/sys/kernel/bpf_stats_enabled"

/** The kernel's own statistics cost some nanoseconds a run: they are on for this measurement alone. */
const withStatistics = async <A>(measure: () => Promise<A>): Promise<A> => {
  const before = read(STATISTICS)
  writeFileSync(STATISTICS, "1")
  try {
    return await measure()
  } finally {
    writeFileSync(STATISTICS, before)
  }
}

type Samples = ReadonlyMap<RunningServer, readonly Sample[]>

const against = (what: string, samples: Samples, one: string, other: string, limit?: number): readonly Check[] => {
  const cpu = (label: string) =>
    [...samples].find(([server]) => server.label === label)?.[1].map((each) => each.cpuMicroseconds)
  const [over, under] = [cpu(one), cpu(other)]
  if (over === undefined || under === undefined) return []
  const found = pairedRatio(over, under)
  return [limit === undefined ? compared(what, found, 2) : atMost(what, found, limit, 2)]
}

export const xdp = async ({ layout, rounds, seconds, progress }: BenchOptions): Promise<BenchResult> => {
  const lacking = missingCable()
  if (lacking !== undefined) throw new Error(`the bench of XDP cannot be run here: ${lacking}`)
  const core = layout.generator
  const meridian = (label: string, lines: (device: string) => readonly string[]) => () =>
    startCabled("meridian", label, layout, (address, port, folder, device) => [
      configuredMeridian({ address, workers: 1, cores: [] }, port, folder, lines(device))
    ])
  const chronyd = chronydLabel("chronyd43")
  const starting = [
    meridian(XDP, (device) => [`xdp ${device} native`]),
    meridian(WORKER, () => []),
    () =>
      startCabled("chronyd43", chronyd, layout, (address, port, folder) => [
        chronydCommand("chronyd43", address, port, folder)
      ]),
    () =>
      startCabled("floor", "C floor", layout, (address, port) => [
        { command: compiled("floor/echo.c"), args: [address, String(port)] }
      ])
  ]
  return withServers(starting, async (servers) => {
    for (const server of servers) {
      progress(`xdp: warming up ${server.label}`)
      await sample(server, { mode: "closed", seconds: WARM_UP_SECONDS }, core)
    }
    const at = (name: string, load: Load): Promise<Samples> =>
      interleaved(servers, rounds, (server, round) => {
        progress(`xdp: round ${round + 1} of ${rounds}, ${server.label}, ${name}`)
        return sample(server, load, core)
      })
    const byRate: (readonly [string, Samples])[] = []
    for (const rate of RATES) {
      const name = `${rate.toLocaleString("en")}/s`
      byRate.push([name, await at(name, { mode: "open", rate, seconds })])
    }
    const saturated = await at("saturated", { mode: "closed", seconds })
    const own = servers.filter(({ label }) => label === XDP)
    const inProgram = await withStatistics(() =>
      interleaved(own, rounds, async (server) => {
        progress("xdp: the program's own time")
        const before = programFigures(server)
        await sample(server, { mode: "closed", seconds }, core)
        const after = programFigures(server)
        return (after.nanoseconds - before.nanoseconds) / (after.runs - before.runs)
      })
    )
    const all = [...byRate, ["saturated", saturated] as const]
    return {
      name: "xdp",
      title: "CPU per reply over a veth pair with threaded NAPI: all processes of a server and its device's thread",
      figures: [
        ...all.map(([name, samples]) => figure(`${name}, µs`, 2, samples, (each) => each.cpuMicroseconds)),
        figure("replies/s, closed loop", 0, saturated, ({ report }) => report.answeredPerSecond),
        ...all.map(([name, samples]) =>
          figure(`latency p50, ${name}, µs`, 1, samples, ({ report }) => report.latencyMicroseconds.p50)
        ),
        ...all.map(([name, samples]) =>
          figure(`lost, ${name}, %`, 2, samples, ({ report }) => (100 * report.lost) / report.sent)
        ),
        figure("in the program, ns a packet", 0, inProgram, (each) => each)
      ],
      checks: [
        ...byRate.flatMap(([name, samples]) => against(`${name}: XDP / chronyd 4.3`, samples, XDP, chronyd)),
        ...against("saturated: XDP / chronyd 4.3", saturated, XDP, chronyd, SATURATED_LIMIT),
        ...against("saturated: XDP / a worker", saturated, XDP, WORKER),
        ...against("saturated: XDP / C floor", saturated, XDP, "C floor"),
        ...[...inProgram.values()].map((found) =>
          atMost("in the program, ns a packet", summary(found), PROGRAM_LIMIT, 0)
        )
      ],
      notes: idle(saturated)
    }
  })
}
