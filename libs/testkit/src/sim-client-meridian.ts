/** Meridian's discipline as a simulated client: the code that services/discipline runs, with nothing replaced. */
import type { DisciplineAction, DisciplineOptions, ClockEstimator, SourceVerdict } from "@meridian/algorithms"
import { ClockDiscipline, defaultDisciplineOptions, SourceEstimator, TrackedSource } from "@meridian/algorithms"
import type { SimulatedClient, SimulatedSourceOptions } from "./sim-client.ts"

export interface MeridianClient extends SimulatedClient {
  readonly verdicts: () => readonly SourceVerdict[]
  readonly discipline: ClockDiscipline
  readonly sources: readonly TrackedSource[]
  /** How often each action was taken. */
  readonly actions: ReadonlyMap<DisciplineAction["_tag"], number>
}

export interface MeridianClientOptions {
  readonly sources: readonly SimulatedSourceOptions[]
  readonly precision: number
  readonly discipline?: Partial<DisciplineOptions>
  /** What a drift file says, seconds per second. */
  readonly frequency?: { readonly value: number; readonly deviation: number } | undefined
  /** Another estimator in place of Meridian's, to be measured against it. */
  readonly estimator?: ((precision: number) => ClockEstimator) | undefined
}

export const meridianClient = ({
  sources: configured,
  precision,
  discipline: options,
  frequency,
  estimator
}: MeridianClientOptions): MeridianClient => {
  const system: DisciplineOptions = { ...defaultDisciplineOptions, firstMayPanic: true, ...options }
  const discipline = new ClockDiscipline(system, 0, frequency?.value)
  const sources = configured.map(
    ({ prefer = false, noselect = false, alwaysTrue = false, minpoll = 6, maxpoll = 10 }, index) =>
      new TrackedSource(
        { id: `s${index + 1}`, prefer, noselect, alwaysTrue, minpoll, maxpoll },
        precision,
        estimator?.(precision) ?? new SourceEstimator(precision, frequency)
      )
  )
  const actions = new Map<DisciplineAction["_tag"], number>()
  let verdicts: readonly SourceVerdict[] = []
  const decide = (now: number): void => {
    const { action, decision } = discipline.decide(sources, now)
    actions.set(action._tag, (actions.get(action._tag) ?? 0) + 1)
    verdicts = decision.verdicts
  }
  const at = (index: number): TrackedSource => sources[index] as TrackedSource
  return {
    name: "meridian",
    discipline,
    sources,
    actions,
    verdicts: () => verdicts,
    polled: (source, now) => {
      at(source).polled()
      if (at(source).reach === 0) decide(now)
    },
    answered: (source, reply, now) => {
      at(source).answered(reply.sample, reply.report)
      decide(now)
    },
    wallStepped: (seconds) => {
      discipline.clockStepped(seconds)
      for (const source of sources) source.clockStepped(seconds)
    },
    pollExponent: (source) => {
      const { minpoll, maxpoll } = at(source).configuration
      return Math.max(minpoll, Math.min(maxpoll, discipline.poll.exponent))
    },
    correction: (now) => discipline.served(now).offset,
    slope: (now) => discipline.served(now).frequency,
    rootDistance: (now) => discipline.rootDistance(now),
    deviation: (now) => discipline.tracking(now)?.offsetDeviation,
    root: (now) => ({
      delay: discipline.root?.rootDelay ?? 0,
      dispersion: discipline.rootDispersion(now),
      stratum: discipline.root?.stratum ?? 16
    }),
    followed: () => {
      const index = sources.findIndex((source) => source.configuration.id === discipline.root?.peer)
      return index < 0 ? undefined : index
    }
  }
}
