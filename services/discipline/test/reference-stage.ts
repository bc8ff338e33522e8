/** Reference clocks for tests with the real process, and the program that feeds them. */
import type { DisciplineReport, ReferenceClockConfiguration } from "@meridian/ipc/discipline-report"
import { ClockFeeder } from "@meridian/testkit/clock-feeder"
import type { RunningDiscipline } from "./running-discipline.ts"
import type { Stage } from "./stage.ts"

/** These suites wait for many polls in a row, and the machine may be busy with others. */
export const slow = { timeout: 300_000 }

/** A report for which several polls in a row are waited for. */
export const soon = (
  discipline: RunningDiscipline,
  until: (report: DisciplineReport) => boolean
): Promise<DisciplineReport> => discipline.report(until, 120)

/** Polled once a second, so that suites end soon. */
export const referenceClock = (change: Partial<ReferenceClockConfiguration> = {}): ReferenceClockConfiguration => ({
  driver: "shm",
  unit: 0,
  path: null,
  refid: "GPS",
  stratum: 0,
  minpoll: 0,
  maxpoll: 0,
  prefer: false,
  noselect: false,
  true: false,
  time1: 0,
  time2: 0,
  mode: 0,
  flags: [false, false, false, false],
  ...change
})

/** Ends with the stage, and takes its segment with it. */
export const startFeeder = (stage: Stage): ClockFeeder => {
  const feeder = ClockFeeder.start()
  stage.atEnd(() => feeder.end())
  return feeder
}
