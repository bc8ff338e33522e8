/** The benches of Meridian alone: two workers, allocation. */
import { generate, sample } from "./measure.ts"
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
import { type RunningServer, start, workerStatus } from "./servers.ts"
import { growth, pairedRatio, sumOfIncreases, summary } from "./statistics.ts"

const MEGABYTE = 1e6

/** On two cores the second worker has that of the generator, so that waiting for it is no disturbance. */
const SHARED_CORE = { waiting: false }

/** Two workers beside one, and how the kernel divides 512 source ports between the two. */
export const workers = async ({ layout, address, rounds, seconds, progress }: BenchOptions): Promise<BenchResult> => {
  const core = layout.generator
  const relabel = (server: RunningServer, count: number): RunningServer => ({
    ...server,
    label: `${server.label} × ${count}`
  })
  const starting = (["meridian", "floor"] as const).flatMap((name) =>
    [1, 2].map(
      (count) => async () =>
        relabel(await start(name, { address, workers: count, cores: count === 1 ? layout.one : layout.two }), count)
    )
  )
  return withServers(starting, async (servers) => {
    const [one, two, floorOne, floorTwo] = servers as [RunningServer, RunningServer, RunningServer, RunningServer]
    for (const server of servers)
      await sample(server, { mode: "closed", seconds: WARM_UP_SECONDS }, core, undefined, SHARED_CORE)
    const saturated = await interleaved(servers, rounds, (server, round) => {
      progress(`workers: round ${round + 1} of ${rounds}, ${server.label}`)
      return sample(server, { mode: "closed", seconds }, core, undefined, SHARED_CORE)
    })
    const shares: number[] = []
    for (let round = 0; round < rounds; round++) {
      progress(`workers: round ${round + 1} of ${rounds}, share of 512 source ports`)
      const before = await settledStatus(two.folder, core)
      await sample(two, { mode: "open", rate: 20_000, seconds: 1 }, core, undefined, SHARED_CORE)
      const after = await settledStatus(two.folder, core)
      const replied = after.map(
        (worker) => worker.replied - (before.find((same) => same.pid === worker.pid)?.replied ?? 0)
      )
      shares.push((Math.max(...replied) / replied.reduce((sum, each) => sum + each, 0)) * 100)
    }
    const cpu = (server: RunningServer) => (saturated.get(server) ?? []).map((each) => each.cpuMicroseconds)
    return {
      name: "workers",
      title: "two workers beside one",
      figures: [
        figure("CPU per reply, saturated, µs", 3, saturated, (each) => each.cpuMicroseconds),
        figure("replies/s, closed loop", 0, saturated, (each) => each.report.answeredPerSecond)
      ],
      checks: [
        atMost("CPU per reply, saturated: two workers / one", pairedRatio(cpu(two), cpu(one)), 1.05, 3),
        compared("the same for the C floor", pairedRatio(cpu(floorTwo), cpu(floorOne)), 3),
        // Every round must hold here, so it is the worst that is compared.
        {
          ...atMost("larger worker's share of 512 ports, worst round", summary(shares), 60, 1, " %"),
          met: Math.max(...shares) <= 60
        }
      ],
      notes: [layout.words.at(-1) ?? ""]
    }
  })
}

/** Workers report each second; this waits until what they did is certainly reported. */
const settledStatus = async (folder: string, core: number) => {
  await new Promise((resolve) => setTimeout(resolve, 2200))
  return workerStatus(folder, core)
}

/** Heap and resident memory of one worker while it answers millions of requests. */
export const alloc = async ({ layout, address, requests, progress }: BenchOptions): Promise<BenchResult> =>
  withServers([() => start("meridian", { address, workers: 1, cores: layout.one })], async ([node]) => {
    const server = node as RunningServer
    const core = layout.generator
    progress("alloc: warming up with a tenth")
    await sample(server, { mode: "closed", seconds: 600, count: Math.ceil(requests / 10) }, core)
    await settledStatus(server.folder, core)
    const state = { over: false }
    const flags = ["--mode", "closed", "--seconds", "1200", "--count", String(requests)]
    const load = generate(address, server.port, flags, core).finally(() => {
      state.over = true
    })
    const heap: number[] = []
    const resident: number[] = []
    while (!state.over) {
      const [worker] = await workerStatus(server.folder, core)
      if (worker === undefined) throw new Error("expected one worker in the status, found none")
      heap.push(worker.heapUsed)
      resident.push(worker.rss)
      progress(`alloc: heap ${(worker.heapUsed / MEGABYTE).toFixed(2)} MB, ${worker.replied} replies`)
      await Promise.race([load, new Promise((resolve) => setTimeout(resolve, 1000))])
    }
    const report = await load
    if (report.wrong > 0) throw new Error(`${report.wrong} wrong answers`)
    const single = (value: number) => summary([value])
    return {
      name: "alloc",
      title: `one worker over ${report.answered} requests, ${heap.length} looks at its heap`,
      figures: [
        { name: "heap in use, MB", digits: 2, of: { worker: summary(heap.map((bytes) => bytes / MEGABYTE)) } },
        { name: "resident, MB", digits: 2, of: { worker: summary(resident.map((bytes) => bytes / MEGABYTE)) } }
      ],
      checks: [
        atMost("growth of the heap in use, first to last quarter", single(growth(heap) / MEGABYTE), 2, 2, " MB"),
        atMost("growth of resident memory, first to last quarter", single(growth(resident) / MEGABYTE), 2, 2, " MB"),
        atMost(
          "allocated per request, seen as steps upwards",
          single(sumOfIncreases(heap) / report.answered),
          4,
          2,
          " bytes"
        )
      ],
      notes: [
        "the smallest heap object is 8 to 16 bytes, so an object per request would show as 8 bytes per request or more"
      ]
    }
  })
