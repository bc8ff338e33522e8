/**
 * The process that announces the node's routes: looks at the node's health twice a second, oftener while something is wrong, and has the route come and go by
 * it. A process of its own, so that the route goes when the supervisor does: without a supervisor it withdraws, and ends.
 *
 * Arguments: --clock-page FD [--device FD]
 */
import { openClockPageReader } from "@meridian/clocks/clock-page"
import { systemClock } from "@meridian/clocks/system-clock"
import { type AnycastPlan, anycastPlan } from "@meridian/ipc/anycast-plan"
import { type AnycastFacts, type FromAnycast, parseToAnycast, type ToAnycast } from "@meridian/ipc/anycast-report"
import { ReportPace } from "@meridian/ipc/report-pace"
import { inherited, SupervisorChannel } from "@meridian/ipc/supervised"
import { untilTurn } from "@meridian/ipc/turns"
import { memoryUse, releaseStartupPagesSoon } from "@meridian/system/memory"
import { servedTimeAt, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { type Announcer, Announcers } from "./announcer.ts"
import { BirdAnnouncer } from "./announcers/bird.ts"
import { FrrAnnouncer, ScriptAnnouncer } from "./announcers/command.ts"
import { DeviceAnnouncer } from "./announcers/device.ts"
import { ExabgpAnnouncer } from "./announcers/exabgp.ts"
import { healthProblems } from "./health.ts"
import { Hysteresis } from "./hysteresis.ts"
import { Probe } from "./probe.ts"

/** At rest: how late a clock that is lost is noticed. */
const LOOK_MS = 500
/** Between two probes at rest; a little less than two looks. */
const PROBE_SECONDS = 0.95
/** While something is wrong, so that a route goes and comes when it should. */
const CLOSE_LOOK_MS = 100
/** Between two reports; a little less than a look. */
const REPORT_MS = 900
/** Between two probes meanwhile: a busy worker is given the time to answer. */
const CLOSE_PROBE_SECONDS = 0.2
/** What the node knows of itself is no matter of a late answer: it need only be there at two looks or three. */
const KNOWN_FALL_SECONDS = 0.2
/** The supervisor kills what has not ended within three seconds. */
const LAST_WORDS_MS = 2_000
/** FRR forgets what it was told when it starts anew, and nobody says that it did. */
const REMIND_FRR_MS = 60_000

const handed = inherited(process, "anycast", "a clock page", { "clock-page": "needed", device: "optional" })
// Only the supervisor decides what a signal to the whole group means.
process.on("SIGTERM", () => {})

const [device] = handed.device
const { monotonic } = systemClock()
const page = openClockPageReader(handed["clock-page"][0]!)
const curve = unsynchronisedCurve()
const channel = new SupervisorChannel<AnycastPlan, ToAnycast, FromAnycast>({
  service: "anycast",
  plan: anycastPlan,
  read: parseToAnycast
})
const first = (await channel.first).plan
let plan = first
let facts: AnycastFacts | undefined
let problems: readonly string[] = ["the node is starting"]
let changes = 0
let isEnding = false
let looking: NodeJS.Timeout | undefined
/** CLOCK_MONOTONIC, seconds. */
let probedAt = Number.NEGATIVE_INFINITY
/** milliseconds of this process */
let reportedAt = Number.NEGATIVE_INFINITY

const prefixes = first.addresses.map(({ prefix }) => prefix)
const makeAnnouncers = (): readonly Announcer[] => {
  const { bird, exabgp, frr, script } = first
  const made: Announcer[] = []
  const lost = (find: () => Announcer | undefined) => () => {
    const announcer = find()
    if (announcer !== undefined) announcers.forget(announcer)
  }
  if (device !== undefined) made.push(new DeviceAnnouncer(device))
  if (bird !== null) {
    const announcer: Announcer = new BirdAnnouncer({ ...bird, onLost: lost(() => announcer) })
    made.push(announcer)
  }
  if (exabgp !== null) {
    const announcer: Announcer = new ExabgpAnnouncer({ ...exabgp, prefixes, onLost: lost(() => announcer) })
    made.push(announcer)
  }
  if (frr !== null) {
    const announcer = new FrrAnnouncer({ ...frr, prefixes })
    made.push(announcer)
    setInterval(() => hysteresis.state === true && announcers.forget(announcer), REMIND_FRR_MS).unref()
  }
  if (script !== null) made.push(new ScriptAnnouncer(script, prefixes))
  return made
}

const pace = new ReportPace()
const report = (isNews: boolean): void => {
  const { settled, report: own } = announcers
  const said = { announced: hysteresis.state === true, settled, problems, announcers: own, changes }
  if (!pace.isDue(JSON.stringify(said)) && !isNews) return
  const probes = { sent: probe.sent, answered: probe.answered }
  channel.send({ type: "report", ...said, probes, rss: memoryUse().rss })
}

/** What was in an announcer's way was said once, until it is out of the way. */
const troubles = new Map<string, string>()
const sayTroubles = (): void => {
  for (const { name, trouble } of announcers.report) {
    if (trouble === null) troubles.delete(name)
    else if (troubles.get(name) !== trouble) {
      troubles.set(name, trouble)
      channel.warn(`the route cannot be ${hysteresis.state === true ? "announced" : "withdrawn"}: ${trouble}`)
    }
  }
}

/** Nobody is left to withdraw where everything is killed at once, and only a device goes with the node. */
const sayWhatStays = (): void => {
  const { bird, frr, script } = first
  const staying = [bird && "BIRD", frr && "FRR", script && "the script"].filter((name) => name !== null)
  if (device === undefined && staying.length > 0)
    channel.warn(
      `where all of this node is killed at once, ${staying.join(" and ")} will go on announcing its route: add the line: anycast device meridian0, and have the route hang on that`
    )
}

/** Asked once: what an operator should know of the router's configuration. */
const advised = new Set<Announcer>()
const advise = async (): Promise<void> => {
  for (const announcer of made) {
    if (advised.has(announcer) || announcer.advice === undefined) continue
    try {
      for (const sentence of await announcer.advice()) channel.warn(sentence)
      advised.add(announcer)
    } catch {
      // It is asked again when the route comes the next time.
    }
  }
}

const hysteresis = new Hysteresis(first)
const probe = new Probe(first.probes, first.port, () => lookSoon())
const made = makeAnnouncers()
const announcers = new Announcers(made, () => {
  sayTroubles()
  report(true)
})

const decide = (): void => {
  const announced = hysteresis.state === true
  changes += 1
  announcers.want(announced)
  const why = announced ? "the node is healthy" : problems.join("; ")
  channel.send({ type: "step", message: `${announced ? "announcing" : "withdrawing"} ${prefixes.join(", ")}: ${why}` })
  if (announced) void announcers.whenSettled().then(advise)
  report(true)
}

const isQuiet = (): boolean => problems.length === 0 && hysteresis.state === true

const look = (): void => {
  const now = monotonic.seconds()
  page.readInto(curve)
  const served = servedTimeAt(curve, now)
  const { known, seen } = isEnding
    ? { known: ["the node ends"], seen: [] }
    : healthProblems({
        plan,
        facts,
        curve,
        monotonic: now,
        now: served.seconds + served.nanoseconds / 1e9,
        silent: probe.silent
      })
  problems = [...known, ...seen]
  const fall = known.length > 0 ? KNOWN_FALL_SECONDS : plan.fall
  // An order is no matter of how long it lasts.
  const isOrdered = isEnding || !plan.announces
  if (isOrdered ? hysteresis.drop(now) : hysteresis.look(problems.length === 0, now, fall)) decide()
  if (now - probedAt >= (isQuiet() ? PROBE_SECONDS : CLOSE_PROBE_SECONDS)) {
    probe.send()
    probedAt = now
  }
}

const end = async (): Promise<void> => {
  if (isEnding) return
  isEnding = true
  look()
  const late = setTimeout(() => process.exit(1), LAST_WORDS_MS)
  await announcers.whenSettled()
  clearTimeout(late)
  report(true)
  announcers.close()
  process.exit(0)
}
channel.run({
  take: (next) => {
    plan = next
    look()
  },
  obey: (told) => {
    if (told.type === "drain") return void end()
    facts = told
    lookSoon()
  },
  // Nobody watches over the workers any more, and nobody would withdraw what this process leaves.
  orphaned: () => void end()
})
/** Looks, and again after as long as health asks for. */
function lookSoon(): void {
  clearTimeout(looking)
  look()
  const due = performance.now() - reportedAt >= REPORT_MS
  if (due) {
    reportedAt = performance.now()
    report(false)
  }
  // At rest when the process, and the worker that the probe goes to, wake anyway.
  looking = setTimeout(lookSoon, isQuiet() ? untilTurn(LOOK_MS) : CLOSE_LOOK_MS)
}
lookSoon()
channel.send({ type: "ready" })
sayWhatStays()
releaseStartupPagesSoon()
