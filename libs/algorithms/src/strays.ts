/**
 * Sources that stray: each measures the frequency of one and the same oscillator, ours, against its own clock. Where most
 * agree and one does not, its clock runs at another rate than theirs, be it still within its interval: a liar on its way
 * out, or a queue that grows. Rates show that long before offsets do, since no path's asymmetry is in them.
 *
 * A source that has strayed has to keep the others' rate for as long as it strayed before it is taken in again, and for as
 * long as it takes to know the rate as well as when it was found to be another: a busy minute tells a rate badly, and is
 * refuted in minutes. One that swings to and fro has the others' rate at each turn, where it is farthest off.
 */

/** What is known of one source's rate: frequency and its standard deviation, seconds per second. */
export interface Rate {
  readonly id: string
  readonly frequency: number
  readonly deviation: number
  /** Of a sample, seconds. */
  readonly noise: number
  /** Between its samples, seconds. */
  readonly interval: number
}

/** Since when a source has strayed, and since when it keeps the others' rate again, if it does: seconds. */
interface Straying {
  readonly since: number
  readonly agreesSince: number | undefined
  /** Time in which its rate is known as well as when it began to stray, seconds. */
  readonly learning: number
}

export type Strays = ReadonlyMap<string, Straying>

export const noStrays: Strays = new Map()

interface StrayingSource {
  readonly id: string
  /** Its frequency less that of the others, and the standard deviation of that; seconds per second. */
  readonly difference: number
  readonly deviation: number
  /** When it will be believed if it goes on as now, seconds; undefined while it strays. */
  readonly believedAt: number | undefined
}

/** Standard deviations from which on a rate is another, and within which it is the same. */
const LEAVES = 4
const AGREES = 2
/** Rates that differ by less are the same, seconds per second: temperature moves oscillators by more in a few polls. */
const LEAST_DEVIATION = 5e-9
/** Longest time in which a source has to prove itself, seconds, and the least in its samples. */
const LONGEST_PROOF = 86_400
const SHORTEST_PROOF = 3

interface Against {
  readonly difference: number
  readonly deviation: number
}

/** One rate against what the others say together. */
const against = (rate: Rate, others: readonly Rate[]): Against => {
  let weights = 0
  let sum = 0
  for (const { frequency, deviation } of others) {
    const weight = 1 / (deviation * deviation + LEAST_DEVIATION ** 2)
    weights += weight
    sum += weight * (frequency - rate.frequency)
  }
  // All follow the same oscillator and err together, so that the others are no surer than one of them.
  const deviation = Math.sqrt(rate.deviation ** 2 + others.length / weights + LEAST_DEVIATION ** 2)
  return { difference: -sum / weights, deviation }
}

/** Samples of this noise tell a rate to its deviation in about the time in which that makes up the noise. */
const learningTime = ({ noise, interval }: Rate, { deviation }: Against): number =>
  Math.max(noise / deviation, SHORTEST_PROOF * interval)

const strangeness = ({ difference, deviation }: Against): number => Math.abs(difference) / deviation

/** Of these rates the one that differs most from the others together. At least one. */
const strangest = (rates: readonly Rate[]): { readonly rate: Rate; readonly strangeness: number } =>
  rates
    .map((rate) => {
      const others = rates.filter((it) => it !== rate)
      return { rate, strangeness: others.length === 0 ? 0 : strangeness(against(rate, others)) }
    })
    .reduce((a, b) => (b.strangeness > a.strangeness ? b : a))

/**
 * Which of the sources stray at `now` (seconds), given who did before. Never as many as half of them: who agrees on a rate
 * is only known where most do.
 */
export const findStrays = (
  rates: readonly Rate[],
  before: Strays,
  now: number
): { readonly strays: Strays; readonly out: readonly StrayingSource[] } => {
  const most = Math.ceil(rates.length / 2) - 1
  if (most < 1) return { strays: noStrays, out: [] }
  // Who strayed before stays out as long as the others agree without it: of two that differ, the one known for it is not the
  // one that noise is to acquit. Where they do not, the first word on rates may have been wrong, and all are judged anew.
  let steady = rates.filter(({ id }) => !before.has(id))
  if (rates.length - steady.length > most || strangest(steady).strangeness >= LEAVES) steady = [...rates]
  while (rates.length - steady.length < most && steady.length > 2) {
    const worst = strangest(steady)
    if (worst.strangeness < LEAVES) break
    steady = steady.filter((it) => it !== worst.rate)
  }
  // Who strayed before stays out, unless others are out now for better reasons: the first word on rates may be wrong.
  for (const rate of steady)
    if (before.has(rate.id) && rates.length - steady.length < most) steady = steady.filter((it) => it !== rate)
  const strays = new Map<string, Straying>()
  const out: StrayingSource[] = []
  for (const rate of rates) {
    if (steady.includes(rate)) continue
    const found = against(rate, steady)
    const known = before.get(rate.id) ?? { since: now, agreesSince: undefined, learning: learningTime(rate, found) }
    const { since, agreesSince: agreed, learning } = known
    const agreesSince = strangeness(found) < AGREES ? (agreed ?? now) : undefined
    const proof =
      agreesSince === undefined ? undefined : Math.min(LONGEST_PROOF, Math.max(learning, agreesSince - since))
    const believedAt = agreesSince === undefined || proof === undefined ? undefined : agreesSince + proof
    if (believedAt !== undefined && now >= believedAt) continue
    strays.set(rate.id, { since, agreesSince, learning })
    out.push({ id: rate.id, ...found, believedAt })
  }
  return { strays, out }
}

const perMillion = (rate: number): string => `${(rate * 1e6).toPrecision(3)} ppm`

/** Why it is out, one sentence for people. */
export const strayReason = ({ difference, deviation, believedAt }: StrayingSource, now: number): string =>
  believedAt === undefined
    ? `its clock gains ${perMillion(difference)} ± ${perMillion(deviation)} on the others, which agree`
    : `strayed from the others' rate, and is believed again when it has kept it for ${Math.ceil((believedAt - now) / 60)} more minutes`
