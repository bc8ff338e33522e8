/** The bench of the event log: replay, start from a snapshot, append. */
import {
  appends,
  choice,
  missingServer,
  type NatsVersion,
  reachability,
  type Replayed,
  replayJetStream,
  replaySqlite,
  TAIL
} from "../libs/event-log/bench/log-bench.ts"
import { atLeast, atMost, type BenchOptions, type BenchResult, type Check, compared, type Figure } from "./results.ts"
import { pairedRatio, summary } from "./statistics.ts"

const VERSIONS: readonly NatsVersion[] = ["2.10", "2.15"]
/** Appends are short, so a run has room for more rounds of them. */
const APPEND_ROUNDS_FACTOR = 4

/** Replay of `events` from SQLite and JetStream, and appends beside the client's publish, single and in a cluster of three. */
export const eventLog = async ({ rounds, events, progress }: BenchOptions): Promise<BenchResult> => {
  const replayed = new Map<string, Replayed>()
  const notes: string[] = []
  progress(`event-log: ${events} events in SQLite`)
  replayed.set("SQLite", await replaySqlite(reachability, events, rounds))
  progress(`event-log: ${events} longer events in SQLite`)
  const longer = await replaySqlite(choice, events, rounds)
  const checks: Check[] = [
    atLeast("SQLite: events replayed a second", summary(replayed.get("SQLite")?.eventsPerSecond ?? []), 300_000, 0)
  ]
  const acknowledged: Record<string, readonly number[]> = {}
  const raw: Record<string, readonly number[]> = {}
  const ratios: Check[] = []
  for (const version of VERSIONS) {
    const why = missingServer(version)
    if (why !== undefined) {
      notes.push(`not measured: ${why}`)
      continue
    }
    const label = `JetStream ${version}`
    progress(`event-log: ${events} events in ${label}`)
    const times = await replayJetStream(version, reachability, events, rounds)
    replayed.set(label, times)
    checks.push(atLeast(`${label}: events replayed a second`, summary(times.eventsPerSecond), 200_000, 0))
    for (const size of [1, 3] as const) {
      const name = `${label} × ${size}`
      progress(`event-log: appends to ${name}`)
      const { append, publish } = await appends(version, size, reachability, rounds * APPEND_ROUNDS_FACTOR)
      acknowledged[name] = append
      raw[name] = publish
      ratios.push(atMost(`${name}: append / raw publish`, pairedRatio(append, publish), 1.3, 2))
    }
  }
  const starts = [...replayed].map(([label, { startMilliseconds }]) =>
    atMost(`${label}: start from a snapshot and ${TAIL} events`, summary(startMilliseconds), 1_000, 0, " ms")
  )
  const row = (name: string, digits: number, values: readonly (readonly [string, readonly number[]])[]): Figure => ({
    name,
    digits,
    of: Object.fromEntries(values.map(([label, all]) => [label, summary(all)]))
  })
  return {
    name: "event-log",
    title: `${events} events, one a commit, judged and folded`,
    figures: [
      row(
        "CPU per event replayed, µs",
        2,
        [...replayed].map(([label, it]) => [label, it.cpuMicroseconds])
      ),
      row("append to acknowledgement, ms", 3, Object.entries(acknowledged)),
      row("raw publish to acknowledgement, ms", 3, Object.entries(raw))
    ],
    checks: [
      ...checks,
      compared("SQLite: peer choices of 700 bytes replayed a second", summary(longer.eventsPerSecond), 0),
      ...starts,
      ...ratios
    ],
    notes
  }
}
