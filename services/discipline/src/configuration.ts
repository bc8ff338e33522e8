/** Reads the configuration that the supervisor hands over as one JSON argument. */
import { isIP } from "node:net"
import {
  defaultTinker,
  defaultTos,
  type DisciplineConfiguration,
  type FilegenConfiguration,
  filegenTypes,
  type NtsConfiguration,
  type ReferenceClockConfiguration,
  referenceClockDrivers,
  type ServingEndpoint,
  statisticsNames,
  type UpstreamConfiguration
} from "@meridian/ipc/discipline-report"

/** A configuration that cannot be: names the place, what was expected and what was found. */
export class InvalidConfiguration extends Error {
  readonly _tag = "InvalidConfiguration"
}

/** A value with the path that leads to it, for messages. */
class Place {
  readonly path: string
  readonly value: unknown

  constructor(path: string, value: unknown) {
    this.path = path
    this.value = value
  }

  fail(expected: string): never {
    const found = JSON.stringify(this.value) ?? "nothing"
    const shown = found.length > 60 ? `${found.slice(0, 60)}…` : found
    throw new InvalidConfiguration(`${this.path}: expected ${expected}, found ${shown}`)
  }

  at(name: string): Place {
    const { value } = this
    if (typeof value !== "object" || value === null || Array.isArray(value)) return this.fail("an object")
    return new Place(this.path === "" ? name : `${this.path}.${name}`, (value as Record<string, unknown>)[name])
  }

  list<A>(read: (item: Place) => A): readonly A[] {
    if (!Array.isArray(this.value)) return this.fail("a list")
    return this.value.map((item: unknown, index) => read(new Place(`${this.path}[${index}]`, item)))
  }

  /** Null and absent are the same. */
  optional<A>(read: (place: Place) => A): A | null {
    return this.value === null || this.value === undefined ? null : read(this)
  }

  readonly text = (): string =>
    typeof this.value === "string" && this.value !== "" ? this.value : this.fail("a text that is not empty")

  readonly flag = (): boolean => (typeof this.value === "boolean" ? this.value : this.fail("true or false"))

  readonly whole = (least: number, most: number): number =>
    Number.isInteger(this.value) && (this.value as number) >= least && (this.value as number) <= most
      ? (this.value as number)
      : this.fail(`a whole number from ${least} to ${most}`)

  readonly amount = (): number =>
    typeof this.value === "number" && Number.isFinite(this.value) && this.value >= 0
      ? this.value
      : this.fail("a number that is not negative")

  readonly number = (): number =>
    typeof this.value === "number" && Number.isFinite(this.value) ? this.value : this.fail("a number")

  readonly oneOf = <A extends string>(words: readonly A[]): A =>
    words.find((word) => word === this.value) ?? this.fail(words.join(", "))
}

/** Throws {@link InvalidConfiguration}. */
export const parseConfiguration = (json: string): DisciplineConfiguration => {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw new InvalidConfiguration(`expected JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  return readConfiguration(new Place("", value))
}

const readConfiguration = (root: Place): DisciplineConfiguration => {
  const amount = (place: Place): number => place.amount()
  const count = (place: Place): number => place.whole(0, 1000)
  const text = (place: Place): string => place.text()
  const tos = root.at("tos").optional((place) => place) ?? new Place("tos", {})
  const tinker = root.at("tinker").optional((place) => place) ?? new Place("tinker", {})
  return {
    sources: root.at("sources").list(readSource),
    referenceClocks: root.at("referenceClocks").optional((place) => place.list(readReferenceClock)) ?? [],
    localReference: root.at("localReference").optional((place) => ({ stratum: place.at("stratum").whole(1, 15) })),
    tos: {
      ...defaultTos,
      minsane: tos.at("minsane").optional(count),
      minclock: tos.at("minclock").optional(count),
      maxclock: tos.at("maxclock").optional(count),
      mindist: tos.at("mindist").optional(amount),
      maxdist: tos.at("maxdist").optional(amount),
      floor: tos.at("floor").optional((place) => place.whole(0, 16)),
      ceiling: tos.at("ceiling").optional((place) => place.whole(1, 16)),
      orphan: tos.at("orphan").optional((place) => place.whole(1, 16)),
      orphanwait: tos.at("orphanwait").optional(amount)
    },
    tinker: {
      ...defaultTinker,
      stepfwd: tinker.at("stepfwd").optional(amount),
      stepback: tinker.at("stepback").optional(amount),
      stepout: tinker.at("stepout").optional(amount),
      panic: tinker.at("panic").optional(amount),
      dispersion: tinker.at("dispersion").optional(amount),
      freq: tinker.at("freq").optional((place) => place.number()),
      firstMayPanic: tinker.at("firstMayPanic").optional((place) => place.flag())
    },
    driftfile: root.at("driftfile").optional(text),
    leapfile: root.at("leapfile").optional(text),
    leapfileHashIgnored: root.at("leapfileHashIgnored").optional((place) => place.flag()) ?? false,
    statsdir: root.at("statsdir").optional(text),
    filegen: root.at("filegen").optional((place) => place.list(readFilegen)) ?? [],
    mode: root.at("mode").oneOf(["virtual", "kernel"]),
    cookieDirectory: root.at("cookieDirectory").text(),
    leapSmearSeconds: root.at("leapSmearSeconds").optional(amount) ?? 0,
    serving: root.at("serving").optional((place) => place.list(readServing)) ?? [],
    passivePeers: root.at("passivePeers").optional(count) ?? 0,
    passiveKeys: root.at("passiveKeys").optional((place) => place.list(readKeyRange)) ?? []
  }
}

const readKeyRange = (place: Place): { readonly first: number; readonly last: number } => {
  const first = place.at("first").whole(1, 65_535)
  return { first, last: place.at("last").whole(first, 65_535) }
}

const readServing = (place: Place): ServingEndpoint => {
  const address = place.at("address")
  if (isIP(address.text()) === 0) address.fail("a numeric address")
  return { address: address.text(), port: place.at("port").whole(1, 65_535) }
}

const readSource = (place: Place): UpstreamConfiguration => {
  const minpoll = place.at("minpoll").whole(0, 17)
  return {
    kind: place.at("kind").oneOf(["server", "pool", "peer"]),
    host: place.at("host").text(),
    family: place.at("family").optional((family) => (family.whole(4, 6) === 4 ? 4 : 6)),
    port: place.at("port").whole(1, 65_535),
    iburst: place.at("iburst").flag(),
    burst: place.at("burst").flag(),
    minpoll,
    maxpoll: place.at("maxpoll").whole(minpoll, 17),
    prefer: place.at("prefer").flag(),
    noselect: place.at("noselect").flag(),
    true: place.at("true").flag(),
    keyId: place.at("keyId").optional((key) => key.whole(1, 65_535)),
    nts: place.at("nts").optional(readNts),
    version: place.at("version").whole(1, 4),
    xleave: place.at("xleave").flag(),
    bias: place.at("bias").optional((bias) => bias.number()) ?? 0
  }
}

const readReferenceClock = (place: Place): ReferenceClockConfiguration => {
  const minpoll = place.at("minpoll").whole(0, 17)
  const driver = place.at("driver").oneOf(referenceClockDrivers)
  return {
    driver,
    unit: place.at("unit").whole(0, 255),
    path: driver === "shm" ? null : place.at("path").text(),
    refid: place.at("refid").text(),
    stratum: place.at("stratum").whole(0, 15),
    minpoll,
    maxpoll: place.at("maxpoll").whole(minpoll, 17),
    prefer: place.at("prefer").flag(),
    noselect: place.at("noselect").flag(),
    true: place.at("true").flag(),
    time1: place.at("time1").number(),
    time2: place.at("time2").number(),
    mode: place.at("mode").whole(0, 2 ** 32 - 1),
    flags: place.at("flags").list((flag) => flag.flag())
  }
}

const readNts = (place: Place): NtsConfiguration => ({
  host: place.at("host").optional((host) => host.text()),
  port: place.at("port").whole(1, 65_535),
  ca: place.at("ca").optional((path) => path.text()),
  noval: place.at("noval").optional((flag) => flag.flag()) ?? false,
  aead: place.at("aead").optional((list) => list.list((id) => id.whole(0, 65_535)))
})

const readFilegen = (place: Place): FilegenConfiguration => {
  const file = place.at("file").text()
  // Settings from over the network may name files; none may lead out of statsdir.
  if (file.split("/").includes("..")) place.at("file").fail("a name without ..")
  return {
    name: place.at("name").oneOf(statisticsNames),
    file,
    type: place.at("type").oneOf(filegenTypes),
    link: place.at("link").flag()
  }
}

/** The numeric address that a host is, or undefined for a name. */
export const numericAddress = (host: string): string | undefined => (isIP(host) === 0 ? undefined : host)
