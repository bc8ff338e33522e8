/** What a live run's readings come to: seconds in which both clients had the time are told from those in which one had. */
import type { Outage } from "./live-disturbances.ts"

/** What one second was read as, seconds; NaN: not synchronised, or nobody beside it. */
export interface Reading {
  /** Since both were started. */
  readonly at: number
  readonly meridian: number
  readonly claim: number
  readonly chronyd: number
}

/** Microseconds of |error|; NaN of none. */
export interface Quantiles {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export const quantilesOf = (errors: readonly number[]): Quantiles => {
  const ordered = errors.map(Math.abs).toSorted((a, b) => a - b)
  const quantile = (share: number): number => (ordered[Math.ceil(share * ordered.length) - 1] ?? Number.NaN) * 1e6
  return { p50: quantile(0.5), p99: quantile(0.99), max: quantile(1) }
}

export interface Beside {
  /** Seconds in which both were synchronised, in which one was, in which none was. */
  readonly both: number
  readonly meridianAlone: number
  readonly chronydAlone: number
  readonly neither: number
  /** Of the seconds in which both were. */
  readonly meridian: Quantiles
  readonly chronyd: Quantiles
}

export const beside = (readings: readonly Reading[]): Beside => {
  const both = readings.filter((it) => Number.isFinite(it.meridian) && Number.isFinite(it.chronyd))
  const meridianAlone = readings.filter((it) => Number.isFinite(it.meridian)).length - both.length
  const chronydAlone = readings.filter((it) => Number.isFinite(it.chronyd)).length - both.length
  return {
    both: both.length,
    meridianAlone,
    chronydAlone,
    neither: readings.length - both.length - meridianAlone - chronydAlone,
    meridian: quantilesOf(both.map((it) => it.meridian)),
    chronyd: quantilesOf(both.map((it) => it.chronyd))
  }
}

/** From a moment until the next that something befalls both, or the end. */
export interface Phase extends Beside {
  readonly what: string
  readonly from: number
  readonly outsideClaim: number
  /** The median, microseconds. */
  readonly claim: number
}

export const phase = (what: string, from: number, readings: readonly Reading[]): Phase => {
  const synchronised = readings.filter((it) => Number.isFinite(it.meridian))
  return {
    what,
    from,
    ...beside(readings),
    outsideClaim: synchronised.filter((it) => Math.abs(it.meridian) > it.claim).length,
    claim: quantilesOf(synchronised.map((it) => it.claim)).p50
  }
}

export interface LiveResult {
  readonly upstream: string
  readonly minutes: number
  readonly seed: number
  readonly polls: readonly [number, number]
  readonly network: string
  /** Of Meridian alone, ten times a second from its first decision on. */
  readonly samples: number
  readonly unsynchronisedSamples: number
  readonly microseconds: Quantiles
  readonly outsideClaim: number
  /** Seconds from the start until each was synchronised. */
  readonly first: { readonly meridian: number; readonly chronyd: number }
  readonly chronyd: ({ readonly label: string } & Beside) | null
  readonly phases: readonly Phase[]
  readonly suspended: { readonly processes: number; readonly ended: number } | null
  readonly outage: Outage | null
}

const micro = ({ p50, p99, max }: Quantiles): string =>
  `|offset| p50 ${p50.toFixed(2)} µs, p99 ${p99.toFixed(2)} µs, max ${max.toFixed(2)} µs`

const seconds = ({ both, meridianAlone, chronydAlone, neither }: Beside): string =>
  `both ${both} s, Meridian alone ${meridianAlone}, chronyd alone ${chronydAlone}, neither ${neither}`

/** The lines that are printed. */
export const inWords = (result: LiveResult): readonly string[] => {
  const { chronyd, outage, suspended } = result
  const lines = [
    `${result.upstream} on ${result.network}, polls 2^${result.polls[0]} to 2^${result.polls[1]} s, ${result.minutes} min, ${result.samples} readings: ` +
      `${micro(result.microseconds)}; ${result.outsideClaim} outside the claimed bound, ${result.unsynchronisedSamples} not synchronised`
  ]
  if (chronyd !== null)
    lines.push(
      `synchronised after ${result.first.meridian.toFixed(1)} s, ${chronyd.label} -x after ${result.first.chronyd.toFixed(1)} s; ${seconds(chronyd)}`,
      `while both were: Meridian ${micro(chronyd.meridian)}`,
      `                 chronyd  ${micro(chronyd.chronyd)}`
    )
  for (const each of result.phases)
    lines.push(
      `${each.what} at ${each.from} s, from then on: ${seconds(each)}; ${each.outsideClaim} outside the claimed bound (median ${each.claim.toFixed(0)} µs)`,
      `                 Meridian ${micro(each.meridian)}`,
      `                 chronyd  ${micro(each.chronyd)}`
    )
  if (suspended !== null)
    lines.push(`${suspended.processes} processes were stopped, ${suspended.ended} of them replaced`)
  if (outage !== null)
    lines.push(
      `restarted: Meridian served nothing for ${outage.meridian.toFixed(2)} s, chronyd no time of its server's for ${outage.chronyd.toFixed(2)} s`
    )
  return lines
}
