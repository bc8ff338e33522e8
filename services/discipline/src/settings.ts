/** From the configuration to the options of the algorithms. */
import type { DisciplineOptions, LocalOptions, SystemOptions } from "@meridian/algorithms"
import { defaultDisciplineOptions, noLocalMode, MAXSTRAT, defaultSystemOptions } from "@meridian/algorithms"
import type { DisciplineConfiguration } from "@meridian/ipc/discipline-report"

/** The defaults, with what is not null in their place. */
const withSet = <A extends object>(defaults: A, values: { readonly [K in keyof A]?: A[K] | null }): A => {
  const set = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null && value !== undefined))
  return { ...defaults, ...set }
}

export const disciplineOptions = ({
  sources,
  referenceClocks,
  tinker,
  tos,
  fallbackDrift,
  maxUpdateSkew
}: DisciplineConfiguration): DisciplineOptions => {
  const { minsane, minclock, maxclock, mindist, maxdist, floor, ceiling } = tos
  const system: SystemOptions = withSet(defaultSystemOptions, {
    minsane,
    minclock,
    maxclock,
    mindist,
    maxdist,
    floor,
    ceiling,
    orphan: tos.orphan === null || tos.orphan >= MAXSTRAT ? null : tos.orphan
  })
  const { stepfwd, stepback, stepout, panic, dispersion, firstMayPanic } = tinker
  const thresholds = { step: stepfwd, stepBack: stepback, stepout, panic, firstMayPanic }
  const options = withSet(defaultDisciplineOptions, {
    ...thresholds,
    dispersionRate: dispersion,
    fallbackDrift,
    maxUpdateSkew: typeof maxUpdateSkew === "number" ? maxUpdateSkew * 1e-6 : null
  })
  const polled = [...sources, ...referenceClocks]
  const least = Math.min(...polled.map(({ minpoll }) => minpoll))
  const most = Math.max(...polled.map(({ maxpoll }) => maxpoll))
  return polled.length === 0 ? { ...options, system } : { ...options, system, minpoll: least, maxpoll: most }
}

export const localOptions = ({ localReference, tos }: DisciplineConfiguration): LocalOptions =>
  withSet(noLocalMode, {
    localStratum: localReference?.stratum ?? null,
    orphanStratum: tos.orphan,
    orphanWait: tos.orphanwait
  })
