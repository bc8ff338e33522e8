/**
 * The BPF program on an interface, and the maps by which it is told how to answer. It answers nothing until {@link XdpAnswering.use} says so. Who holds
 * this object holds the program in its place: when the process ends, even by SIGKILL, the kernel takes it away.
 */
import { closeSync, existsSync, readFileSync } from "@meridian/system/files"
import { fileURLToPath } from "node:url"
import type { ClockPageDescriptors } from "@meridian/clocks/clock-page"
import {
  type AnswerCounts,
  type AnsweredClient,
  type AnswerSettings,
  CLIENT_BYTES,
  CLIENT_KEY_BYTES,
  COUNTS_BYTES,
  decodeClient,
  decodeCounts,
  encodePlace,
  encodeRule,
  encodeSettings,
  NEAR_PLACES,
  type Place,
  PLACE_IPV4_BYTES,
  PLACE_IPV6_BYTES,
  rankClients,
  RULE_BYTES
} from "./answer-layout.ts"
import { readRegularFile } from "@meridian/system/regular-file"
import type { ClientOrder } from "@meridian/protocol/access/client-list"
import { attach, attempt, bpfAddon, loadProgram, makeMap, type Maps, XdpError, type XdpMode } from "./bpf.ts"
import { type BpfObject, readBpfObject } from "./bpf-object.ts"

/** What clang made of the source on this machine, and what comes with Meridian. */
const OBJECTS = ["../build/answer.bpf.o", "../object/answer.bpf.o"].map((path) =>
  fileURLToPath(new URL(path, import.meta.url))
)

const FIRST = new Uint8Array(4)
const PRESENT = new Uint8Array(4)

/** An address prefix: 4 or 16 octets. */
interface Prefix {
  readonly address: readonly number[]
  readonly length: number
}

interface XdpRequest {
  readonly interfaceName: string
  /** Undefined: native where the driver can, else generic. */
  readonly mode: XdpMode | undefined
  /** Clients that are remembered at most. */
  readonly clients: number
}

/** Processors that may ever be, of which each counts for itself: the kernel's list reads `0-3` or `0-3,8-11`. */
const possibleProcessors = (): number => {
  const text = readFileSync("/sys/devices/system/cpu/possible", "utf8").trim()
  return text.split(",").reduce((sum, range) => {
    const [first = 0, last = first] = range.split("-").map(Number)
    return sum + last - first + 1
  }, 0)
}

const closeAll = (descriptors: Iterable<number>): void => {
  for (const descriptor of descriptors) closeSync(descriptor)
}

const makeMaps = ({ maps }: BpfObject, clients: number): Maps => {
  const made = new Map<string, number>()
  try {
    for (const map of maps) made.set(map.name, makeMap(map.name === "clients_map" ? { ...map, entries: clients } : map))
    return made
  } catch (error) {
    closeAll(made.values())
    throw error
  }
}

/** What is not this object's own to know. */
export type Told = Omit<AnswerSettings, "rules" | "isGeneric" | "needsFences" | "nearPlaces" | "hasMorePlaces">

interface Attachment {
  readonly interfaceName: string
  readonly mode: XdpMode
  /** Undefined: the program is attached nowhere. */
  readonly link: number | undefined
}

/** A program over its maps. */
interface Loaded {
  readonly maps: Maps
  readonly program: number
}

const LONGEST_OBJECT = 16 * 1024 * 1024

const load = (path: string, clients: number): Loaded => {
  const object = readBpfObject(readRegularFile(path, LONGEST_OBJECT))
  const maps = makeMaps(object, clients)
  try {
    return { maps, program: loadProgram(object, maps) }
  } catch (error) {
    closeAll(maps.values())
    throw error
  }
}

/** Loads the program of this machine's clang; where the kernel refuses that or there is none, the one that comes along. */
const loadAny = (clients: number): Loaded => {
  const [built = "", shipped = ""] = OBJECTS
  if (existsSync(built)) {
    try {
      return load(built, clients)
    } catch (error) {
      if (error instanceof XdpError && error.code === "EPERM") throw error
    }
  }
  return load(shipped, clients)
}

export class XdpAnswering {
  readonly interfaceName: string
  readonly mode: XdpMode
  /** The clock page, in the map that the program reads. */
  readonly clockPage: ClockPageDescriptors
  /** The program's descriptor, for tests and benches. */
  readonly program: number
  private readonly maps: Maps
  private readonly link: number | undefined
  private readonly clientRoom: number
  private readonly countBytes = new Uint8Array(possibleProcessors() * COUNTS_BYTES)
  private settings: AnswerSettings | undefined
  private places = new Map<string, Uint8Array>()
  private near: readonly Place[] = []
  /** Clients that were there when they were last read. */
  private lastFound = 0
  private rules: "even" | "odd" | undefined

  private constructor(loaded: Loaded, clientRoom: number, { interfaceName, mode, link }: Attachment) {
    this.interfaceName = interfaceName
    this.mode = mode
    this.link = link
    this.program = loaded.program
    this.maps = loaded.maps
    this.clientRoom = clientRoom
    const page = this.map("clock_map")
    // The kernel maps no map by a descriptor that is for reading alone, so readers get this one and map it for reading.
    this.clockPage = { writable: page, readable: page }
  }

  /**
   * Loads and attaches the program. Takes CAP_BPF and CAP_NET_ADMIN; nothing later does.
   * @throws XdpError
   */
  static open({ interfaceName, mode, clients }: XdpRequest): XdpAnswering {
    bpfAddon()
    const loaded = loadAny(clients)
    const tried = mode === undefined ? (["native", "generic"] as const) : [mode]
    let refused: unknown
    for (const each of tried)
      try {
        const link = attach(loaded.program, interfaceName, each)
        return new XdpAnswering(loaded, clients, { interfaceName, mode: each, link })
      } catch (error) {
        // The first mode's refusal says more than the second's.
        refused ??= error
      }
    closeAll([loaded.program, ...loaded.maps.values()])
    throw refused
  }

  /** Loads the program without attaching it, to be run over single packets as if it were: for tests. @throws XdpError */
  static unattached(clients: number, mode: XdpMode, object?: string): XdpAnswering {
    bpfAddon()
    const loaded = object === undefined ? loadAny(clients) : load(object, clients)
    return new XdpAnswering(loaded, clients, { interfaceName: "none", mode, link: undefined })
  }

  /** How requests are answered from now on. */
  use(settings: Told): void {
    this.settings = {
      ...settings,
      nearPlaces: this.near,
      hasMorePlaces: this.places.size > this.near.length,
      rules: this.rules,
      isGeneric: this.mode === "generic",
      needsFences: process.arch !== "x64"
    }
    this.write(this.settings)
  }

  /** Every packet passes to the sockets from now on. */
  stop(): void {
    if (this.settings !== undefined) this.write((this.settings = { ...this.settings, answers: false }))
  }

  /** Where requests are answered: all others pass. The first ones are found soonest; they hold when the next {@link use} comes. */
  usePlaces(places: readonly Place[]): void {
    this.near = [4, 16].flatMap((octets) =>
      places.filter(({ address }) => address.length === octets).slice(0, NEAR_PLACES)
    )
    const next = new Map(places.map((place) => [JSON.stringify(place), encodePlace(place)]))
    for (const [name, key] of this.places) if (!next.has(name)) this.change(placesOf(key), "delete", key)
    for (const [name, key] of next) if (!this.places.has(name)) this.change(placesOf(key), "update", key)
    this.places = next
  }

  /** Addresses that the sockets alone answer. They hold all at once, when the next {@link use} comes. */
  useRules(prefixes: readonly Prefix[]): void {
    const next = this.rules === "even" ? "odd" : "even"
    if (prefixes.length > 0) {
      this.clear(`rules_${next}`)
      for (const { address, length } of prefixes) this.change(`rules_${next}`, "update", encodeRule(address, length))
    }
    this.rules = prefixes.length > 0 ? next : undefined
  }

  /** What became of requests, since the program was loaded. */
  counts(): AnswerCounts {
    attempt("the counters cannot be read", (addon) =>
      addon.bpfMapLookup(this.map("counts_map"), FIRST, this.countBytes)
    )
    return decodeCounts(this.countBytes)
  }

  /**
   * The first `most` clients by an order. Entries are made of those alone.
   * @param wholeLevels see decodeClient
   */
  clients(wholeLevels: boolean, order: ClientOrder = "last", most = Infinity): readonly AnsweredClient[] {
    const keys = new Uint8Array(this.clientRoom * CLIENT_KEY_BYTES)
    const values = new Uint8Array(this.clientRoom * CLIENT_BYTES)
    const found = attempt("the clients cannot be read", (addon) =>
      addon.bpfMapRead(this.map("clients_map"), keys, values, this.clientRoom)
    )
    this.lastFound = found
    const ranks = rankClients(values, found, order)
    const places = Uint32Array.from({ length: found }, (_, index) => index)
    if (found > most) places.sort((a, b) => ranks[b]! - ranks[a]!)
    return Array.from(places.subarray(0, Math.min(found, most)), (index) =>
      decodeClient(values, index * CLIENT_BYTES, wholeLevels)
    )
  }

  /** How many were remembered when they were last read. */
  get rememberedClients(): number {
    return this.lastFound
  }

  /** Whether the program is where it was attached: it is not any more when the interface has gone. */
  get isAttached(): boolean {
    const { link } = this
    return link !== undefined && attempt("the link cannot be read", (addon) => addon.bpfLinkInterface(link)) !== 0
  }

  /** Takes the program away. The clock page stays for those who mapped it. */
  close(): void {
    closeAll([this.program, ...this.maps.values(), ...(this.link === undefined ? [] : [this.link])])
  }

  private map(name: string): number {
    const found = this.maps.get(name)
    if (found === undefined) throw new XdpError(`the program has no map ${name}`, "ENOENT")
    return found
  }

  private write(settings: AnswerSettings): void {
    attempt("the settings cannot be written", (addon) =>
      addon.bpfMapUpdate(this.map("settings_map"), FIRST, encodeSettings(settings))
    )
  }

  private change(name: string, how: "update" | "delete", key: Uint8Array): void {
    attempt(`the map ${name} cannot be changed`, (addon) => {
      if (how === "update") addon.bpfMapUpdate(this.map(name), key, PRESENT)
      else addon.bpfMapDelete(this.map(name), key)
    })
  }

  private clear(name: string): void {
    const key = new Uint8Array(RULE_BYTES)
    attempt(`the map ${name} cannot be cleared`, (addon) => {
      while (addon.bpfMapFirstKey(this.map(name), key)) addon.bpfMapDelete(this.map(name), key)
    })
  }
}

const placesOf = (key: Uint8Array): string =>
  key.length === PLACE_IPV4_BYTES ? "places_ipv4" : key.length === PLACE_IPV6_BYTES ? "places_ipv6" : "places"
