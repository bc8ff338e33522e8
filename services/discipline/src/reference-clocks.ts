/**
 * Drives the reference clocks: reads each a few times a second, and once a poll makes a sample of the readings, which the
 * discipline tracks like that of a server. What is decided from it is the listener's business.
 */
import type { Numbering, ReferenceSample } from "@meridian/algorithms"
import {
  ReferenceFilter,
  referenceRootDispersion,
  LONGEST_AGE,
  LONGEST_AGE_OF_DATAGRAMS,
  SourceEstimator,
  TrackedSource
} from "@meridian/algorithms"
import { ReferenceClockError } from "@meridian/clocks/reference-clocks"
import type { ReferenceClockConfiguration } from "@meridian/ipc/discipline-report"
import { referenceIdFromText } from "@meridian/wire/reference-id"
import type { Reading, ReadClocks } from "./clocks.ts"
import {
  hasSentences,
  openDriver,
  SENTENCES_PRECISION,
  type ReferenceDriver,
  type ReferencePorts,
  type TaiOffset
} from "./reference-drivers.ts"
import type { KnownFrequency } from "./upstream.ts"

interface ReferenceClockListener {
  /** A sample was taken in. */
  readonly measured: (clock: ReferenceClock, sample: ReferenceSample) => void
  /** A clock fell silent: the choice may have to change. */
  readonly lost: () => void
  readonly reachabilityChanged: (clock: ReferenceClock, reachable: boolean, reach: number) => void
  /** A poll is over, with or without a sample. */
  readonly polled: (clock: ReferenceClock) => void
  readonly warn: (message: string) => void
}

interface ReferenceClockSurroundings {
  readonly read: ReadClocks
  /** log2 seconds */
  readonly precision: number
  readonly frequency: KnownFrequency | undefined
  readonly ports: ReferencePorts
  /** What steering has added to CLOCK_REALTIME by then, seconds: what is tracked is the clock without it. */
  readonly added: (monotonic: number) => number
  /** For hardware clocks that keep TAI. */
  readonly taiOffset: TaiOffset
  /** What the other sources say now, for pulses; undefined when none of them is to be believed. */
  readonly numbering: () => Numbering | undefined
}

/** What the driver found since the last poll: the fields of a clockstats line. */
interface ReadingCounts {
  looks: number
  taken: number
  nothing: number
  bad: number
  torn: number
}

export interface ReferenceClock {
  /** Driver and unit, as ntpd names it: `SHM(0)`. */
  readonly id: string
  readonly configuration: ReferenceClockConfiguration
  readonly referenceId: number
  readonly tracked: TrackedSource
  readonly filter: ReferenceFilter
  driver: ReferenceDriver | undefined
  /** Why it cannot be read, when it cannot. */
  problem: string | undefined
  /** When it may be opened again, CLOCK_MONOTONIC. */
  openAt: number
  /** log2 seconds */
  poll: number
  polls: number
  pollAt: number
  sample: ReferenceSample | undefined
  /** CLOCK_MONOTONIC of the last reading that was taken. */
  lastReading: number | undefined
  /** Readings that were taken, since the start; and CLOCK_MONOTONIC of when it began or ceased to be reachable. */
  readings: number
  reachabilityAt: number | undefined
  readonly dropped: Record<string, number>
  counts: ReadingCounts
}

/** What cannot be opened is tried again after so long, seconds. */
const REOPEN_INTERVAL = 5
/** The first polls come sooner, like the burst of `iburst`: one needs three samples to be followed. */
const FIRST_POLLS = 3
const FIRST_POLL_EXPONENT = 2
/** ntpd's SHM driver: what `time2` may be, and what it is otherwise, seconds. */
const [LEAST_DIFFERENCE, MOST_DIFFERENCE, DEFAULT_DIFFERENCE] = [1, 86_400, 14_400]

/** What becomes of a sample that is one; anything else is counted. */
const usual: ReadonlySet<string> = new Set(["used", "outlier", "stepped", "unsynchronised"])

const noCounts = (): ReadingCounts => ({ looks: 0, taken: 0, nothing: 0, bad: 0, torn: 0 })

/** The farthest that the clock may be from CLOCK_REALTIME, seconds. Only the SHM driver knows a limit. */
const differenceOf = ({ driver, time2, flags }: ReferenceClockConfiguration): number => {
  if (driver !== "shm" || flags[0] === true) return Infinity
  return time2 >= LEAST_DIFFERENCE && time2 <= MOST_DIFFERENCE ? time2 : DEFAULT_DIFFERENCE
}

/** `time2` of the drivers that ntpd does not have: the most that the clock may be wrong by, as nothing else says it. */
const withoutPulses =
  `has what a receiver says and no pulses: it may be late by hundreds of milliseconds, and is claimed to be right to ${2 ** SENTENCES_PRECISION * 1e3} ms; ` +
  "measure it beside good servers, set time1 and say `precision SECONDS`, or give it pulses"

/** Whether nobody said how good it is. */
const isUncalibrated = (configuration: ReferenceClockConfiguration): boolean =>
  hasSentences(configuration) &&
  !configuration.noselect &&
  typeof configuration.precision !== "number" &&
  (configuration.driver === "shm" || configuration.time2 === 0)

const claimOf = ({ driver, time2 }: ReferenceClockConfiguration): number =>
  driver === "sock" || driver === "phc" ? Math.max(0, time2) : 0

export class ReferenceClocks {
  readonly all: readonly ReferenceClock[]
  private readonly surroundings: ReferenceClockSurroundings
  private readonly listener: ReferenceClockListener
  private wanted = 0

  constructor(
    configurations: readonly ReferenceClockConfiguration[],
    surroundings: ReferenceClockSurroundings,
    listener: ReferenceClockListener
  ) {
    this.surroundings = surroundings
    this.listener = listener
    const { monotonic } = surroundings.read()
    this.all = configurations.map((configuration) => this.clockOf(configuration, monotonic))
    const hasPulses = configurations.some((each) => each.driver !== "phc" && !hasSentences(each))
    for (const { id, configuration } of this.all)
      if (!hasPulses && isUncalibrated(configuration)) listener.warn(`${id} ${withoutPulses}`)
  }

  /** The reference id that those who follow this clock show; undefined when it is no reference clock of ours. */
  referenceId(id: string): number | undefined {
    return this.all.find((clock) => clock.id === id)?.referenceId
  }

  /** To be called a few times a second, and CLOCK_REALTIME to be watched before. */
  tick(): void {
    for (const clock of this.all) {
      const now = this.surroundings.read()
      this.look(clock, now)
      if (now.monotonic >= clock.pollAt) this.poll(clock, now)
    }
  }

  /** The discipline's wish for the poll interval, log2 seconds. */
  wantPoll(exponent: number): void {
    this.wanted = exponent
  }

  /** CLOCK_REALTIME was stepped by `seconds`. */
  clockStepped(seconds: number): void {
    for (const { tracked, filter } of this.all) {
      tracked.clockStepped(seconds)
      filter.clockStepped()
    }
  }

  /** CLOCK_REALTIME was stepped, and what is tracked knows: only readings of the old one are of no use. */
  readingsVoid(): void {
    for (const { filter } of this.all) filter.clockStepped()
  }

  stop(): void {
    for (const clock of this.all) this.close(clock)
  }

  private clockOf(configuration: ReferenceClockConfiguration, now: number): ReferenceClock {
    const { driver, unit, refid, prefer, noselect, true: alwaysTrue, minpoll, maxpoll, time1 } = configuration
    const { precision, frequency } = this.surroundings
    const id = `${driver.toUpperCase()}(${unit})`
    return {
      id,
      configuration,
      referenceId: referenceIdFromText(refid),
      tracked: new TrackedSource(
        { id, prefer, noselect, alwaysTrue, minpoll, maxpoll },
        2 ** precision,
        new SourceEstimator(2 ** precision, frequency)
      ),
      filter: new ReferenceFilter({
        correction: time1,
        difference: differenceOf(configuration),
        longestAge: driver === "sock" ? LONGEST_AGE_OF_DATAGRAMS : LONGEST_AGE
      }),
      driver: undefined,
      problem: undefined,
      openAt: now,
      poll: Math.min(minpoll, FIRST_POLL_EXPONENT),
      polls: 0,
      pollAt: now + 2 ** Math.min(minpoll, FIRST_POLL_EXPONENT),
      sample: undefined,
      lastReading: undefined,
      readings: 0,
      reachabilityAt: undefined,
      dropped: {},
      counts: noCounts()
    }
  }

  private look(clock: ReferenceClock, now: Reading): void {
    clock.counts.looks += 1
    try {
      clock.driver ??= this.open(clock, now.monotonic)
      const found = clock.driver?.read() ?? []
      if (clock.driver !== undefined) clock.problem = undefined
      if (found === "reopen") return this.reopen(clock, now.monotonic)
      if (found.length === 0) clock.counts.nothing += 1
      for (const one of found) {
        const outcome =
          "dropped" in one ? one.dropped : clock.filter.add(one, this.surroundings.read(), this.surroundings.added)
        if (outcome === "taken") {
          clock.counts.taken += 1
          clock.readings += 1
          clock.lastReading = now.monotonic
        } else this.drop(clock, outcome)
      }
    } catch (error) {
      if (!(error instanceof ReferenceClockError)) throw error
      clock.problem = error.message
      this.drop(clock, error.reason)
      this.listener.warn(`${clock.id}: ${error.message}; it is tried again`)
      this.reopen(clock, now.monotonic + REOPEN_INTERVAL)
    }
  }

  private open({ configuration, openAt }: ReferenceClock, now: number): ReferenceDriver | undefined {
    const { ports, precision, taiOffset } = this.surroundings
    return now < openAt ? undefined : openDriver(configuration, ports, precision, taiOffset)
  }

  private reopen(clock: ReferenceClock, at: number): void {
    this.close(clock)
    clock.openAt = at
  }

  private close(clock: ReferenceClock): void {
    const { driver } = clock
    clock.driver = undefined
    driver?.close()
  }

  private drop(clock: ReferenceClock, reason: string): void {
    clock.dropped[reason] = (clock.dropped[reason] ?? 0) + 1
    if (reason === "torn") clock.counts.torn += 1
    else clock.counts.bad += 1
  }

  private poll(clock: ReferenceClock, { monotonic }: Reading): void {
    const { tracked, configuration } = clock
    const before = tracked.reach
    tracked.polled()
    clock.polls += 1
    const frequency = tracked.estimate(monotonic)?.frequency ?? this.surroundings.frequency?.value ?? 0
    const sample = clock.filter.poll(frequency, this.surroundings.numbering())
    if (sample === "unnumbered") this.unnumbered(clock, monotonic)
    else if (sample !== "no-reading") this.take(clock, sample)
    const reachable = tracked.reach !== 0
    if (reachable !== (before !== 0)) {
      clock.reachabilityAt = monotonic
      this.listener.reachabilityChanged(clock, reachable, tracked.reach)
    }
    if (typeof sample !== "string") this.listener.measured(clock, sample)
    else if (sample === "unnumbered" || (!reachable && clock.polls > 1)) this.listener.lost()
    this.listener.polled(clock)
    clock.counts = noCounts()
    const regular = Math.max(configuration.minpoll, Math.min(this.wanted, configuration.maxpoll))
    clock.poll = clock.polls < FIRST_POLLS ? Math.min(regular, FIRST_POLL_EXPONENT) : regular
    // Not from the last due time, so that a machine that was asleep does not catch up.
    clock.pollAt = monotonic + 2 ** clock.poll
  }

  private take(clock: ReferenceClock, sample: ReferenceSample): void {
    clock.sample = sample
    const { leap, pulse } = sample
    const { stratum } = clock.configuration
    const rootDispersion = Math.max(referenceRootDispersion(sample), claimOf(clock.configuration))
    const report = { stratum, leap, rootDelay: 0, rootDispersion, loop: false, pulse }
    const outcome = clock.tracked.answered(sample, report)
    if (!usual.has(outcome)) clock.dropped[outcome] = (clock.dropped[outcome] ?? 0) + 1
  }

  /** The pulses come: it is in reach, and has no time to give. */
  private unnumbered(clock: ReferenceClock, monotonic: number): void {
    clock.dropped["unnumbered"] = (clock.dropped["unnumbered"] ?? 0) + 1
    const { stratum } = clock.configuration
    const nothing = { time: monotonic, offset: 0, delay: 0, dispersion: 0 }
    clock.tracked.answered(nothing, {
      stratum,
      leap: 3,
      rootDelay: 0,
      rootDispersion: 0,
      loop: false,
      pulse: true
    })
  }
}
