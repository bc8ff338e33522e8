/** What a node costs before it does anything: memory, and the time to its first answer. Beside another tree's where there is one. */
import { sample } from "./measure.ts"
import { allowedCores, commandLine, cpuTime, proportionalBytes, residentBytes } from "./process-figures.ts"
import {
  atMost,
  type BenchOptions,
  type BenchResult,
  besideCheck,
  builds,
  type Check,
  compared,
  type Figure,
  withServers
} from "./results.ts"
import { type RunningServer, start, startWithNpm } from "./servers.ts"
import { pairedRatio, summary } from "./statistics.ts"

const MEGABYTE = 1e6

/** What a process is: the service whose program it runs. */
const serviceOf = (pid: number): string => /services\/([a-z-]+)\//.exec(commandLine(pid))?.[1] ?? "other"

interface Memory {
  /** Of the largest worker, MB. */
  readonly worker: number
  /** PSS of each service's processes together, MB. */
  readonly services: ReadonlyMap<string, number>
}

const memoryOf = (server: RunningServer): Memory => {
  const services = new Map<string, number>()
  for (const pid of server.pids()) {
    const service = serviceOf(pid)
    services.set(service, (services.get(service) ?? 0) + proportionalBytes([pid]) / MEGABYTE)
  }
  return { worker: Math.max(...server.workerPids().map(residentBytes)) / MEGABYTE, services }
}

/** @param of the services to count; all without it */
const sumOf = ({ services }: Memory, of?: ReadonlySet<string>): number =>
  [...services].reduce((sum, [service, found]) => sum + (of === undefined || of.has(service) ? found : 0), 0)

const WHEN = ["at start", "after load"] as const

/** Memory of a node with two workers, idle and after load. */
export const memory = async (options: BenchOptions): Promise<BenchResult> => {
  const { layout, address, rounds, seconds, beside, progress } = options
  const found = builds(options).map((build) => ({ build, label: build?.label, rounds: [] as Memory[][] }))
  for (let round = 0; round < rounds; round += 1)
    for (const each of found) {
      progress(`memory: round ${round + 1} of ${rounds}, ${each.label ?? "Meridian"}`)
      const settings = { address, workers: 2, cores: layout.two, build: each.build }
      await withServers([() => start("meridian", settings)], async ([server]) => {
        const idle = memoryOf(server as RunningServer)
        await sample(server as RunningServer, { mode: "closed", seconds: seconds * 2 }, layout.generator)
        each.rounds.push([idle, memoryOf(server as RunningServer)])
      })
    }
  const values = (of: (typeof found)[number] | undefined, when: number, value: (at: Memory) => number) =>
    (of?.rounds ?? []).map((each) => value(each[when] as Memory))
  const columns = (value: (at: Memory) => number | undefined): Figure["of"] =>
    Object.fromEntries(
      found.flatMap((each) =>
        WHEN.flatMap((words, when) => {
          const samples = each.rounds.flatMap((round) => value(round[when] as Memory) ?? [])
          return samples.length === 0 ? [] : [[[each.label, words].filter(Boolean).join(", "), summary(samples)]]
        })
      )
    )
  const services = [
    ...new Set(found.flatMap((each) => each.rounds.flatMap((round) => round.flatMap((at) => [...at.services.keys()]))))
  ]
  const [own, other] = found
  const first = own?.rounds[0]?.[0]
  const both = new Set(services.filter((service) => found.every((each) => each.rounds[0]?.[0]?.services.has(service))))
  const most = (value: (at: Memory) => number) =>
    summary((own?.rounds ?? []).map((round) => Math.max(...round.map(value))))
  const besideChecks: readonly Check[] =
    beside === undefined
      ? []
      : WHEN.flatMap((words, when) => {
          const ratio = (name: string, value: (at: Memory) => number) =>
            besideCheck(`${name} ${words}`, values(own, when, value), values(other, when, value), beside)
          const alike = (at: Memory) => sumOf(at, both)
          return [
            ratio("resident, largest worker", (at) => at.worker),
            ratio("PSS", sumOf),
            compared(
              `PSS of what both have (${[...both].join(", ")}) ${words}`,
              pairedRatio(values(own, when, alike), values(other, when, alike)),
              3
            )
          ]
        })
  return {
    name: "memory",
    title: "memory of a node with two workers (MB are 10⁶ bytes)",
    figures: [
      { name: "largest worker, resident, MB", digits: 1, of: columns((at) => at.worker) },
      { name: "whole node, PSS, MB", digits: 1, of: columns((at) => sumOf(at)) },
      ...services.map((service) => ({
        name: `  of which ${service}, MB`,
        digits: 1,
        of: columns((at) => at.services.get(service))
      }))
    ],
    checks: [
      atMost(
        "resident memory of the largest worker",
        most((at) => at.worker),
        60,
        1,
        " MB"
      ),
      atMost(
        "PSS of the whole node",
        most((at) => sumOf(at)),
        150,
        1,
        " MB"
      ),
      ...besideChecks
    ],
    notes: first === undefined ? [] : [`processes: ${[...first.services.keys()].join(", ")}; two of them workers`]
  }
}

/** From the start command to the first correct reply, on all cores, as a newcomer has it. */
export const startup = async (options: BenchOptions): Promise<BenchResult> => {
  const { address, rounds, beside, progress } = options
  const ways = builds(options).flatMap((build) => {
    const settings = { address, workers: 1, cores: allowedCores(), build }
    const of = (words: string) => (build === undefined ? words : `${words}, ${build.label}`)
    return [
      { label: of("npm start"), startOne: () => startWithNpm(settings), seconds: [] as number[], cpu: [] as number[] },
      {
        label: of("meridian up"),
        startOne: () => start("meridian", settings),
        seconds: [] as number[],
        cpu: [] as number[]
      }
    ]
  })
  for (let round = 0; round < rounds; round += 1) {
    progress(`startup: round ${round + 1} of ${rounds}`)
    for (const { startOne, seconds, cpu } of ways) {
      const server = await startOne()
      seconds.push(server.startMilliseconds / 1000)
      cpu.push(cpuTime(server.pids()).used)
      await server.stop()
    }
  }
  const [npm, direct, otherNpm, otherDirect] = ways
  const pairs = [
    ["npm start", npm, otherNpm],
    ["meridian up", direct, otherDirect]
  ] as const
  return {
    name: "startup",
    title: "from the start command to the first correct reply, installed tree",
    figures: [
      {
        name: "seconds",
        digits: 3,
        of: Object.fromEntries(ways.map(({ label, seconds }) => [label, summary(seconds)]))
      },
      {
        name: "CPU time of all its processes until then, s",
        digits: 3,
        of: Object.fromEntries(ways.map(({ label, cpu }) => [label, summary(cpu)]))
      }
    ],
    checks: [
      atMost("npm start to first correct reply", summary(npm?.seconds ?? []), 1.5, 3, " s"),
      ...pairs.flatMap(([name, own, other]) =>
        beside === undefined || own === undefined || other === undefined
          ? []
          : [
              besideCheck(name, own.seconds, other.seconds, beside),
              besideCheck(`${name}, CPU time`, own.cpu, other.cpu, beside)
            ]
      )
    ],
    notes: []
  }
}
