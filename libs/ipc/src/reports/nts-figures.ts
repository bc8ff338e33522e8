/**
 * What a node did with NTS, as every window shows it: NTPsec's `nts` and `ntske` screens, metrics, `meridian status`.
 * As server summed over workers and NTS-KE processes, as client what the clock's process counts.
 */
import type { NodeSnapshot } from "../node/node-snapshot.ts"
import { type NtsKeCounters, outcomesWithoutTls } from "./nts-ke-report.ts"
import type { NtsClientCounters } from "./source-detail.ts"
import type { CookieCounters, WorkerCounters } from "./worker-report.ts"

/** Requests and replies with NTS fields. */
interface NtsServerFigures {
  /** Requests that verified; each was answered. */
  readonly good: number
  /** Requests that did not: answered with a NAK, or dropped. */
  readonly bad: number
  readonly sent: number
  readonly naks: number
  readonly cookies: CookieCounters
  /** Sealed in replies and by key establishment. */
  readonly cookiesMade: number
}

/** Connections of key establishment that are over. */
interface NtsKeFigures {
  readonly good: number
  /** No TLS session came about. */
  readonly withoutTls: number
  /** A TLS session, and no agreement. */
  readonly bad: number
}

const noCookies: CookieCounters = { made: 0, current: 0, old: 0, old2: 0, older: 0, unknown: 0, forged: 0 }

export const ntsServerFigures = (totals: WorkerCounters, ke: readonly NtsKeCounters[]): NtsServerFigures => {
  const { served, dropped } = totals
  const good = served["served-nts"] ?? 0
  const naks = served["nts-nak-sent"] ?? 0
  const cookies = totals.cookies ?? noCookies
  const inExchanges = ke.reduce((sum, { cookies: handed }) => sum + handed, 0)
  return {
    good,
    bad: naks + (dropped["nts-nak-limited"] ?? 0) + (dropped["nts-malformed"] ?? 0) + (dropped["nts-not-served"] ?? 0),
    sent: good,
    naks,
    cookies,
    cookiesMade: cookies.made + inExchanges
  }
}

export const ntsKeFigures = (ke: readonly NtsKeCounters[]): NtsKeFigures => {
  const counts = ke.flatMap(({ outcomes }) => Object.entries(outcomes))
  const sum = (wanted: (name: string) => boolean): number =>
    counts.reduce((total, [name, count]) => (wanted(name) ? total + count : total), 0)
  return {
    good: sum((name) => name === "agreed"),
    withoutTls: sum((name) => (outcomesWithoutTls as readonly string[]).includes(name)),
    bad: sum((name) => name !== "agreed" && !(outcomesWithoutTls as readonly string[]).includes(name))
  }
}

const noNtsClient: NtsClientCounters = { sent: 0, good: 0, bad: 0, exchangesGood: 0, exchangesBad: 0 }

/** All of it of one picture. */
export const ntsFigures = ({ status, ntsClient }: NodeSnapshot) => ({
  client: ntsClient ?? noNtsClient,
  server: ntsServerFigures(status.totals, status.ntsKe),
  ke: ntsKeFigures(status.ntsKe)
})
