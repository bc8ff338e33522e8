/** CPU per reply at the rates of real life, and saturated: Meridian beside its peers and the floor. */
import { idle } from "./doubts.ts"
import { type Load, type Sample, sample } from "./measure.ts"
import {
  atMost,
  type BenchOptions,
  type BenchResult,
  type Check,
  compared,
  type Figure,
  figure,
  interleaved,
  WARM_UP_SECONDS,
  withServers
} from "./results.ts"
import { otherDaemons } from "./other-daemons.ts"
import { missing, type RunningServer, start } from "./servers.ts"
import { pairedRatio } from "./statistics.ts"

/** Requests a second, and how many times chronyd 4.3's CPU a reply may cost at most. */
const RATES = [
  [100, undefined],
  [1_000, 1],
  [10_000, 0.7],
  [40_000, 0.5],
  [100_000, undefined]
] as const
const SATURATED_LIMIT = 0.95
const FLOOR_LIMIT = 1.08
/** Servers run for years: their first minute, when programs are read and compiled, is not what is measured. */
const SETTLE_SECONDS = 60

type Samples = ReadonlyMap<RunningServer, readonly Sample[]>

const rateName = (rate: number): string => `${rate.toLocaleString("en")}/s`

export const rates = async (options: BenchOptions): Promise<BenchResult> => {
  const { layout, address, rounds, seconds, servers: wanted, progress } = options
  const core = layout.generator
  const placed = { address, workers: 1, cores: layout.one }
  const present = wanted.filter((name) => missing(name) === undefined)
  const others = wanted.length > 1 ? otherDaemons(placed, core) : []
  const skipped = [
    ...wanted.flatMap((name) => (missing(name) === undefined ? [] : [`${name} is left out: ${missing(name)}`])),
    ...others.flatMap(({ label, lacks }) => (lacks === undefined ? [] : [`${label} is left out: ${lacks}`]))
  ]
  const starting = [
    ...present.map((name) => () => start(name, placed)),
    ...others.filter(({ lacks }) => lacks === undefined).map(({ begin }) => begin)
  ]
  return withServers(starting, async (servers) => {
    for (const server of servers) {
      progress(`rates: warming up ${server.label}`)
      await sample(server, { mode: "closed", seconds: WARM_UP_SECONDS }, core)
    }
    for (let left = SETTLE_SECONDS; left > 0; left -= 10) {
      progress(`rates: the servers settle, ${left} s more`)
      await new Promise((resolve) => setTimeout(resolve, 10_000))
    }
    const at = (name: string, load: Load): Promise<Samples> =>
      interleaved(servers, rounds, (server, round) => {
        progress(`rates: round ${round + 1} of ${rounds}, ${server.label}, ${name}`)
        return sample(server, load, core)
      })
    const found: (readonly [string, number | undefined, Samples])[] = []
    for (const [rate, limit] of RATES)
      found.push([rateName(rate), limit, await at(rateName(rate), { mode: "open", rate, seconds })])
    const saturated = await at("saturated", { mode: "closed", seconds })
    found.push(["saturated", SATURATED_LIMIT, saturated])
    return {
      name: "rates",
      title: "CPU per reply by rate, plain NTP, one worker, one core; all processes of a server",
      figures: [
        ...found.map(([name, , samples]) => figure(`${name}, µs`, 2, samples, (each) => each.cpuMicroseconds)),
        ...found.map(([name, , samples]): Figure =>
          figure(`  workers alone, ${name}, µs`, 2, ofMeridian(samples), (each) => each.workerCpuMicroseconds)
        ),
        ...found
          .slice(0, -1)
          .map(([name, , samples]) =>
            figure(`latency p50, ${name}, µs`, 1, samples, (each) => each.report.latencyMicroseconds.p50)
          ),
        ...found
          .slice(0, -1)
          .map(([name, , samples]) =>
            figure(`lost, ${name}, %`, 2, samples, ({ report }) => (100 * report.lost) / report.sent)
          )
      ],
      checks: found.flatMap(([name, limit, samples]) => [
        ...against(`${name}: Meridian / chronyd 4.3`, samples, "chronyd43", limit),
        ...(name === "saturated" ? against(`${name}: Meridian / C floor`, samples, "floor", FLOOR_LIMIT) : [])
      ]),
      notes: [...skipped, ...idle(saturated)]
    }
  })
}

const ofMeridian = (samples: Samples): Samples =>
  new Map([...samples].filter(([server]) => server.label === "Meridian"))

const against = (what: string, samples: Samples, other: string, limit: number | undefined): readonly Check[] => {
  const cpu = (name: string) =>
    [...samples].find(([server]) => server.name === name)?.[1].map((each) => each.cpuMicroseconds)
  const [own, theirs] = [cpu("meridian"), cpu(other)]
  if (own === undefined || theirs === undefined) return []
  const found = pairedRatio(own, theirs)
  return [limit === undefined ? compared(what, found, 2) : atMost(what, found, limit, 2)]
}
