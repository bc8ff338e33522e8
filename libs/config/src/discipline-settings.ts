/** What the lines about the clock discipline and its statistics come to. */
import { errorAt, lacking, type Diagnostic, warningAt } from "./diagnostic.ts"
import {
  disableDirective,
  disciplineDirective,
  driftfileDirective,
  enableDirective,
  fallbackdriftDirective,
  filegenDirective,
  leapfileDirective,
  leapsmearintervalDirective,
  maxupdateskewDirective,
  silentstartDirective,
  statisticsDirective,
  statsdirDirective,
  tinkerDirective,
  tosDirective
} from "./discipline-directives.ts"
import type { Directive } from "./directive.ts"
import { choose, fromDefault, fromFile, lastGiven, lastOf, type Folded, type Sourced } from "./sourced.ts"
import { statementsOf, type Statement } from "./statement.ts"

/** Selection (RFC 5905 §11.2). Distances in seconds. */
interface SelectionSettings {
  readonly ceiling: Sourced<number>
  readonly floor: Sourced<number>
  readonly maxclock: Sourced<number>
  readonly maxdist: Sourced<number>
  readonly minclock: Sourced<number>
  readonly mindist: Sourced<number>
  readonly minsane: Sourced<number>
  /** Stratum served without a source; 16: never. */
  readonly orphan: Sourced<number>
  /** Seconds. */
  readonly orphanwait: Sourced<number>
}

/** The loop (RFC 5905 §11.3). Seconds where nothing else is said; 0 switches a threshold off. */
interface LoopSettings {
  /** Seconds a second. */
  readonly dispersion: Sourced<number>
  /** Initial frequency in ppm, in place of the drift file's. */
  readonly freq: Sourced<number | undefined>
  readonly panic: Sourced<number>
  readonly stepback: Sourced<number>
  readonly stepfwd: Sourced<number>
  readonly stepout: Sourced<number>
}

export interface FileGeneration {
  readonly file: string
  readonly type: "none" | "pid" | "day" | "week" | "month" | "year" | "age"
  readonly link: boolean
  readonly enabled: boolean
}

type StatisticsName = Statement<typeof statisticsDirective>["values"]["names"][number]
type SystemFlag = Statement<typeof enableDirective>["values"]["flags"][number]

/** What is done about the system's clock. */
type DisciplineMode = "virtual" | "kernel"

export interface DisciplineOverrides {
  readonly discipline?: DisciplineMode | undefined
  readonly panicGate?: boolean | undefined
}

export interface DisciplineSettings {
  /** `virtual` wherever `disable ntp` opens the loop. */
  readonly mode: Sourced<DisciplineMode>
  /** Whether the first setting may be over the panic threshold (`ntpd -g`). */
  readonly panicGate: Sourced<boolean>
  readonly selection: SelectionSettings
  readonly loop: LoopSettings
  /** Undefined: the frequency is not kept. */
  readonly driftFile: Sourced<string | undefined>
  /** Averages that an absence goes on with, log2 seconds; undefined: those that suit it. */
  readonly fallbackDrift: Sourced<{ readonly min: number; readonly max: number } | undefined>
  /** Parts per million; undefined: no limit. */
  readonly maxUpdateSkew: Sourced<number | undefined>
  readonly leapFile: Sourced<string | undefined>
  /** The leap file's own hash must be right. */
  readonly leapFileChecked: Sourced<boolean>
  /** Seconds; 0: leap seconds are not smeared. */
  readonly leapSmearSeconds: Sourced<number>
  /** Seconds for which a start without time answers nobody. */
  readonly silentStart: Sourced<number>
  /** Undefined: the state directory. */
  readonly statisticsDirectory: Sourced<string | undefined>
  /** The records to write, by name; filled for each name that a `statistics` or `filegen` line has. */
  readonly statistics: ReadonlyMap<StatisticsName, Sourced<FileGeneration>>
  readonly flags: Readonly<Record<SystemFlag, Sourced<boolean>>>
}

/** Long enough for a first synchronisation over any path. */
const DEFAULT_SILENT_START = 30

const FLAG_DEFAULTS: Readonly<Record<SystemFlag, boolean>> = {
  auth: true,
  calibrate: false,
  kernel: true,
  monitor: true,
  ntp: true,
  stats: true,
  bclient: false,
  mode7: false,
  peer_clear_digest_early: true,
  pps: false,
  unpeer_crypto_early: true,
  unpeer_crypto_nak_early: true,
  unpeer_digest_early: true
}

/** Folds the statements. Never throws. */
export const disciplineSettings = (
  statements: readonly Statement[],
  overrides: DisciplineOverrides = {}
): Folded<DisciplineSettings> => {
  const tos = (name: keyof SelectionSettings, otherwise: number): Sourced<number> =>
    lastGiven(statements, tosDirective, name) ?? fromDefault(otherwise)
  const tinker = (name: Exclude<keyof Statement<typeof tinkerDirective>["values"], symbol>) =>
    lastGiven(statements, tinkerDirective, name)
  const checked = lastOf(statements, leapfileDirective, "hash")
  const flags = systemFlags(statements)
  const asked = choose(
    overrides.discipline,
    "discipline",
    lastOf(statements, disciplineDirective, "mode"),
    "virtual" as const
  )
  const value: DisciplineSettings = {
    mode: flags.ntp.value ? asked : { value: "virtual", origin: flags.ntp.origin },
    panicGate: choose(overrides.panicGate, "panicgate", undefined, false),
    selection: {
      ceiling: tos("ceiling", 16),
      floor: tos("floor", 1),
      maxclock: tos("maxclock", 10),
      maxdist: tos("maxdist", 1.5),
      minclock: tos("minclock", 3),
      mindist: tos("mindist", 0.001),
      minsane: tos("minsane", 1),
      orphan: tos("orphan", 16),
      orphanwait: tos("orphanwait", 300)
    },
    loop: {
      dispersion: tinker("dispersion") ?? fromDefault(15e-6),
      freq: tinker("freq") ?? fromDefault(undefined),
      panic: tinker("panic") ?? fromDefault(1000),
      stepback: stepThreshold(statements, "stepback"),
      stepfwd: stepThreshold(statements, "stepfwd"),
      stepout: tinker("stepout") ?? fromDefault(300)
    },
    driftFile: lastOf(statements, driftfileDirective, "file") ?? fromDefault(undefined),
    fallbackDrift: fallbackDrift(statements),
    maxUpdateSkew: lastOf(statements, maxupdateskewDirective, "ppm") ?? fromDefault(undefined),
    leapFile: lastOf(statements, leapfileDirective, "file") ?? fromDefault(undefined),
    leapFileChecked:
      checked === undefined ? fromDefault(true) : { value: checked.value !== "ignorehash", origin: checked.origin },
    leapSmearSeconds: lastOf(statements, leapsmearintervalDirective, "seconds") ?? fromDefault(0),
    silentStart: lastOf(statements, silentstartDirective, "seconds") ?? fromDefault(DEFAULT_SILENT_START),
    statisticsDirectory: lastOf(statements, statsdirDirective, "prefix") ?? fromDefault(undefined),
    statistics: statisticsFiles(statements),
    flags
  }
  return {
    value,
    diagnostics: [
      ...problems(statements, value),
      ...optionsWithoutEffect(statements),
      ...statisticsPlace(statements, value),
      ...flagRemarks(statements, asked.value, flags)
    ]
  }
}

/** `step` sets both directions; of it and the direction's own option the later line counts, and on one line the own one. */
const stepThreshold = (statements: readonly Statement[], name: "stepback" | "stepfwd"): Sourced<number> => {
  const last = statementsOf(statements, tinkerDirective).findLast(
    ({ values }) => (values[name] ?? values.step) !== undefined
  )
  const seconds = last?.values[name] ?? last?.values.step
  return last === undefined || seconds === undefined ? fromDefault(0.128) : fromFile(seconds, last.location)
}

const fallbackDrift = (statements: readonly Statement[]): DisciplineSettings["fallbackDrift"] => {
  const last = statementsOf(statements, fallbackdriftDirective).at(-1)
  if (last === undefined) return fromDefault(undefined)
  const { min, max } = last.values
  return fromFile({ min, max }, last.location)
}

/** `statistics` asks for a record, `filegen` says how; the options of a record's later lines count over earlier ones. */
const statisticsFiles = (statements: readonly Statement[]): DisciplineSettings["statistics"] => {
  const files = new Map<StatisticsName, Sourced<FileGeneration>>()
  const plain = (name: StatisticsName): FileGeneration => ({ file: name, type: "day", link: true, enabled: true })
  for (const { values, location } of statementsOf(statements, statisticsDirective)) {
    for (const name of values.names) files.set(name, fromFile(plain(name), location))
  }
  for (const { values, location } of statementsOf(statements, filegenDirective)) {
    const before = files.get(values.name)?.value ?? plain(values.name)
    const generation: FileGeneration = {
      file: values.file ?? before.file,
      type: values.type ?? before.type,
      link: values.nolink ? false : (values.link ?? before.link),
      enabled: values.disable ? false : (values.enable ?? before.enabled)
    }
    files.set(values.name, fromFile(generation, location))
  }
  return files
}

/** `enable` and `disable` in the order of the text. */
const systemFlags = (statements: readonly Statement[]): DisciplineSettings["flags"] => {
  const flags = Object.fromEntries(
    Object.entries(FLAG_DEFAULTS).map(([name, value]) => [name, fromDefault(value)])
  ) as Record<SystemFlag, Sourced<boolean>>
  for (const statement of statements) {
    const row = statement.directive as unknown
    if (row !== enableDirective && row !== disableDirective) continue
    const { values, location } = statement as Statement<typeof enableDirective>
    for (const flag of values.flags) flags[flag] = fromFile(row === enableDirective, location)
  }
  return flags
}

/** Directives that `disable auth` has something to say about. */
const HEARS_MANY: ReadonlySet<string> = new Set(["broadcastclient", "multicastclient", "manycastserver"])

/** Why a flag that is switched this way does nothing; undefined where it does what it says, or says what is the case. */
const withoutEffect = (flag: SystemFlag, isOn: boolean, hearsMany: boolean): string | undefined => {
  switch (flag) {
    case "bclient":
    case "ntp":
    case "stats":
      return undefined
    case "kernel":
      return isOn ? "the kernel's own clock loop is never used; 'discipline kernel' steers the clock" : undefined
    case "monitor":
      return isOn
        ? undefined
        : "where anybody is limited the list of clients is kept, since limits live in it; `mru` bounds it"
    case "auth":
      return isOn || hearsMany
        ? undefined
        : "a peer that no line names is taken under a trusted key and never without one"
    case "calibrate":
      return isOn ? "a reference clock's 'time1' says by how much it is off" : undefined
    case "mode7":
      return isOn ? "ntpdc's requests are never answered; ntpq asks the same by mode 6" : undefined
    case "pps":
      return isOn ? "'refclock pps' takes pulses" : undefined
    case "peer_clear_digest_early":
    case "unpeer_crypto_early":
    case "unpeer_crypto_nak_early":
    case "unpeer_digest_early":
      return "a packet that is not authentic is dropped and ends no association, switched either way"
  }
}

const flagRemarks = (
  statements: readonly Statement[],
  asked: DisciplineMode,
  flags: DisciplineSettings["flags"]
): Diagnostic[] => {
  const lines = statements.flatMap((statement) => {
    const row = statement.directive as unknown
    if (row !== enableDirective && row !== disableDirective) return []
    return [{ ...(statement as Statement<typeof enableDirective>), isOn: row === enableDirective }]
  })
  const hearsMany =
    flags.bclient.value || statements.some(({ directive }) => HEARS_MANY.has((directive as { name: string }).name))
  const remarks = lines.flatMap(({ values, places, location, isOn }) =>
    values.flags.flatMap((flag, index) => {
      const why = withoutEffect(flag, isOn, hearsMany)
      const word = isOn ? "enable" : "disable"
      const where = places.get(`flags.${index}`) ?? location
      return why === undefined ? [] : [warningAt(where, `'${word} ${flag}' has no effect: ${why}`)]
    })
  )
  const open = lines.findLast(({ values, isOn }) => !isOn && values.flags.includes("ntp"))
  if (asked !== "kernel" || flags.ntp.value || open === undefined) return remarks
  return [
    ...remarks,
    warningAt(open.location, "'disable ntp' leaves the system's clock alone: 'discipline kernel' has no effect")
  ]
}

const problems = (statements: readonly Statement[], { selection }: DisciplineSettings): Diagnostic[] => {
  const diagnostics: Diagnostic[] = []
  const line = statementsOf(statements, tosDirective).findLast(
    ({ values }) => values.floor !== undefined || values.ceiling !== undefined
  )
  const { floor, ceiling } = selection
  if (line !== undefined && floor.value > ceiling.value) {
    const where = line.places.get("floor") ?? line.places.get("ceiling") ?? line.location
    const problem = `found floor ${floor.value} above ceiling ${ceiling.value}; no source could be taken`
    diagnostics.push(errorAt(where, problem))
  }
  for (const { values, places, location } of statementsOf(statements, fallbackdriftDirective)) {
    if (values.min <= values.max) continue
    const problem = `found ${values.min} before ${values.max}, expected the shorter time first`
    diagnostics.push(errorAt(places.get("min") ?? location, problem))
  }
  for (const { values, places, location } of statementsOf(statements, filegenDirective)) {
    if (values.file !== undefined && /(^|\/)\.\.(\/|$)/.test(values.file)) {
      const where = places.get("file") ?? location
      diagnostics.push(errorAt(where, "found '..' in a file's name, expected a name below statsdir"))
    }
  }
  return diagnostics
}

/** Classic ntpd writes nothing without `statsdir`, which many files have as a comment; here records go into the state directory. */
const statisticsPlace = (statements: readonly Statement[], settings: DisciplineSettings): Diagnostic[] => {
  const { statisticsDirectory, statistics, flags } = settings
  const line = [...statementsOf(statements, statisticsDirective), ...statementsOf(statements, filegenDirective)].at(0)
  const isWritten = [...statistics].some(([name, { value }]) => value.enabled && WRITTEN.has(name))
  if (line === undefined || !isWritten || !flags.stats.value || statisticsDirectory.value !== undefined) return []
  const problem =
    "no line says statsdir, so the records go into the state directory (classic ntpd writes none then); add statsdir DIR, or disable stats"
  return [lacking("statsdir", warningAt(line.location, problem))]
}

/** Options that ntpd acts on and nothing here does, by directive, with the reason. */
const WITHOUT_EFFECT: readonly (readonly [directive: Directive, reasons: Readonly<Record<string, string>>])[] = [
  [
    tosDirective,
    {
      basedate: "eras are told apart by the system's clock, which has to be right within 68 years",
      bcpollbstep: "a broadcast that comes more than 3 s too early is dropped",
      beacon: "a manycast client looks again every 64 s at first, and every 1024 s at last",
      cohort: "a manycast client asks all that answer, as far as 'maxclock' allows",
      maxdisp: "'maxdist' limits the root distance, of which dispersion is a part"
    }
  ],
  [
    tinkerDirective,
    {
      allan: "how long to average follows from the noise that is measured",
      huffpuff: "replies that were held up in a queue are weighed by their delay in any case",
      tick: "in kernel mode the tick is set as the clock needs it"
    }
  ],
  [driftfileDirective, { wander: "the file is written when the frequency changed by 0.0001 ppm, hourly at most" }]
]

const NTS_COUNTS = "'ntpq -c ntsinfo', 'meridian status' and /metrics have these counts"

/** Where what is in records that are not written can be seen instead. */
const UNWRITTEN: Readonly<Record<string, string>> = {
  ntskelog: NTS_COUNTS,
  ntskestats: NTS_COUNTS,
  ntsstats: NTS_COUNTS,
  protostats: "'meridian log' and the log file have these events",
  timingstats: "it times ntpd's own routines; /metrics has the times of this node's",
  usestats: "/metrics shows CPU time and memory of each process"
}

/** The records that are written. */
const WRITTEN: ReadonlySet<StatisticsName> = new Set([
  "clockstats",
  "cryptostats",
  "loopstats",
  "peerstats",
  "rawstats",
  "sysstats"
])

const optionsWithoutEffect = (statements: readonly Statement[]): Diagnostic[] => {
  const options = WITHOUT_EFFECT.flatMap(([directive, reasons]) =>
    statementsOf(statements, directive).flatMap(({ words, values, location }) =>
      Object.entries(reasons).flatMap(([name, why]) =>
        values[name] === undefined ? [] : [warningAt(words.get(name) ?? location, `'${name}' has no effect: ${why}`)]
      )
    )
  )
  const named = [
    ...statementsOf(statements, statisticsDirective).flatMap(({ values, places, location }) =>
      values.names.map((name, index) => ({ name, where: places.get(`names.${index}`) ?? location }))
    ),
    ...statementsOf(statements, filegenDirective)
      .filter(({ values }) => values.disable !== true)
      .map(({ values, places, location }) => ({ name: values.name, where: places.get("name") ?? location }))
  ]
  const records = named.flatMap(({ name, where }) =>
    WRITTEN.has(name)
      ? []
      : [warningAt(where, `'${name}' has no effect: ${UNWRITTEN[name] ?? "there is no such record"}`)]
  )
  return [...options, ...records]
}
