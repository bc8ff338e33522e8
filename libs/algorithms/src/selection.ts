/**
 * Selection (RFC 5905 §11.2.1): each source says that true time lies within offset ± root distance. The intersection
 * algorithm finds the smallest interval that holds points of the most correctness intervals; a source that does not agree
 * with it is a falseticker. It needs a majority: with n sources, fewer than n/2 may be false.
 *
 * Two rules are known. `midpoint` is the RFC's: no more midpoints may lie outside the intersection than sources are called
 * false, and a source is false when its midpoint is outside. `overlap` is what ntpd came to: intervals alone count, and a
 * source is false when its interval does not meet the intersection. With one near and two far, asymmetric sources the
 * midpoint rule throws out the near one; that is why Meridian decides by overlap.
 *
 * Where one source claims so little that two others agree with it and not with each other, there are two places in which a
 * majority agrees, and the smallest interval that holds both says nothing against either. The truth lies in one of them, be
 * it one that fewer agree on. So `overlap` takes only what agrees with all of them: following another would be a guess.
 */

export type SelectionRule = "overlap" | "midpoint"

/** What a source claims: true time minus ours lies in offset ± distance. Seconds. */
export interface CorrectnessInterval {
  readonly offset: number
  readonly distance: number
}

export interface Intersection {
  readonly low: number
  readonly high: number
  /** How many sources were taken for false to find it. */
  readonly allowed: number
}

/** From `low` to `high`, seconds. */
interface Place {
  readonly low: number
  readonly high: number
}

type SelectionOutcome =
  | {
      readonly _tag: "Agreed"
      readonly intersection: Intersection
      /** By `overlap`: the places of majorities that exclude each other, empty where none do. */
      readonly rivals: readonly Place[]
      readonly truechimers: readonly number[]
      readonly falsetickers: readonly number[]
    }
  | { readonly _tag: "NoMajority"; readonly sources: number }
  | { readonly _tag: "NoSources" }

interface Edge {
  readonly at: number
  /** -1 lower end, 0 midpoint, +1 upper end. */
  readonly type: -1 | 0 | 1
}

/** Lower ends before midpoints before upper ends where they coincide, so that intervals that touch overlap. */
const sortedEdges = (intervals: readonly CorrectnessInterval[]): readonly Edge[] =>
  intervals
    .flatMap(({ offset, distance }): readonly Edge[] => [
      { at: offset - distance, type: -1 },
      { at: offset, type: 0 },
      { at: offset + distance, type: 1 }
    ])
    .toSorted((a, b) => a.at - b.at || a.type - b.type)

/** Walks inwards from one side until `needed` intervals are open; counts the midpoints it passes on the way. */
const walk = (
  edges: Iterable<Edge>,
  opening: -1 | 1,
  needed: number
): { readonly at: number | undefined; readonly midpoints: number } => {
  let open = 0
  let midpoints = 0
  for (const { at, type } of edges) {
    if (type === opening) open += 1
    else if (type === 0) midpoints += 1
    else open -= 1
    if (open >= needed) return { at, midpoints }
  }
  return { at: undefined, midpoints }
}

const usable = ({ offset, distance }: CorrectnessInterval): boolean =>
  Number.isFinite(offset) && Number.isFinite(distance) && distance >= 0

/**
 * The common interval of the most sources: the least number called false for which the rest have one. Undefined when no
 * majority agrees. Intervals that are not finite, or of negative distance, never agree with anything and count as false.
 */
export const intersect = (intervals: readonly CorrectnessInterval[], rule: SelectionRule): Intersection | undefined => {
  const fit = intervals.filter(usable)
  const edges = sortedEdges(fit)
  const reversed = edges.toReversed()
  const count = intervals.length
  for (let allowed = 0; 2 * allowed < count; allowed += 1) {
    const lower = walk(edges, -1, count - allowed)
    const upper = walk(reversed, 1, count - allowed)
    if (lower.at === undefined || upper.at === undefined || lower.at > upper.at) continue
    const outside = lower.midpoints + upper.midpoints + (count - fit.length)
    if (rule === "overlap" || outside <= allowed) return { low: lower.at, high: upper.at, allowed }
  }
  return undefined
}

const majorityOf = (intervals: readonly CorrectnessInterval[]): number => Math.floor(intervals.length / 2) + 1

/** Where at least `needed` intervals overlap, from left to right, if that is in more than one place. */
const rivalPlaces = (intervals: readonly CorrectnessInterval[], needed: number): readonly Place[] => {
  const places: Place[] = []
  let open = 0
  let low: number | undefined
  for (const { at, type } of sortedEdges(intervals.filter(usable))) {
    open -= type
    if (open >= needed) low ??= at
    else if (low !== undefined) {
      places.push({ low, high: at })
      low = undefined
    }
  }
  return places.length > 1 ? places : []
}

/** Sorts sources, by their positions, into truechimers and falsetickers. */
export const select = (intervals: readonly CorrectnessInterval[], rule: SelectionRule): SelectionOutcome => {
  if (intervals.length === 0) return { _tag: "NoSources" }
  const intersection = intersect(intervals, rule)
  if (intersection === undefined) return { _tag: "NoMajority", sources: intervals.length }
  const rivals: Place[] = []
  // Every majority counts, not only the largest: a lie shared by vague sources may have more than the truth.
  for (
    let size = majorityOf(intervals);
    rule === "overlap" && size <= intervals.length - intersection.allowed;
    size += 1
  )
    rivals.push(...rivalPlaces(intervals, size))
  const isTrue = (interval: CorrectnessInterval): boolean => {
    const reach = rule === "overlap" ? interval.distance : 0
    const meets = ({ low, high }: Place): boolean => interval.offset + reach >= low && interval.offset - reach <= high
    return usable(interval) && meets(intersection) && rivals.every(meets)
  }
  const positions = intervals.map((_, index) => index)
  const truechimers = positions.filter((index) => isTrue(intervals[index] as CorrectnessInterval))
  if (truechimers.length === 0) return { _tag: "NoMajority", sources: intervals.length }
  const falsetickers = positions.filter((index) => !isTrue(intervals[index] as CorrectnessInterval))
  return { _tag: "Agreed", intersection, rivals, truechimers, falsetickers }
}
