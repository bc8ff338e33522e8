/**
 * The system process (RFC 5905 §11.2): fitness, selection, clustering, the system peer and the combined offset. A pure
 * function of the sources and of what it decided before; every source gets a verdict with its reason.
 */
import { cluster } from "./cluster.ts"
import { combine } from "./combine.ts"
import { orphanParent, type OrphanRank } from "./orphan.ts"
import { MAXDIST, MAXSTRAT } from "./parameters.ts"
import { NUMBERING_LIMIT } from "./reference-filter.ts"
import { rootDistance, type RootDistanceTerms } from "./root-distance.ts"
import { type CorrectnessInterval, type Intersection, select, type SelectionRule } from "./selection.ts"
import { findStrays, noStrays, strayReason, type Strays } from "./strays.ts"
import { formatSeconds, type SourceVerdict, type Verdict } from "./verdict.ts"

/** One source as the system process sees it. Offsets and times as in {@link RootDistanceTerms}: seconds. */
export interface SourceView extends RootDistanceTerms {
  readonly id: string
  /** The reach register, eight polls (RFC 5905 §9.2); 0 is unreachable. */
  readonly reach: number
  /** Whether it answers at all, be it that it has no time; undefined: as `reach` says. */
  readonly heard?: boolean
  readonly stratum: number
  /** 0 … 3 (RFC 5905 §7.3). */
  readonly leap: number
  /** Whether following it would close a timing loop (RFC 5905 A.5.5.3); the association knows the addresses. */
  readonly loop: boolean
  readonly offset: number
  /** Of our clock as this source measures it, with its standard deviation, seconds per second; undefined: not known. */
  readonly frequency?: { readonly value: number; readonly deviation: number } | undefined
  /** Poll interval, seconds: its dispersion may grow that long before the distance counts against it. */
  readonly pollInterval: number
  readonly prefer: boolean
  readonly noselect: boolean
  /** ntp.conf `true`: always a truechimer. */
  readonly alwaysTrue: boolean
  /** Of pulses: followed only beside another survivor, which says which seconds they are. */
  readonly pulse?: boolean
  /** Its place among orphans, where orphan mode is on. */
  readonly rank?: OrphanRank
}

/** The `tos` values of ntp.conf. */
export interface SystemOptions {
  /** Survivors without which the clock is not set. */
  readonly minsane: number
  /** Survivors that clustering leaves. */
  readonly minclock: number
  /** Candidates that take part in clustering. */
  readonly maxclock: number
  /** Offsets closer than this do not move the choice of system peer (anti-clockhop), seconds. */
  readonly mindist: number
  /** Root distance limit, seconds. */
  readonly maxdist: number
  /** Strata outside floor … ceiling-1 are not fit. */
  readonly floor: number
  readonly ceiling: number
  /** Jitter limit, seconds. */
  readonly maxjitter: number
  readonly selection: SelectionRule
  /** Sources at this stratum are orphans, followed only when nobody else survives; undefined: there are none. */
  readonly orphan?: number
}

/** maxdist is 1.5 s as in ntpd, since MAXDIST of 1 s turns away paths over satellites; the rest is RFC 5905 §11.2. */
export const defaultSystemOptions: SystemOptions = {
  minsane: 1,
  minclock: 3,
  maxclock: 10,
  mindist: 0.001,
  maxdist: 1.5,
  floor: 1,
  ceiling: MAXSTRAT,
  maxjitter: 1,
  selection: "overlap"
}

/** What the next decision needs to know of the last. */
export interface SystemMemory {
  readonly peer: string | undefined
  /**
   * What our own clock claims, once it is set: the offset that is served, and its root distance. A minority of the
   * configured sources that contradicts it is not followed, even when nobody else answers at the moment.
   */
  readonly own?: CorrectnessInterval | undefined
  /** Sources whose rate is not that of the others. */
  readonly strays?: Strays
  /** Seconds within which the old peer keeps its place; 0 when nobody has challenged it yet. */
  readonly clockhop: number
}

export const noSystemPeer: SystemMemory = { peer: undefined, clockhop: 0 }

/** A source that counts, with the root distance it was judged by. */
export interface Survivor {
  readonly source: SourceView
  readonly distance: number
}

export interface SystemDecision {
  readonly verdicts: readonly SourceVerdict[]
  /** The system peer, then the others whose offsets are combined. Empty when nothing can be followed. */
  readonly used: readonly Survivor[]
  /** Every survivor of clustering, in order of merit, whether used or not. */
  readonly survivors: readonly Survivor[]
  readonly intersection: Intersection | undefined
  /** Combined offset and jitter, seconds; undefined when `used` is empty. */
  readonly combined: { readonly offset: number; readonly jitter: number } | undefined
  readonly memory: SystemMemory
}

interface Objection {
  readonly verdict: Verdict
  readonly reason: string
}

const numbersAreSane = (s: SourceView): boolean =>
  [s.offset, s.updated, s.pollInterval, s.reach, s.stratum, s.leap].every(Number.isFinite) &&
  [s.rootDelay, s.rootDispersion, s.delay, s.dispersion, s.jitter].every((it) => Number.isFinite(it) && it >= 0)

/** It answers, and none of the last eight answers was of use. */
const withoutTime = ({ rootDelay, rootDispersion }: SourceView): Objection => ({
  verdict: "distance",
  reason: `it claims no better than ${formatSeconds(rootDelay / 2 + rootDispersion)}, and its answers are not measured`
})

/** The fitness tests of RFC 5905 A.5.5.3, or undefined when the source passes them. */
const objection = (s: SourceView, distance: number, options: SystemOptions): Objection | undefined => {
  if (!numbersAreSane(s)) return { verdict: "invalid", reason: "a measured value is not finite, or is negative" }
  if (s.reach === 0 && s.heard !== true) return { verdict: "unreachable", reason: "no answer to the last eight polls" }
  if (s.leap === 3 && s.pulse === true)
    return { verdict: "unsynchronised", reason: "pulses come, and no other source says which second is which" }
  if (s.leap === 3 || s.stratum >= MAXSTRAT || s.stratum < 0)
    return { verdict: "unsynchronised", reason: `says leap ${s.leap} and stratum ${s.stratum}: it has no time to give` }
  // A reference clock is its own stratum 0; the floor is about whom it may be heard through.
  if (Math.max(1, s.stratum) < options.floor || s.stratum >= options.ceiling)
    return {
      verdict: "stratum",
      reason: `stratum ${s.stratum} is not within ${options.floor} … ${options.ceiling - 1}`
    }
  if (s.loop) return { verdict: "loop", reason: "its reference is this node, or the server this node follows" }
  if (s.reach === 0) return withoutTime(s)
  const limit = options.maxdist + 15e-6 * Math.max(0, s.pollInterval)
  if (distance > limit)
    return { verdict: "distance", reason: `root distance ${formatSeconds(distance)} is over ${formatSeconds(limit)}` }
  if (s.jitter > options.maxjitter)
    return {
      verdict: "jitter",
      reason: `jitter ${formatSeconds(s.jitter)} is over ${formatSeconds(options.maxjitter)}`
    }
  return s.noselect ? { verdict: "noselect", reason: "configured to be watched, never followed" } : undefined
}

/** Decides whom to follow at `now` (seconds, the clock of the sources' `updated`). */
export const decideSystemPeer = (
  sources: readonly SourceView[],
  now: number,
  options: SystemOptions,
  memory: SystemMemory
): SystemDecision => {
  const said = new Map<string, Objection>()
  const say = (id: string, verdict: Verdict, reason: string): void => void said.set(id, { verdict, reason })
  const fit: Survivor[] = []
  for (const source of sources) {
    const distance = rootDistance(source, now)
    const objected = objection(source, distance, options)
    if (objected === undefined) fit.push({ source, distance })
    else said.set(source.id, objected)
  }
  const finish = (
    survivors: readonly Survivor[],
    used: readonly Survivor[],
    intersection: Intersection | undefined,
    kept: SystemMemory
  ): SystemDecision => ({
    verdicts: sources.map(({ id }) => ({ id, ...(said.get(id) ?? { verdict: "invalid", reason: "not judged" }) })),
    survivors,
    used,
    intersection,
    combined: combine(used.map(({ source, distance }) => ({ offset: source.offset, distance, jitter: source.jitter }))),
    memory: kept
  })

  const isOrphan = ({ source }: Survivor): boolean => source.stratum === options.orphan
  const orphans = fit.filter(isOrphan)
  for (const { source } of orphans) say(source.id, "stratum", "an orphan: not followed while others are")
  const numbered = fit.filter((it) => it.source.pulse !== true && !isOrphan(it))
  const pulses = fit.filter(({ source }) => source.pulse === true)
  for (const { source } of pulses)
    say(source.id, "unsynchronised", "no other source survives to say which second is which")
  const chosen = truechimers(numbered, options.selection, say)
  const { strays, steady } = withoutStrays(chosen.truechimers, memory.strays ?? noStrays, now, say)
  const candidates = withinMaxclock(steady, options, say)
  const clustering = clustered(candidates, options, say)
  const others = sources.filter((source) => source.pulse !== true)
  const survivors = contradicts(clustering, others, memory.own) ? [] : clustering
  if (survivors !== clustering)
    for (const { source } of clustering)
      say(
        source.id,
        "falseticker",
        `${formatSeconds(source.offset)} contradicts our own clock, and fewer than half of the sources are there to say so`
      )
  const parent = survivors.length === 0 ? electedOrphan(orphans, say) : undefined
  if (parent !== undefined)
    return finish([parent], [parent], undefined, { peer: parent.source.id, clockhop: 0, strays })
  if (survivors.length < Math.max(1, options.minsane)) {
    for (const { source } of survivors)
      say(source.id, "candidate", `survives, but ${survivors.length} of ${options.minsane} sources needed (minsane) do`)
    return finish(survivors, [], chosen.intersection, { peer: undefined, clockhop: 0, strays })
  }
  const { leader, reason, clockhop } = choose(survivors, options, memory)
  const pulse = numberedPulse(pulses, leader, say)
  if (pulse !== undefined) {
    for (const { source } of survivors)
      say(source.id, "backup", `survives; ${pulse.source.id} is followed, its seconds numbered by ${leader.source.id}`)
    return finish(survivors, [pulse], chosen.intersection, { peer: leader.source.id, clockhop, strays })
  }
  const alone = leader.source.prefer
  const used = alone ? [leader] : [leader, ...survivors.filter((it) => it !== leader)]
  for (const { source } of survivors)
    if (source === leader.source) say(source.id, "system-peer", reason)
    else if (alone) say(source.id, "backup", `survives; ${leader.source.id} is preferred and followed alone`)
    else say(source.id, "candidate", "survives; its offset is combined with the system peer's")
  return finish(survivors, used, chosen.intersection, { peer: leader.source.id, clockhop, strays })
}

/**
 * The pulses to follow, as ntpd follows its PPS driver: they were numbered by another source, and know the fraction of the
 * second better than anybody. Not when what numbers them now is so far off that it would have chosen another second.
 */
const numberedPulse = (pulses: readonly Survivor[], leader: Survivor, say: Say): Survivor | undefined => {
  const ordered = pulses.toSorted(
    (a, b) => Number(b.source.prefer) - Number(a.source.prefer) || a.distance - b.distance
  )
  let chosen: Survivor | undefined
  for (const pulse of ordered) {
    const { id, offset } = pulse.source
    const apart = formatSeconds(Math.abs(offset - leader.source.offset))
    if (Math.abs(offset - leader.source.offset) > NUMBERING_LIMIT)
      say(id, "falseticker", `${apart} from ${leader.source.id}: over ${NUMBERING_LIMIT} s a pulse cannot be numbered`)
    else if (chosen === undefined) {
      chosen = pulse
      say(id, "system-peer", `its pulses are ${apart} from ${leader.source.id}, which numbers their seconds`)
    } else say(id, "backup", `${chosen.source.id} has the better pulses`)
  }
  return chosen
}

/** The orphan that this island follows, or undefined where it is us that it follows. */
const electedOrphan = (orphans: readonly Survivor[], say: Say): Survivor | undefined => {
  const parent = orphanParent(orphans)
  for (const { source } of orphans) {
    if (parent === undefined) say(source.id, "stratum", "an orphan, and our own address is lower: it may follow us")
    else if (source === parent.source)
      say(
        source.id,
        "system-peer",
        `nobody has better time, and its address is the lowest of ${orphans.length + 1} orphans`
      )
    else say(source.id, "stratum", `an orphan, and ${parent.source.id} has a lower address`)
  }
  return parent
}

/** Whether all survivors, being a minority of the sources, lie outside what our own clock vouches for. */
const contradicts = (
  survivors: readonly Survivor[],
  sources: readonly SourceView[],
  own: CorrectnessInterval | undefined
): boolean =>
  own !== undefined &&
  survivors.length > 0 &&
  2 * survivors.length < sources.filter((source) => !source.noselect).length &&
  survivors.every(
    ({ source, distance }) => !source.alwaysTrue && Math.abs(source.offset - own.offset) > distance + own.distance
  )

type Say = (id: string, verdict: Verdict, reason: string) => void

const truechimers = (
  fit: readonly Survivor[],
  rule: SelectionRule,
  say: Say
): { readonly truechimers: readonly Survivor[]; readonly intersection: Intersection | undefined } => {
  const outcome = select(
    fit.map(({ source, distance }) => ({ offset: source.offset, distance })),
    rule
  )
  const always = (survivor: Survivor): boolean => survivor.source.alwaysTrue
  switch (outcome._tag) {
    case "NoSources":
      return { truechimers: [], intersection: undefined }
    case "NoMajority":
      for (const { source, distance } of fit)
        say(
          source.id,
          "falseticker",
          `no majority: ${formatSeconds(source.offset)} ± ${formatSeconds(distance)} agrees with too few of ${outcome.sources} sources`
        )
      return { truechimers: fit.filter(always), intersection: undefined }
    case "Agreed": {
      const { low, high } = outcome.intersection
      const where =
        outcome.rivals.length > 0
          ? "does not agree with each of the majorities that exclude each other"
          : `is outside ${formatSeconds(low)} … ${formatSeconds(high)}, where the majority agrees`
      const yes = new Set(outcome.truechimers)
      for (const index of outcome.falsetickers) {
        const { source, distance } = fit[index] as Survivor
        say(source.id, "falseticker", `${formatSeconds(source.offset)} ± ${formatSeconds(distance)} ${where}`)
      }
      return {
        truechimers: fit.filter((survivor, index) => yes.has(index) || always(survivor)),
        intersection: outcome.intersection
      }
    }
  }
}

/** Truechimers that keep the rate that most of them keep. */
const withoutStrays = (
  chosen: readonly Survivor[],
  before: Strays,
  now: number,
  say: Say
): { readonly strays: Strays; readonly steady: readonly Survivor[] } => {
  const rates = chosen.flatMap(
    ({ source: { id, frequency: rate, alwaysTrue, jitter: noise, pollInterval: interval } }) =>
      rate === undefined || alwaysTrue
        ? []
        : [{ id, frequency: rate.value, deviation: rate.deviation, noise, interval }]
  )
  const { strays, out } = findStrays(rates, before, now)
  for (const stray of out) say(stray.id, "falseticker", strayReason(stray, now))
  // One that is a falseticker at the moment has not proved itself by that.
  const kept = new Map([...before].filter(([id]) => !rates.some((rate) => rate.id === id)))
  return { strays: new Map([...kept, ...strays]), steady: chosen.filter(({ source }) => !strays.has(source.id)) }
}

const merit = ({ source, distance }: Survivor): number => source.stratum * MAXDIST + distance

const kept = ({ source }: Survivor): boolean => source.prefer || source.alwaysTrue

const withinMaxclock = (chosen: readonly Survivor[], options: SystemOptions, say: Say): readonly Survivor[] => {
  const ordered = chosen.toSorted((a, b) => Number(kept(b)) - Number(kept(a)) || merit(a) - merit(b))
  for (const { source } of ordered.slice(options.maxclock))
    say(source.id, "excess", `${options.maxclock} better sources take part already (maxclock)`)
  return ordered.slice(0, options.maxclock)
}

const clustered = (candidates: readonly Survivor[], options: SystemOptions, say: Say): readonly Survivor[] => {
  const outcome = cluster(
    candidates.map((it) => ({
      offset: it.source.offset,
      jitter: it.source.jitter,
      distance: it.distance,
      stratum: it.source.stratum,
      keep: kept(it)
    })),
    MAXDIST,
    options.minclock
  )
  for (const { index, selectionJitter } of outcome.outliers)
    say(
      (candidates[index] as Survivor).source.id,
      "outlier",
      `differs from the other survivors by ${formatSeconds(selectionJitter)}, more than their jitter explains`
    )
  return outcome.survivors.map((index) => candidates[index] as Survivor)
}

/**
 * The head of the survivors, unless a source is preferred, or the old peer is still good and the new one's offset differs
 * by too little to be worth the change: each time it is asked the allowance halves, so that a lasting difference wins.
 */
const choose = (
  survivors: readonly Survivor[],
  options: SystemOptions,
  memory: SystemMemory
): { readonly leader: Survivor; readonly reason: string; readonly clockhop: number } => {
  const preferred = survivors.find(({ source }) => source.prefer)
  if (preferred !== undefined) return { leader: preferred, reason: "preferred by configuration", clockhop: 0 }
  const head = survivors[0] as Survivor
  const old = survivors.find(({ source }) => source.id === memory.peer)
  const best = `stratum ${head.source.stratum} and root distance ${formatSeconds(head.distance)} are the best of ${survivors.length} ${survivors.length === 1 ? "survivor" : "survivors"}`
  if (old === undefined || old === head) return { leader: head, reason: best, clockhop: 0 }
  const difference = Math.abs(head.source.offset - old.source.offset)
  const clockhop = memory.clockhop === 0 ? options.mindist : memory.clockhop / 2
  if (old.source.stratum === head.source.stratum && difference < clockhop)
    return {
      leader: old,
      reason: `keeps its place: ${head.source.id} differs by ${formatSeconds(difference)} only`,
      clockhop
    }
  return { leader: head, reason: best, clockhop: 0 }
}
