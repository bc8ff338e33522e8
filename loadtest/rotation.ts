/**
 * How long a rotation of the NTS key takes to reach every worker of a cluster: three NATS servers, three nodes with four
 * workers each, all on this machine and so under one clock. Counted from the moment the leader decides on it, which its
 * event carries (minting, laying the key in the key store and the append itself are in the figure), to the moment at which a
 * worker has put the new generation into use, which its report carries.
 */
import { execFile, execFileSync } from "node:child_process"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { removeFolder, temporaryFolder } from "./children.ts"
import { atMost, type BenchOptions, type BenchResult } from "./results.ts"
import { summary } from "./statistics.ts"

const NODES = ["a", "b", "c"]
const WORKERS = 4
const ROTATION_SECONDS = 2
const ROTATIONS = 24
const LIMIT_MS = 250
const LOOK_MS = 400
/** Unusual ones, clear of the development cluster's. */
const NTP_PORT = 23_151
const NATS_PORT = 25_322

const root = resolve(import.meta.dirname, "..")
const run = promisify(execFile)
const meridian = async (...args: readonly string[]): Promise<string> => {
  const { stdout } = await run(process.execPath, [join(root, "services/cli/bin/meridian.mjs"), ...args], {
    maxBuffer: 1 << 26
  })
  return stdout
}

interface Status {
  readonly workers: readonly {
    readonly index: number
    readonly newestKey: { readonly generation: number; readonly since: number }
  }[]
}

/** Milliseconds since 1970 at which each worker, by its name, began to hold a generation. */
type Arrivals = Map<number, Map<string, number>>

const look = async (state: string, node: string, into: Arrivals): Promise<void> => {
  const { workers } = JSON.parse(await meridian("status", "--json", "--state", state)) as Status
  for (const { index, newestKey } of workers) {
    const arrived = into.get(newestKey.generation) ?? new Map<string, number>()
    arrived.set(`${node} ${index}`, newestKey.since)
    into.set(newestKey.generation, arrived)
  }
}

/** When each generation was decided on, milliseconds since 1970. */
const decided = async (state: string): Promise<ReadonlyMap<number, number>> => {
  const lines = (await meridian("log", "--json", "--subject", "keys.nts", "--state", state)).trim().split("\n")
  return new Map(
    lines.flatMap((line) => {
      const { event } = JSON.parse(line) as {
        readonly event?: {
          readonly type: string
          readonly time: string
          readonly data: { readonly generation: number }
        }
      }
      return event?.type === "NtsGenerationPublished" ? [[event.data.generation, Date.parse(event.time)] as const] : []
    })
  )
}

/** What every worker took for each generation that all of them were seen with. */
const latencies = (
  arrivals: Arrivals,
  times: ReadonlyMap<number, number>,
  first: number
): readonly (readonly number[])[] =>
  [...arrivals].flatMap(([generation, arrived]) => {
    const time = times.get(generation)
    if (time === undefined || generation <= first || arrived.size < NODES.length * WORKERS) return []
    return [[...arrived.values()].map((since) => since - time)]
  })

export const rotation = async ({ progress }: BenchOptions): Promise<BenchResult> => {
  const directory = join(temporaryFolder(), "cluster")
  const place = ["--directory", directory, "--ntp-port", String(NTP_PORT), "--nats-port", String(NATS_PORT)]
  const script = join(root, "infra/dev/cluster.ts")
  const down = (): void => void execFileSync(process.execPath, [script, "down", ...place], { stdio: "ignore" })
  process.once("exit", down)
  try {
    progress("rotation: starting three NATS servers and three nodes")
    const size = ["--workers", String(WORKERS), "--rotate", String(ROTATION_SECONDS)]
    await run(process.execPath, [script, "up", ...place, ...size])
    const arrivals: Arrivals = new Map()
    const stateOf = (node: string): string => join(directory, node)
    // What was there before the first look was not watched coming.
    await Promise.all(NODES.map((node) => look(stateOf(node), node, arrivals)))
    const first = Math.max(...arrivals.keys())
    for (let newest = first; newest < first + ROTATIONS; newest = Math.max(...arrivals.keys())) {
      progress(`rotation: ${newest - first} of ${ROTATIONS}`)
      await sleep(LOOK_MS)
      await Promise.all(NODES.map((node) => look(stateOf(node), node, arrivals)))
    }
    await sleep(2 * LOOK_MS)
    const found = latencies(arrivals, await decided(stateOf("a")), first)
    if (found.length === 0) throw new Error("expected rotations that every worker was seen with, found none")
    const slowest = found.map((each) => Math.max(...each))
    return {
      name: "rotation",
      title: `${found.length} rotations of the NTS key, to ${NODES.length * WORKERS} workers on ${NODES.length} nodes`,
      figures: [
        {
          name: "decision to a worker's use, ms",
          digits: 0,
          of: { "each worker": summary(found.flat()), "last worker": summary(slowest) }
        }
      ],
      checks: [
        atMost("decision to the last worker's use, median", summary(slowest), LIMIT_MS, 0, " ms"),
        atMost("the same, worst rotation", summary([Math.max(...slowest)]), LIMIT_MS, 0, " ms")
      ],
      notes: ["from the decision on: minting, the key store and the append to three NATS servers are in it"]
    }
  } finally {
    process.off("exit", down)
    down()
    removeFolder(resolve(directory, ".."))
  }
}
