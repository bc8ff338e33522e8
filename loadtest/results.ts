/** The shape of a bench's result, and what all benches share: servers that are stopped again, and interleaved rounds. */
import type { CoreLayout } from "./process-figures.ts"
import type { OtherBuild, RunningServer, ServerName } from "./servers.ts"
import { pairedRatio, type Summary, summary } from "./statistics.ts"

/** One figure for some of the servers, by their labels. */
export interface Figure {
  readonly name: string
  readonly digits: number
  readonly of: Readonly<Record<string, Summary>>
}

/** A figure that has a target. */
export interface Check {
  readonly name: string
  readonly found: Summary
  readonly digits: number
  readonly target: string
  readonly met: boolean
}

export interface BenchResult {
  readonly name: string
  readonly title: string
  readonly figures: readonly Figure[]
  readonly checks: readonly Check[]
  readonly notes: readonly string[]
}

export interface BenchOptions {
  readonly layout: CoreLayout
  readonly address: string
  readonly rounds: number
  /** Length of one measurement in seconds. */
  readonly seconds: number
  /** Requests of the allocation bench. */
  readonly requests: number
  /** Length of the log in the event log's bench. */
  readonly events: number
  readonly servers: readonly ServerName[]
  /** Another tree of Meridian's, measured in the same rounds. */
  readonly beside: OtherBuild | undefined
  readonly progress: (line: string) => void
}

/** A figure whose median must not lie above `limit`. */
export const atMost = (name: string, found: Summary, limit: number, digits: number, unit = ""): Check => ({
  name,
  found,
  digits,
  target: `at most ${limit}${unit}`,
  met: found.median <= limit
})

/** A figure whose median must not lie below `limit`. */
export const atLeast = (name: string, found: Summary, limit: number, digits: number): Check => ({
  name,
  found,
  digits,
  target: `at least ${limit}`,
  met: found.median >= limit
})

/** A figure without a target, shown beside those that have one. */
export const compared = (name: string, found: Summary, digits: number): Check => ({
  name,
  found,
  digits,
  target: "(for comparison)",
  met: true
})

/** What this tree may take of what another one takes, in the same run. */
const BESIDE_LIMIT = 1.02

/** What this tree takes for what the other takes, round by round. */
export const besideCheck = (name: string, own: readonly number[], other: readonly number[], build: OtherBuild): Check =>
  atMost(`${name}: Meridian / ${build.label}`, pairedRatio(own, other), BESIDE_LIMIT, 3)

/** This tree, and the other one where there is one: what `StartOptions.build` may be. */
export const builds = ({ beside }: BenchOptions): readonly (OtherBuild | undefined)[] =>
  beside === undefined ? [undefined] : [undefined, beside]

/** Length of the closed loop that every server gets before its first measurement, so that compilers have done their work. */
export const WARM_UP_SECONDS = 3

/** Runs `measure` for every server in turn, `rounds` times over: A B C, A B C, … */
export const interleaved = async <A, Server extends RunningServer = RunningServer>(
  servers: readonly Server[],
  rounds: number,
  measure: (server: Server, round: number) => Promise<A>
): Promise<ReadonlyMap<Server, readonly A[]>> => {
  const results = new Map<Server, A[]>(servers.map((server) => [server, []]))
  for (let round = 0; round < rounds; round++) {
    for (const server of servers) results.get(server)?.push(await measure(server, round))
  }
  return results
}

/** Summarises one value of every server's samples. */
export const figure = <A>(
  name: string,
  digits: number,
  results: ReadonlyMap<RunningServer, readonly A[]>,
  value: (sample: A) => number
): Figure => ({
  name,
  digits,
  of: Object.fromEntries([...results].map(([server, samples]) => [server.label, summary(samples.map(value))]))
})

/** Starts servers one after another, and stops those that were started whatever happens. */
export const withServers = async <A, Server extends RunningServer = RunningServer>(
  starting: readonly (() => Promise<Server>)[],
  body: (servers: readonly Server[]) => Promise<A>
): Promise<A> => {
  const servers: Server[] = []
  try {
    for (const startOne of starting) servers.push(await startOne())
    return await body(servers)
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
}
