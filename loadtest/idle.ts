/** CPU that a node takes which nobody asks: without sources and with four, beside chronyd, all in the same seconds. */
import { setTimeout as sleep } from "node:timers/promises"
import { cpuTime } from "./process-figures.ts"
import { atMost, type BenchOptions, type BenchResult, type Check, figure, withServers } from "./results.ts"
import {
  chronydCommand,
  chronydLabel,
  configuredMeridian,
  meridianCommand,
  missing,
  type RunningServer,
  startCommands,
  type StartOptions
} from "./servers.ts"
import { summary } from "./statistics.ts"

const SOURCES = 4
/** It has run for more than a minute by then, and polls its sources as seldom as it begins with. */
const SETTLE_SECONDS = 90
/** What wakes up seldom has to be watched for longer than a packet has. */
const LEAST_SECONDS = 20
/** CPU in ms a second: without sources, with four. */
const LIMIT = 2
const LIMIT_WITH_SOURCES = 4

/** A chronyd that serves its own clock, to be a source. */
const startSource = (options: StartOptions): Promise<RunningServer> =>
  startCommands("other", "a source", options, (port, folder) => [
    chronydCommand("chronyd43", options.address, port, folder)
  ])

const startMeridian = (
  label: string,
  options: StartOptions,
  sources: readonly RunningServer[]
): Promise<RunningServer> =>
  startCommands("meridian", label, options, (port, folder) => [
    sources.length === 0
      ? meridianCommand(options, port, folder)
      : configuredMeridian(
          options,
          port,
          folder,
          sources.map((source) => `server ${source.address}:${source.port} iburst`)
        )
  ])

const startChronyd = (
  label: string,
  options: StartOptions,
  sources: readonly RunningServer[]
): Promise<RunningServer> =>
  startCommands("chronyd43", label, options, (port, folder) => [
    chronydCommand(
      "chronyd43",
      options.address,
      port,
      folder,
      sources.map((source) => `server ${source.address} port ${source.port} iburst`)
    )
  ])

const cpuMilliseconds = (server: RunningServer): number => cpuTime(server.pids()).used * 1e3

/** @throws Error when there is no chronyd to be the sources */
export const idleNode = async ({ layout, address, rounds, seconds, progress }: BenchOptions): Promise<BenchResult> => {
  const reason = missing("chronyd43")
  if (reason !== undefined) throw new Error(`idle needs chronyd for sources: ${reason}`)
  const options = { address, workers: 1, cores: layout.one }
  const length = Math.max(seconds, LEAST_SECONDS)
  const sourcesToStart = Array.from({ length: SOURCES }, () => () => startSource(options))
  return withServers(sourcesToStart, (sources) => {
    const withSources = `, ${SOURCES} sources`
    const starting = (
      [
        ["Meridian", startMeridian],
        [chronydLabel("chronyd43"), startChronyd]
      ] as const
    ).flatMap(([label, start]) => [
      () => start(label, options, []),
      () => start(`${label}${withSources}`, options, sources)
    ])
    return withServers(starting, async (servers) => {
      for (let left = SETTLE_SECONDS; left > 0; left -= 10) {
        progress(`idle: the servers settle, ${left} s more`)
        await sleep(10_000)
      }
      const samples = new Map<RunningServer, number[]>(servers.map((server) => [server, []]))
      for (let round = 0; round < rounds; round++) {
        progress(`idle: round ${round + 1} of ${rounds}, ${length} s`)
        const begun = performance.now()
        const before = servers.map(cpuMilliseconds)
        await sleep(length * 1e3)
        const after = servers.map(cpuMilliseconds)
        const passed = (performance.now() - begun) / 1e3
        servers.forEach((server, at) => samples.get(server)?.push(((after[at] ?? 0) - (before[at] ?? 0)) / passed))
      }
      const check = (label: string, limit: number): readonly Check[] =>
        [...samples].flatMap(([server, found]) =>
          server.label === label ? [atMost(`${label}, CPU in ms a second`, summary(found), limit, 2)] : []
        )
      return {
        name: "idle",
        title: `a node that nobody asks, one worker, over a minute after its start; rounds of ${length} s`,
        figures: [figure("CPU, ms a second", 2, samples, (each) => each)],
        checks: [...check("Meridian", LIMIT), ...check(`Meridian${withSources}`, LIMIT_WITH_SOURCES)],
        notes: []
      }
    })
  })
}
