/** The rows of the clock discipline: selection, loop, files it keeps, what it writes down. */
import { type Directive, one, optional, rest, row } from "./directive.ts"
import { decimalNumber, oneOf, path, pathOrNone, text, wholeNumber } from "./value-types.ts"

const seconds = decimalNumber("SECONDS", "seconds", 0)
const stratum = wholeNumber("STRATUM", 1, 16)
const count = wholeNumber("N", 1, 1000)
/** 2^30 seconds are 34 years. */
const averagingTime = wholeNumber("LOG2_SECONDS", 0, 30)

export const tosDirective = row({
  name: "tos",
  mayBeLeftOut: true,
  operands: {},
  options: {
    ceiling: stratum,
    floor: wholeNumber("STRATUM", 0, 16),
    maxclock: count,
    maxdist: seconds,
    minclock: count,
    mindist: seconds,
    minsane: wholeNumber("N", 0, 1000),
    orphan: stratum,
    orphanwait: seconds,
    // Without an effect, each with a warning that says why.
    basedate: text("DATE", "a date or a number of days"),
    bcpollbstep: wholeNumber("N", 0, 4),
    beacon: wholeNumber("SECONDS", 0, 2 ** 31 - 1),
    cohort: oneOf("0", "1"),
    maxdisp: seconds
  },
  needsOption: true,
  repeatable: true,
  default:
    "ceiling 16, floor 1, maxclock 10, maxdist 1.5, minclock 3, mindist 0.001, minsane 1, orphan 16, orphanwait 300",
  meaning:
    "Which sources are believed: limits on stratum and distance (seconds), how many must agree, and how many are kept. `orphan 16` turns orphan mode off.",
  reload: "clock",
  actedOn: "partly"
})

export const tinkerDirective = row({
  name: "tinker",
  mayBeLeftOut: true,
  operands: {},
  options: {
    allan: decimalNumber("LOG2_SECONDS", "log2 seconds", 0),
    dispersion: decimalNumber("RATE", "seconds a second", 0, 1),
    freq: decimalNumber("PPM", "parts per million", -500, 500),
    huffpuff: seconds,
    panic: seconds,
    step: seconds,
    stepback: seconds,
    stepfwd: seconds,
    stepout: seconds,
    tick: seconds
  },
  needsOption: true,
  repeatable: true,
  default: "dispersion 0.000015, panic 1000, step 0.128, stepout 300",
  meaning:
    "Constants of the clock discipline (RFC 5905 §11). `step` sets both stepback and stepfwd; 0 turns a threshold off.",
  flags: ["panicgate"],
  reload: "clock",
  actedOn: "partly"
})

export const driftfileDirective = row({
  name: "driftfile",
  operands: { file: optional(pathOrNone), wander: optional(decimalNumber("PPM", "parts per million", 0, 500)) },
  default: "none: the frequency is measured again at each start",
  meaning: 'File that keeps the clock\'s frequency error, in ppm as text. "" or no name means no file.',
  reload: "clock",
  actedOn: "partly"
})

export const fallbackdriftDirective = row({
  name: "fallbackdrift",
  operands: { min: one(averagingTime), max: one(averagingTime) },
  default: "none; without sources the clock keeps its average frequency over about as long as it has been without them",
  meaning:
    "Range of averaging times for the frequency that is kept while sources are gone: 2^MIN to 2^MAX seconds, the longer they are gone the longer.",
  documented: "chrony.conf(5)",
  reload: "clock",
  actedOn: true
})

export const maxupdateskewDirective = row({
  name: "maxupdateskew",
  operands: { ppm: one(decimalNumber("PPM", "parts per million", 0)) },
  default: "none; an estimate counts by its uncertainty",
  meaning:
    "Uncertainty of the estimated frequency above which the clock's frequency is not changed. Offsets are still corrected.",
  documented: "chrony.conf(5)",
  reload: "clock",
  actedOn: true
})

export const leapfileDirective = row({
  name: "leapfile",
  operands: { file: one(path("FILE")), hash: optional(oneOf("checkhash", "ignorehash")) },
  default: "none; the sources announce leap seconds",
  meaning: "List of leap seconds, as NIST and the IERS publish it. It is read again when it changes.",
  reload: "clock",
  actedOn: true
})

export const leapsmearintervalDirective = row({
  name: "leapsmearinterval",
  operands: { seconds: one(wholeNumber("SECONDS", 0, 86_400)) },
  default: "0, no smearing",
  meaning:
    "Seconds over which a leap second is smeared. Clients must not mix this server with servers that do not smear.",
  reload: "clock",
  actedOn: true
})

export const statsdirDirective = row({
  name: "statsdir",
  operands: { prefix: one(path("DIR")) },
  default: "the state directory",
  meaning: "Directory for statistics files.",
  reload: "clock",
  actedOn: true
})

/** Names of NTPsec and, at the end, of the classic ntpd alone. */
const statisticsName = {
  ...oneOf(
    "clockstats",
    "loopstats",
    "peerstats",
    "protostats",
    "rawstats",
    "sysstats",
    "usestats",
    "ntsstats",
    "ntskestats",
    "ntskelog",
    "cryptostats",
    "timingstats"
  ),
  syntax: "NAME"
}

export const statisticsDirective = row({
  name: "statistics",
  mayBeLeftOut: true,
  operands: { names: rest(statisticsName) },
  repeatable: true,
  default: "none",
  meaning: "Statistics to write: clockstats, loopstats, peerstats, rawstats and sysstats. Other names get a warning.",
  reload: "clock",
  actedOn: "partly"
})

export const filegenDirective = row({
  name: "filegen",
  mayBeLeftOut: true,
  operands: { name: one(statisticsName) },
  options: {
    file: text("FILE", "a file's name"),
    type: oneOf("none", "pid", "day", "week", "month", "year", "age"),
    link: "switch",
    nolink: "switch",
    enable: "switch",
    disable: "switch"
  },
  repeatable: true,
  default: "the record's name as file, type day, link, enable",
  meaning: "How the files of a kind of statistics are named, and when a new one begins.",
  reload: "clock",
  actedOn: "partly"
})

export const disciplineDirective = row({
  name: "discipline",
  operands: { mode: one(oneOf("virtual", "kernel")) },
  default: "virtual",
  meaning:
    "How time is corrected: `virtual` corrects the served time alone and leaves the system's clock as it is, `kernel` steers the system's clock, which needs CAP_SYS_TIME.",
  documented: "Meridian",
  flags: ["discipline"],
  reload: "restart"
})

export const silentstartDirective = row({
  name: "silentstart",
  operands: { seconds: one(decimalNumber("SECONDS", "seconds", 0, 3_600)) },
  default: "30",
  meaning:
    "After a start without the time, nobody is answered for at most this long, or until the node has the time: some clients do not ask again for an hour after an answer without time. 0: answer at once.",
  documented: "Meridian",
  reload: "restart"
})

/** Those of NTPsec and, at the end, of the classic ntpd alone. */
const systemFlag = {
  ...oneOf(
    "auth",
    "calibrate",
    "kernel",
    "monitor",
    "ntp",
    "stats",
    "bclient",
    "mode7",
    "peer_clear_digest_early",
    "pps",
    "unpeer_crypto_early",
    "unpeer_crypto_nak_early",
    "unpeer_digest_early"
  ),
  syntax: "FLAG"
}

export const enableDirective = row({
  name: "enable",
  mayBeLeftOut: true,
  operands: { flags: rest(systemFlag) },
  repeatable: true,
  default: "auth, kernel, monitor, ntp and stats are on, the others off",
  meaning:
    "Switches on: `ntp` lets `discipline kernel` steer the clock, `stats` writes statistics files, `monitor` keeps the list of clients (it is also kept if anybody is limited; `mru` sets its size). `kernel`, the kernel's own control loop, is never used.",
  reload: "clock",
  actedOn: "partly"
})

export const disableDirective = row({
  name: "disable",
  mayBeLeftOut: true,
  operands: { flags: rest(systemFlag) },
  repeatable: true,
  default: "see enable",
  meaning: "Switches off what `enable` switches on. The last line about a flag counts.",
  reload: "clock",
  actedOn: "partly"
})

export const DISCIPLINE_DIRECTIVES: readonly Directive[] = [
  tosDirective,
  tinkerDirective,
  driftfileDirective,
  fallbackdriftDirective,
  maxupdateskewDirective,
  leapfileDirective,
  leapsmearintervalDirective,
  statsdirDirective,
  statisticsDirective,
  filegenDirective,
  disciplineDirective,
  silentstartDirective,
  enableDirective,
  disableDirective
]
