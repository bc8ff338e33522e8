/** Whether a scenario's bounds were kept. Pure. */
import type { Bound, Finding } from "./scenario.ts"
import { percentileOf, type SeriesLine, sumOf } from "./seconds.ts"

export interface Judged {
  readonly what: string
  readonly found: string
  readonly wanted: string
  readonly met: boolean
}

const whole = (value: number): string => Math.round(value).toLocaleString("en")
const ofLoad = (load: string | undefined): string => (load === undefined ? "" : ` of ${load}`)

/** Requests a second over the time that sending them took; 0 where none were. */
const paceOf = (lines: readonly SeriesLine[], load?: string): number => {
  const took = sumOf(lines, "ntp_flow_seconds", load)
  return took === 0 ? 0 : sumOf(lines, "ntp_requests", load) / took
}

const judgeBound = (bound: Bound, lines: readonly SeriesLine[]): Judged => {
  switch (bound.kind) {
    case "sum": {
      const { metric, load, atLeast = 0, atMost = Number.POSITIVE_INFINITY } = bound
      const found = sumOf(lines, metric, load)
      const wanted = [
        ...(bound.atLeast === undefined ? [] : [`at least ${whole(atLeast)}`]),
        ...(bound.atMost === undefined ? [] : [`at most ${whole(atMost)}`])
      ]
      return {
        what: `${metric}${ofLoad(load)}`,
        found: whole(found),
        wanted: wanted.join(", "),
        met: found >= atLeast && found <= atMost
      }
    }
    case "loss": {
      const sent = sumOf(lines, "ntp_requests", bound.load)
      const share = sent === 0 ? 1 : sumOf(lines, "ntp_lost", bound.load) / sent
      return {
        what: `lost share${ofLoad(bound.load)}`,
        found: `${(share * 100).toFixed(4)} % of ${whole(sent)}`,
        wanted: `below ${Number((bound.below * 100).toPrecision(3))} %`,
        met: share < bound.below
      }
    }
    case "pace": {
      const found = paceOf(lines, bound.load)
      return {
        what: `requests a second of ${bound.load}`,
        found: whole(found),
        wanted: `at least ${whole(bound.atLeast)}`,
        met: found >= bound.atLeast
      }
    }
    case "latency": {
      const { metric, load, percentile, below, samples } = bound
      const found = percentileOf(lines, metric, percentile, load)
      return {
        what: `${metric} p${percentile}${ofLoad(load)}`,
        found: found === undefined ? "not measured" : `${found.value.toFixed(2)} ms of ${whole(found.samples)}`,
        wanted: `below ${below} ms, at least ${whole(samples)} measured`,
        met: found !== undefined && found.value < below && found.samples >= samples
      }
    }
  }
}

const judgeFinding = ({ what, found, limit, unit }: Finding): Judged => {
  const write = (value: number): string => (unit === "s" ? `${value.toFixed(2)} s` : whole(value))
  return { what, found: write(found), wanted: `at most ${write(limit)}`, met: found <= limit }
}

export const judge = (
  bounds: readonly Bound[],
  lines: readonly SeriesLine[],
  findings: readonly Finding[]
): readonly Judged[] => [...bounds.map((bound) => judgeBound(bound, lines)), ...findings.map(judgeFinding)]

export interface RampStep {
  /** Requests a second that were asked for. */
  readonly rate: number
  /** Requests a second that were sent, over the time that sending took. */
  readonly sent: number
  /** Shares of the requests: without a reply, and with one that came later than a tenth of a second. */
  readonly lost: number
  readonly late: number
  /** milliseconds */
  readonly p99: number | null
}

const MOST_LOST = 1e-3
/** A queue that grows is not speed: so many may wait for longer than a tenth of a second. */
const MOST_LATE = 1e-2
/** A generator that cannot keep its pace shows no server at that pace. */
export const KEPT_PACE = 0.95

/** What each step of a flow came to. */
export const rampSteps = (rates: readonly number[], lines: readonly SeriesLine[]): readonly RampStep[] =>
  rates.map((rate) => {
    const own = lines.filter(({ step }) => step === String(rate))
    const asked = sumOf(own, "ntp_requests")
    const share = (metric: "ntp_lost" | "ntp_late"): number => (asked === 0 ? 1 : sumOf(own, metric) / asked)
    return {
      rate,
      sent: paceOf(own),
      lost: share("ntp_lost"),
      late: share("ntp_late"),
      p99: percentileOf(own, "ntp_req_duration", 99)?.value ?? null
    }
  })

/** Requests a second of the highest step at which they went out at that pace and were answered in time; undefined where none was. */
export const saturationOf = (steps: readonly RampStep[]): number | undefined =>
  steps.findLast(
    ({ rate, sent, lost, late }) => sent >= KEPT_PACE * rate && lost < MOST_LOST && lost + late < MOST_LATE
  )?.rate
