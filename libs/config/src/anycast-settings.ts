/** What the lines about anycast and draining come to. */
import {
  anycastDirective,
  drainDirective,
  identifyDirective,
  type ServiceAddress,
  serviceAddress
} from "./anycast-directives.ts"
import { type Diagnostic, errorAt, warningAt } from "./diagnostic.ts"
import { line, quoteWord, type SettingLine } from "./setting-line.ts"
import { choose, fromDefault, fromFile, lastGiven, lastOf, type Folded, type Sourced } from "./sourced.ts"
import { type Statement, statementsOf } from "./statement.ts"

export interface AnycastSettings {
  /** No duplicates; none: no route is announced. */
  readonly addresses: readonly Sourced<ServiceAddress>[]
  /** Undefined: the loopback. */
  readonly device: Sourced<string | undefined>
  /** Of BIRD, control socket and protocols; undefined and none where it is not used. */
  readonly birdSocket: Sourced<string | undefined>
  readonly birdProtocols: readonly Sourced<string>[]
  /** Where ExaBGP's helper asks; undefined where it is not used. */
  readonly exabgpSocket: Sourced<string | undefined>
  /** AS of FRR; undefined where it is not used. */
  readonly frrAs: Sourced<number | undefined>
  readonly vtysh: Sourced<string>
  readonly script: Sourced<string | undefined>
  /** Seconds. */
  readonly rise: Sourced<number>
  readonly fall: Sourced<number>
  readonly maximumError: Sourced<number>
  /** Requests a second; undefined: no bound. */
  readonly maximumRate: Sourced<number | undefined>
  /** Seconds. */
  readonly drainWait: Sourced<number>
  readonly drainGrace: Sourced<number>
  /** Whether SIGTERM drains. */
  readonly drainOnStop: Sourced<boolean>
  /** Whether clients that ask are told which node this is. */
  readonly identify: Sourced<boolean>
}

/** What the command line may set of it. */
export interface AnycastOverrides {
  readonly drain?: boolean | undefined
}

const DEFAULT_BIRD_SOCKET = "/run/bird/bird.ctl"
const DEFAULT_VTYSH = "/usr/bin/vtysh"
const DEFAULT_RISE = 10
const DEFAULT_FALL = 0.7
const DEFAULT_MAXIMUM_ERROR = 0.5
const DEFAULT_DRAIN = 10
/** Each is an address of the machine and an argument of a script. */
const MOST_SERVICE_ADDRESSES = 64

type Line = Statement<typeof anycastDirective>

export const anycastSettings = (
  statements: readonly Statement[],
  overrides: AnycastOverrides
): Folded<AnycastSettings> => {
  const lines = statementsOf(statements, anycastDirective)
  const given = <K extends keyof typeof anycastDirective.options>(name: K) =>
    lastGiven(statements, anycastDirective, name)
  const addresses = distinct(lines, "address", (value) => serviceAddress.write(value))
  const birdProtocols = distinct(lines, "protocol", String)
  const identify = lastOf(statements, identifyDirective, "state")
  const drainDefault = addresses.length === 0 ? 0 : DEFAULT_DRAIN
  const value: AnycastSettings = {
    addresses,
    device: given("device") ?? fromDefault(undefined),
    birdSocket: given("bird") ?? fromDefault(birdProtocols.length === 0 ? undefined : (DEFAULT_BIRD_SOCKET as string)),
    birdProtocols,
    exabgpSocket: given("exabgp") ?? fromDefault(undefined),
    frrAs: given("frr") ?? fromDefault(undefined),
    vtysh: given("vtysh") ?? fromDefault(DEFAULT_VTYSH),
    script: given("script") ?? fromDefault(undefined),
    rise: given("rise") ?? fromDefault(DEFAULT_RISE),
    fall: given("fall") ?? fromDefault(DEFAULT_FALL),
    maximumError: given("maxerror") ?? fromDefault(DEFAULT_MAXIMUM_ERROR),
    maximumRate: given("maxrate") ?? fromDefault(undefined),
    drainWait: lastGiven(statements, drainDirective, "wait") ?? fromDefault(drainDefault),
    drainGrace: lastGiven(statements, drainDirective, "grace") ?? fromDefault(drainDefault),
    drainOnStop: choose(overrides.drain, "drain", lastGiven(statements, drainDirective, "onstop"), false),
    identify: identify === undefined ? fromDefault(false) : { ...identify, value: identify.value === "on" }
  }
  return { value, diagnostics: problems(lines, value) }
}

/** The values of an option over all lines; what is said twice counts once. */
const distinct = <K extends "address" | "protocol">(
  lines: readonly Line[],
  name: K,
  write: (value: unknown) => string
): readonly Sourced<NonNullable<Line["values"][K]>>[] => {
  const byText = new Map<string, Sourced<NonNullable<Line["values"][K]>>>()
  for (const { values, places, location } of lines) {
    const value = values[name] as Line["values"][K]
    if (value === undefined || byText.has(write(value))) continue
    byText.set(write(value), fromFile(value as NonNullable<Line["values"][K]>, places.get(name) ?? location))
  }
  return [...byText.values()]
}

const problems = (lines: readonly Line[], settings: AnycastSettings): readonly Diagnostic[] => {
  const first = lines[0]
  if (first === undefined) return []
  const { addresses, device, birdSocket, birdProtocols, exabgpSocket, frrAs, script } = settings
  if (addresses.length === 0)
    return [errorAt(first.location, "no service address is named; add the line: anycast address 192.0.2.1/32")]
  if (addresses.length > MOST_SERVICE_ADDRESSES)
    return [
      errorAt(first.location, `found more than ${MOST_SERVICE_ADDRESSES} service addresses, expected at most that many`)
    ]
  const bird = lines.find(({ values }) => values.bird !== undefined)
  if (bird !== undefined && birdProtocols.length === 0)
    return [
      errorAt(
        bird.places.get("bird") ?? bird.location,
        "BIRD is not told which protocol carries the route; add the line: anycast protocol NAME, as bird.conf names it"
      )
    ]
  const frr = lines.find(({ values }) => values.frr !== undefined)
  if (frr !== undefined && device.value !== undefined)
    return [
      warningAt(
        frr.places.get("frr") ?? frr.location,
        "FRR follows the device by itself where its networks stand in frr.conf; told both ways, it may keep the route of a node that is gone: leave 'anycast frr' or 'anycast device' away"
      )
    ]
  const drivers = [device, birdSocket, exabgpSocket, frrAs, script]
  return drivers.some(({ value }) => value !== undefined)
    ? []
    : [
        warningAt(
          first.location,
          "nobody announces the route; add one of: anycast protocol NAME (BIRD), anycast exabgp PATH, anycast frr AS, anycast script FILE, anycast device NAME"
        )
      ]
}

const shown = (name: string, value: Sourced<string | number | undefined>): readonly SettingLine[] =>
  value.value === undefined || value.origin.kind === "default"
    ? []
    : [line(name, value, (set) => quoteWord(String(set)))]

/** Only what is not as it is without any line. */
export const describeAnycast = (settings: AnycastSettings): readonly SettingLine[] => [
  ...settings.addresses.map((address) => line("anycast address", address, (value) => serviceAddress.write(value))),
  ...shown("anycast device", settings.device),
  ...shown("anycast bird", settings.birdSocket),
  ...settings.birdProtocols.map((protocol) => line("anycast protocol", protocol, String)),
  ...shown("anycast exabgp", settings.exabgpSocket),
  ...shown("anycast frr", settings.frrAs),
  ...shown("anycast vtysh", settings.vtysh),
  ...shown("anycast script", settings.script),
  ...shown("anycast rise", settings.rise),
  ...shown("anycast fall", settings.fall),
  ...shown("anycast maxerror", settings.maximumError),
  ...shown("anycast maxrate", settings.maximumRate),
  ...shown("drain wait", settings.drainWait),
  ...shown("drain grace", settings.drainGrace),
  ...(settings.drainOnStop.value ? [line("drain", settings.drainOnStop, () => "onstop")] : [])
]
