/** Reference clocks: drivers by name and by number, what each line comes to, and what is wrong with it. */
import { type Diagnostic, errorAt, type Location, quoted, warningAt } from "./diagnostic.ts"
import type { refclockDirective } from "./source-directives.ts"
import type { Statement } from "./statement.ts"

/** The drivers that are acted on. */
type ReferenceClockKind = "shm" | "sock" | "pps" | "phc"

export interface ReferenceClockSettings {
  /** The driver's name where it is one that is acted on, else the word of the line: `nmea`, or `20` of 127.127.20.U. */
  readonly driver: string
  /** Undefined for a driver that is not acted on. */
  readonly kind: ReferenceClockKind | undefined
  readonly unit: number
  /** log2 seconds; minPoll is not above maxPoll. */
  readonly minPoll: number
  readonly maxPoll: number
  readonly prefer: boolean
  readonly noselect: boolean
  readonly truechimer: boolean
  readonly mode: number
  readonly subtype: number | undefined
  /** Device or socket: as written, or the driver's own for the unit. Undefined for shm. */
  readonly path: string | undefined
  readonly ppspath: string | undefined
  readonly baud: number | undefined
  readonly refid: string | undefined
  readonly stratum: number | undefined
  /** Seconds; `time1` with `bias` added. */
  readonly time1: number
  readonly time2: number
  /** Seconds: the most that it may be wrong by. */
  readonly precision: number | undefined
  /** flag1 to flag4. */
  readonly flags: readonly [boolean, boolean, boolean, boolean]
}

/** Where the value of an option stands, or the word before it; undefined where the option is not given. */
export type OptionPlace = (name: string, part: "places" | "words") => Location | undefined

type Values = Partial<Statement<typeof refclockDirective>["values"]>

interface Driver {
  readonly kind: ReferenceClockKind
  /** The number in 127.127.T.U; undefined for what ntpd does not have. */
  readonly type: number | undefined
  readonly path: (unit: number) => string | undefined
  /** Options that this driver acts on, besides those that all do. */
  readonly acts: readonly string[]
}

const drivers: readonly Driver[] = [
  { kind: "shm", type: 28, path: () => undefined, acts: ["flag1", "flag4", "mode", "precision", "time2"] },
  {
    kind: "sock",
    type: undefined,
    path: (unit) => `/run/chrony.ttyS${unit}.sock`,
    acts: ["flag1", "flag4", "path", "precision", "time2"]
  },
  { kind: "pps", type: 22, path: (unit) => `/dev/pps${unit}`, acts: ["flag2", "flag4", "path", "precision"] },
  {
    kind: "phc",
    type: undefined,
    path: (unit) => `/dev/ptp${unit}`,
    acts: ["flag1", "flag4", "path", "precision", "time2"]
  }
]

/** What only some drivers act on. */
const particular = [
  "baud",
  "flag1",
  "flag2",
  "flag3",
  "flag4",
  "minjitter",
  "mode",
  "path",
  "ppspath",
  "precision",
  "subtype",
  "time2"
] as const
const REFID_LENGTH = 4
const POLL = 6

const driverOf = (word: string): Driver | undefined =>
  drivers.find(({ kind, type }) => kind === word.toLowerCase() || String(type) === word)

/** Whether a driver's name or number is that of the local clock, which is no driver here. */
export const isLocalDriver = (word: string): boolean => word.toLowerCase() === "local" || word === LOCAL_TYPE

/** The type of the local clock's driver. */
const LOCAL_TYPE = "1"

/** The number of a driver that is acted on and has one, for 127.127.T.U. */
export const driverNumber = (kind: string): string => String(driverOf(kind)?.type ?? kind)

/** The settings of one clock with what is wrong or has no effect. Without a value where there is an error. */
export const readReferenceClock = (
  word: string,
  unit: number,
  values: Values,
  place: OptionPlace,
  line: Location
): { readonly value?: ReferenceClockSettings; readonly diagnostics: readonly Diagnostic[] } => {
  const at = (name: string): Location => place(name, "places") ?? line
  const driver = driverOf(word)
  const { refid } = values
  const maxPoll = values.maxpoll ?? Math.max(POLL, values.minpoll ?? 0)
  const minPoll = values.minpoll ?? Math.min(POLL, maxPoll)
  const diagnostics: Diagnostic[] = driver === undefined ? [unknownDriver(word, at("driver"))] : []
  if (minPoll > maxPoll)
    diagnostics.push(
      errorAt(at("minpoll"), `found minpoll ${minPoll} above maxpoll ${maxPoll}, expected it at most as large`)
    )
  if (refid !== undefined && (refid.length > REFID_LENGTH || !/^[!-~]+$/.test(refid)))
    diagnostics.push(
      errorAt(
        at("refid"),
        `found ${quoted(refid)}, expected 1 to ${REFID_LENGTH} printable ASCII characters such as GPS`
      )
    )
  if (driver !== undefined)
    for (const name of particular)
      if (values[name] !== undefined && !driver.acts.includes(name))
        diagnostics.push(warningAt(place(name, "words") ?? line, withoutEffect(name, driver.kind)))
  if (values.holdover !== undefined)
    diagnostics.push(
      warningAt(
        place("holdover", "words") ?? line,
        "'holdover' has no effect: served time goes on by its frequency when a clock falls silent"
      )
    )
  if (diagnostics.some(({ severity }) => severity === "error")) return { diagnostics }
  const value: ReferenceClockSettings = {
    driver: driver?.kind ?? word,
    kind: driver?.kind,
    unit,
    minPoll,
    maxPoll,
    prefer: values.prefer === true,
    noselect: values.noselect === true,
    truechimer: values.true === true,
    mode: values.mode ?? 0,
    subtype: values.subtype,
    path: driver?.kind === "shm" ? undefined : (values.path ?? driver?.path(unit)),
    ppspath: values.ppspath,
    baud: values.baud,
    refid,
    stratum: values.stratum,
    // NTPsec's `bias` is added to the offset, as `time1` is.
    time1: (values.time1 ?? 0) + (values.bias ?? 0),
    time2: values.time2 ?? 0,
    precision: values.precision,
    flags: [values.flag1 === "1", values.flag2 === "1", values.flag3 === "1", values.flag4 === "1"]
  }
  return { value, diagnostics }
}

const unknownDriver = (word: string, where: Location): Diagnostic =>
  warningAt(
    where,
    `the driver ${quoted(word)} is known but not acted on yet; shm (28), pps (22), sock and phc are, and gpsd hands a receiver's time on by shm or sock; this line has no effect`
  )

const withoutEffect = (name: string, kind: ReferenceClockKind): string =>
  name === "ppspath"
    ? `'ppspath' has no effect with the driver ${kind}; give the pulses a line of their own: refclock pps path FILE`
    : `'${name}' has no effect with the driver ${kind}`

/** Errors for clocks whose driver and unit, and so their name, are given twice. */
export const repeatedClocks = (
  clocks: readonly { readonly value: ReferenceClockSettings; readonly location: Location }[]
): readonly Diagnostic[] => {
  const seen = new Map<string, Location>()
  return clocks.flatMap(({ value: { kind, unit }, location }) => {
    if (kind === undefined) return []
    const name = `${kind} unit ${unit}`
    const first = seen.get(name)
    if (first === undefined) {
      seen.set(name, location)
      return []
    }
    return [
      errorAt(
        location,
        `the reference clock ${name} stands already at ${first.file}:${first.line}; give this one another unit`
      )
    ]
  })
}
