/**
 * What access and limits cost: a worker with 100,000 prefixes and a limit on a million addresses, beside one without a rule; both
 * are asked by as many addresses.
 */
import { generate, type Sample } from "./measure.ts"
import { cpuTime } from "./process-figures.ts"
import { isKeptWaiting, undisturbed } from "./repeats.ts"
import {
  atMost,
  type BenchOptions,
  type BenchResult,
  compared,
  figure,
  interleaved,
  WARM_UP_SECONDS,
  withServers
} from "./results.ts"
import { answers, configuredMeridian, type RunningServer, type StartOptions, startCommands } from "./servers.ts"
import { pairedRatio } from "./statistics.ts"

const PREFIXES = 100_000
const ADDRESSES = 1_000_000
const TABLE_KILOBYTES = 64 * 1024

/** Half of the prefixes lie where the load comes from, so that look-ups end in the middle of the list. */
const manyRules = (): readonly string[] => [
  "restrict default kod limited noquery",
  `limit average 10000 burst 10000`,
  `mru maxmem ${TABLE_KILOBYTES}`,
  ...Array.from(
    { length: PREFIXES / 2 },
    (_, index) =>
      `restrict 127.${128 + (index >> 13)}.${(index >> 5) & 255}.${(index & 31) * 8}/29 limited noquery${neighbour(index)}`
  ),
  ...Array.from(
    { length: PREFIXES / 2 },
    (_, index) => `restrict ${1 + (index >> 12) * 4}.${(index >> 4) & 255}.${(index & 15) * 16}.0/24 ignore`
  )
]

/** Something else each time: neighbours that say the same are one range. */
const neighbour = (index: number): string => (index % 2 === 0 ? "" : " nopeer")

const meridianWith = (label: string, options: StartOptions, lines: readonly string[]): Promise<RunningServer> =>
  startCommands(
    "meridian",
    label,
    options,
    (port, folder) => [configuredMeridian(options, port, folder, lines)],
    patiently
  )

/** A file of 100,000 lines takes its time to read. */
const patiently: typeof answers = async (...where) => (await answers(...where)) || (await answers(...where))

const load = (server: RunningServer, seconds: number, core: number): Promise<Sample> =>
  undisturbed(() => loadOnce(server, seconds, core), isKeptWaiting)

const loadOnce = async (server: RunningServer, seconds: number, core: number): Promise<Sample> => {
  const pids = server.pids()
  const before = cpuTime(pids)
  const flags = ["--mode", "closed", "--seconds", String(seconds), "--addresses", String(ADDRESSES)]
  const report = await generate(server.address, server.port, flags, core)
  const after = cpuTime(pids)
  const used = after.used - before.used
  const cpuMicroseconds = (used / Math.max(1, report.answered)) * 1e6
  const disturbed = (after.waited - before.waited) / report.seconds
  return { report, cpuMicroseconds, workerCpuMicroseconds: cpuMicroseconds, busy: used / report.seconds, disturbed }
}

export const access = async ({ layout, rounds, seconds, progress }: BenchOptions): Promise<BenchResult> => {
  const options: StartOptions = { address: "127.0.0.1", workers: 1, cores: layout.one }
  const starting = [
    () => meridianWith("no rule", options, ["disable monitor"]),
    () => meridianWith("list of clients alone", options, []),
    () => meridianWith("100,000 prefixes, 1,000,000 limited", options, manyRules())
  ]
  return withServers(starting, async (servers) => {
    for (const server of servers) {
      progress(`access: warming up ${server.label}`)
      // Every address is known before anything is measured.
      await load(server, 3 * WARM_UP_SECONDS, layout.generator)
    }
    const saturated = await interleaved(servers, rounds, (server, round) => {
      progress(`access: round ${round + 1} of ${rounds}, ${server.label}`)
      return load(server, seconds, layout.generator)
    })
    const cpu = (index: number) => (saturated.get(servers[index]!) ?? []).map((each) => each.cpuMicroseconds)
    return {
      name: "access",
      title: "access and limits, asked by 1,000,000 addresses, one worker, one core",
      figures: [
        figure("CPU per reply, saturated, µs", 3, saturated, (each) => each.cpuMicroseconds),
        figure("replies/s, closed loop", 0, saturated, (each) => each.report.answeredPerSecond)
      ],
      checks: [
        atMost("CPU per reply: 100,000 prefixes and limits / no rule", pairedRatio(cpu(2), cpu(0)), 1.1, 3),
        compared("CPU per reply: list of clients / no rule", pairedRatio(cpu(1), cpu(0)), 3)
      ],
      notes: [`the list of clients has ${TABLE_KILOBYTES / 1024} MB at most, shared memory beside the processes' own`]
    }
  })
}
