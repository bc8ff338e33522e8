/** From samples to a clock: filters, estimators, selection, the clock loop, leap seconds, smear, kernel steering. */
export {
  type ClockFilter,
  type FilterOutput,
  emptyClockFilter,
  filterMiss,
  filterOutput,
  filterSample
} from "./clock-filter.ts"
export type { ServedLine } from "./clock-line.ts"
export { DelayFloor } from "./delay-floor.ts"
export {
  ClockDiscipline,
  type DisciplineAction,
  type DisciplineOptions,
  type DisciplineOutcome,
  defaultDisciplineOptions
} from "./discipline.ts"
export { type KeptClock, movedKept } from "./kept-clock.ts"
export {
  KernelSteering,
  type SteeringAim,
  type SteeringDecision,
  type SteeringOptions,
  type SteeringRate
} from "./kernel-steering.ts"
export { ANNOUNCE_SECONDS, type ArmedLeap, decideLeap } from "./leap.ts"
export { type LocalOptions, localMode, noLocalMode } from "./local-mode.ts"
export type { OrphanRank } from "./orphan.ts"
export { MAXDISP, MAXDIST, MAXSTRAT, MINDISP } from "./parameters.ts"
export { isPopcornSpike } from "./popcorn.ts"
export { publishedCurve } from "./publication.ts"
export { type Numbering, ReferenceFilter, type ReferenceSample, referenceRootDispersion } from "./reference-filter.ts"
export { LONGEST_AGE, LONGEST_AGE_OF_DATAGRAMS, type ReferenceReading } from "./reference-reading.ts"
export { type ClockSample, sampleRejection } from "./sample.ts"
export { type ScreenOptions, isScreenedLate } from "./sample-screen.ts"
export { type Smear, smearAt, smearOfReferenceId } from "./smear.ts"
export { type ClockEstimator, type OffsetEstimate, type SampleOutcome, SourceEstimator } from "./source-estimator.ts"
export {
  type SourceView,
  type SystemMemory,
  type SystemOptions,
  decideSystemPeer,
  defaultSystemOptions,
  noSystemPeer
} from "./system-peer.ts"
export { SAMPLES_NEEDED, type SourceReport, TrackedSource } from "./tracked-source.ts"
export { type SourceVerdict, type Verdict, agrees, formatSeconds } from "./verdict.ts"
