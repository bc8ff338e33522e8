/** The load's figures second by second, and summed. Pure. */
import type { TrendName } from "./scenario.ts"

/** One second of one series, as k6's output writes it; see loadtest/k6/ntp/timeline.go. */
export interface SeriesLine {
  /** Unix seconds. */
  readonly second: number
  readonly metric: string
  readonly load: string
  /** The rate at that moment of a load that has several. */
  readonly step: string
  /** Why, for what is lost, wrong or refused; else empty. */
  readonly tag: string
  readonly sum: number
  /** Values of a duration that are behind the percentiles. */
  readonly count: number
  /** Milliseconds. */
  readonly percentiles:
    | { readonly p50: number; readonly p95: number; readonly p99: number; readonly max: number }
    | undefined
}

/** @throws Error for a line that is none */
export const parseLine = (text: string): SeriesLine => {
  const found = JSON.parse(text) as Record<string, unknown>
  const { second, metric, load, step, tag = "", sum, count, p50, p95, p99, max } = found
  if (typeof second !== "number" || typeof metric !== "string" || typeof sum !== "number" || typeof count !== "number")
    throw new Error(`expected a line of k6's timeline, found ${text.slice(0, 100)}`)
  const isMeasured = [p50, p95, p99, max].every((it) => typeof it === "number")
  return {
    second,
    metric,
    load: typeof load === "string" ? load : "",
    step: typeof step === "string" ? step : "",
    tag: typeof tag === "string" ? tag : "",
    sum,
    count,
    percentiles: isMeasured
      ? { p50: p50 as number, p95: p95 as number, p99: p99 as number, max: max as number }
      : undefined
  }
}

const of = (lines: readonly SeriesLine[], metric: string, load?: string): readonly SeriesLine[] =>
  lines.filter((line) => line.metric === metric && (load === undefined || line.load === load))

export const sumOf = (lines: readonly SeriesLine[], metric: string, load?: string): number =>
  of(lines, metric, load).reduce((sum, line) => sum + line.sum, 0)

/** Sums by tag: why requests were lost, say. */
export const sumsByTag = (lines: readonly SeriesLine[], metric: string): Readonly<Record<string, number>> => {
  const found: Record<string, number> = {}
  for (const { tag, sum } of of(lines, metric)) found[tag] = (found[tag] ?? 0) + sum
  return found
}

/**
 * A percentile over the whole run, from those of its seconds: the value that this share of all requests lies below, each second's
 * requests being taken to lie at its own percentile. Undefined where nothing was measured.
 */
export const percentileOf = (
  lines: readonly SeriesLine[],
  metric: TrendName,
  percentile: 50 | 95 | 99,
  load?: string
): { readonly value: number; readonly samples: number } | undefined => {
  const measured = of(lines, metric, load).flatMap(({ percentiles, count }) =>
    percentiles === undefined ? [] : [{ value: percentiles[`p${percentile}`], count }]
  )
  const samples = measured.reduce((sum, { count }) => sum + count, 0)
  const sorted = measured.toSorted((a, b) => a.value - b.value)
  let below = 0
  for (const { value, count } of sorted) {
    below += count
    if (below >= (percentile / 100) * samples) return { value, samples }
  }
  return undefined
}

export interface Second {
  /** Seconds after the load began. */
  readonly at: number
  readonly requests: number
  readonly replies: number
  readonly lost: number
  readonly wrong: number
  readonly kod: number
  readonly failures: number
  readonly handshakes: number
  readonly handshakeFailures: number
  readonly p50: number | null
  readonly p99: number | null
  readonly handshakeP99: number | null
}

/** Every second from the first to the last; of durations the largest percentile of any load. */
export const secondsOf = (lines: readonly SeriesLine[], began: number): readonly Second[] => {
  if (lines.length === 0) return []
  const last = Math.max(...lines.map(({ second }) => second))
  return Array.from({ length: Math.max(0, last - began + 1) }, (_, at) => {
    const own = lines.filter(({ second }) => second === began + at)
    const largest = (metric: string, which: "p50" | "p99"): number | null => {
      const values = of(own, metric).flatMap(({ percentiles }) => percentiles?.[which] ?? [])
      return values.length === 0 ? null : Math.max(...values)
    }
    return {
      at,
      requests: sumOf(own, "ntp_requests"),
      replies: sumOf(own, "ntp_replies"),
      lost: sumOf(own, "ntp_lost"),
      wrong: sumOf(own, "ntp_wrong"),
      kod: sumOf(own, "ntp_kod"),
      failures: sumOf(own, "ntp_failures") + sumOf(own, "ntske_given_up"),
      handshakes: of(own, "ntske_handshake_duration").reduce((sum, { count }) => sum + count, 0),
      handshakeFailures: sumOf(own, "ntske_failures"),
      p50: largest("ntp_req_duration", "p50"),
      p99: largest("ntp_req_duration", "p99"),
      handshakeP99: largest("ntske_handshake_duration", "p99")
    }
  })
}
