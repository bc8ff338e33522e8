/** What the clock's process works by: sources, reference clocks, and the settings of ntp.conf that are its own. */
import { isIP } from "node:net"
import {
  finite,
  flag,
  list,
  nullable,
  optional,
  record,
  rule,
  type Shape,
  text,
  type TypeOf,
  whole,
  words
} from "../channel/shape.ts"

const MOST_SOURCES = 10_000
/** log2 seconds */
const poll = whole(0, 17)
/** Of a source: in the same network several times a second. */
const sourcePoll = whole(-7, 17)
const port = whole(1, 65_535)
const path = text(1, 4_096)
const count = whole(0, 1_000)
const amount = finite(0)
const addressFamily = rule(whole(4, 6), "4 or 6", (family) => family !== 5) as Shape<4 | 6>
const pollsInOrder = ({ minpoll, maxpoll }: { readonly minpoll: number; readonly maxpoll: number }): boolean =>
  minpoll <= maxpoll

/** Where and how keys are exchanged (RFC 8915 §4). */
const ntsConfiguration = record({
  /** Who is asked for keys; null: the source itself. */
  host: nullable(text(1, 255)),
  port,
  /** File or folder of PEM certificates to trust instead of the system's roots. */
  ca: nullable(path),
  /** Takes any certificate. */
  noval: flag,
  /** AEAD identifiers of the IANA registry, best first; null: the program's own choice. */
  aead: nullable(list(whole(0, 65_535), 32))
})
export type NtsConfiguration = TypeOf<typeof ntsConfiguration>

/** One `server`, `pool` or `peer` line. */
const upstreamConfiguration = rule(
  record({
    kind: words("server", "pool", "peer"),
    /** A name or a numeric address. */
    host: text(1, 255),
    /** Addresses of this family only; null: of either. */
    family: nullable(addressFamily),
    port,
    iburst: flag,
    burst: flag,
    minpoll: sourcePoll,
    maxpoll: sourcePoll,
    prefer: flag,
    noselect: flag,
    /** ntp.conf `true`: always a truechimer. */
    true: flag,
    /** Symmetric key, from the keys of the plan; null without. */
    keyId: nullable(whole(1, 65_535)),
    nts: nullable(ntsConfiguration),
    /** Asked by Autokey; `ident` names the group that it must prove to belong to. Null or absent: not. */
    autokey: optional(nullable(record({ ident: nullable(text(1, 255)) }))),
    version: whole(1, 4),
    /** `manycastclient`: the host is a multicast group, at which servers are looked for over so many hops. Absent: it is not. */
    hops: optional(whole(1, 255)),
    xleave: flag,
    /** Polls of at least 2^presend seconds have a packet sent ahead of them; null or absent: none. */
    presend: optional(nullable(sourcePoll)),
    /** Seconds that are added to its offset. */
    bias: finite(),
    /** What is known of the path to it, by chrony.conf's words; null: nothing. */
    screen: nullable(
      record({
        maxdelay: nullable(amount),
        maxdelayratio: nullable(amount),
        maxdelaydevratio: nullable(amount),
        mindelay: nullable(amount),
        asymmetry: nullable(finite()),
        filter: nullable(whole(1, 64))
      })
    )
  }),
  "maxpoll not below minpoll",
  pollsInOrder
)
export type UpstreamConfiguration = TypeOf<typeof upstreamConfiguration>

const referenceClockDrivers = ["shm", "sock", "pps", "phc"] as const

/** One reference clock of a driver that is acted on. */
const referenceClockConfiguration = rule(
  rule(
    record({
      driver: words(...referenceClockDrivers),
      /** With the driver it names the clock: `SHM(0)`. */
      unit: whole(0, 255),
      /** Device or socket; null for shm, which has none. */
      path: nullable(path),
      /** Up to four characters. */
      refid: text(1, 4),
      /** Of the clock itself: it is served with one more. */
      stratum: whole(0, 15),
      minpoll: poll,
      maxpoll: poll,
      prefer: flag,
      noselect: flag,
      /** ntp.conf `true`: always a truechimer. */
      true: flag,
      /** Seconds that are added to its time. */
      time1: finite(),
      time2: finite(),
      /** The most that it may be wrong by, seconds; absent: as it claims itself, or as can be known of its kind. */
      precision: optional(finite(1e-9, 1e4)),
      mode: whole(0, 2 ** 32 - 1),
      flags: list(flag, 4)
    }),
    "maxpoll not below minpoll",
    pollsInOrder
  ),
  "the path of a device or socket, for all drivers but shm",
  ({ driver, path: device }) => (driver === "shm") === (device === null)
)
export type ReferenceClockConfiguration = TypeOf<typeof referenceClockConfiguration>

export const statisticsNames = ["loopstats", "peerstats", "rawstats", "clockstats", "sysstats", "cryptostats"] as const
export type StatisticsName = (typeof statisticsNames)[number]

const filegenTypes = ["none", "pid", "day", "week", "month", "year", "age"] as const
export type FilegenType = (typeof filegenTypes)[number]

/** One `filegen` line that is enabled. */
const filegenConfiguration = record({
  name: words(...statisticsNames),
  /** Appended to statsdir. Settings from over the network may name files; none may lead out of statsdir. */
  file: rule(path, "a name without ..", (file) => !file.split("/").includes("..")),
  type: words(...filegenTypes),
  /** Whether the bare name is a hard link to the current file. */
  link: flag
})
export type FilegenConfiguration = TypeOf<typeof filegenConfiguration>

/** The `tos` values, each null for the default. Times in seconds. */
const tosConfiguration = record({
  minsane: nullable(count),
  minclock: nullable(count),
  maxclock: nullable(count),
  mindist: nullable(amount),
  maxdist: nullable(amount),
  floor: nullable(whole(0, 16)),
  ceiling: nullable(whole(1, 16)),
  /** Stratum of orphans. */
  orphan: nullable(whole(1, 16)),
  orphanwait: nullable(amount)
})
type TosConfiguration = TypeOf<typeof tosConfiguration>

/** The `tinker` values, each null for the default. Seconds, `dispersion` seconds per second, `freq` ppm. */
const tinkerConfiguration = record({
  /** Forward and back; 0: never. */
  stepfwd: nullable(amount),
  stepback: nullable(amount),
  stepout: nullable(amount),
  panic: nullable(amount),
  dispersion: nullable(amount),
  /** To begin with, in place of the drift file's. */
  freq: nullable(finite()),
  /** Whether the first setting may be over the panic threshold (`ntpd -g`). */
  firstMayPanic: nullable(flag)
})
type TinkerConfiguration = TypeOf<typeof tinkerConfiguration>

/** A numeric address, perhaps a wildcard, and a UDP port. */
const servingEndpoint = record({
  address: rule(text(1, 64), "a numeric address", (address) => isIP(address) !== 0),
  port
})
export type ServingEndpoint = TypeOf<typeof servingEndpoint>

/** Key ids from first to last. */
export const keyRange = rule(
  record({ first: whole(1, 65_535), last: whole(1, 65_535) }),
  "first not above last",
  ({ first, last }) => first <= last
)

const manyAddress = rule(text(1, 64), "a numeric address", (address) => isIP(address) !== 0)

/** One `broadcast` line: to whom the time is told. */
const manyConfiguration = record({
  address: manyAddress,
  port,
  /** Symmetric key, from the keys of the plan; null without. */
  keyId: nullable(whole(1, 65_535)),
  /** By Autokey; absent: not. */
  autokey: optional(flag),
  /** How many routers far multicasts go. */
  hops: whole(1, 255),
  minpoll: poll,
  version: whole(1, 4)
})
export type ManyConfiguration = TypeOf<typeof manyConfiguration>

/** `broadcastclient` and `multicastclient`: which servers are followed that tell the time to many. */
const hearingConfiguration = record({
  port,
  /** Whether the broadcast addresses of this machine's networks are listened to. */
  broadcasts: flag,
  groups: list(manyAddress, 64),
  /** Whether a server must prove itself; false after `disable auth`. */
  authenticated: flag,
  /** The keys that are proof: those of the file that trustedkey names. */
  keys: list(keyRange, 65_535),
  /** Whether Autokey is proof too. */
  autokey: flag,
  /** The round trip, seconds; null: some exchanges measure it. */
  delay: nullable(amount),
  /** At most so many servers are followed. */
  most: count
})
export type HearingConfiguration = TypeOf<typeof hearingConfiguration>

/** `manycastserver`: at which groups clients that look for servers are answered. */
const answeringConfiguration = record({
  port,
  groups: list(manyAddress, 64),
  /** Whether a client must prove itself; false after `disable auth`. */
  authenticated: flag,
  /** The keys that are proof. */
  keys: list(keyRange, 65_535),
  /** Whether those who ask by Autokey are answered; absent: not. */
  autokey: optional(flag)
})
export type AnsweringConfiguration = TypeOf<typeof answeringConfiguration>

export const disciplineConfiguration = record({
  sources: list(upstreamConfiguration, MOST_SOURCES),
  referenceClocks: list(referenceClockConfiguration, MOST_SOURCES),
  /** Serve this machine's clock when there is nothing to follow. */
  localReference: nullable(record({ stratum: whole(1, 15) })),
  tos: tosConfiguration,
  tinker: tinkerConfiguration,
  /** `fallbackdrift`, log2 seconds; null or absent: no line. */
  fallbackDrift: optional(
    nullable(rule(record({ min: whole(0, 30), max: whole(0, 30) }), "min not above max", ({ min, max }) => min <= max))
  ),
  /** `maxupdateskew`, ppm; null or absent: no limit. */
  maxUpdateSkew: optional(nullable(amount)),
  /** Paths, null for none. `statsdir` is a prefix, as in ntp.conf. */
  driftfile: nullable(path),
  leapfile: nullable(path),
  /** `leapfile … ignorehash`: its hash need not be right. */
  leapfileHashIgnored: flag,
  statsdir: nullable(path),
  filegen: list(filegenConfiguration, 64),
  /** `virtual` steers nothing and publishes a correction; `kernel` steers CLOCK_REALTIME. */
  mode: words("virtual", "kernel"),
  /** Where keys and cookies of NTS sources are kept, sealed. */
  cookieDirectory: path,
  /** Updates of the clock before which certificates' dates need not be right (`nts nocerttimecheck`); 0 or absent: they must. */
  certificateTimeUpdates: optional(count),
  /** File that keeps what is known of the clock for the next start; null or absent: nothing is kept. */
  keptClock: optional(nullable(path)),
  /** ntp.conf `leapsmearinterval`, seconds; 0: no smear. */
  leapSmearSeconds: amount,
  /** Where the node serves: symmetric peers are spoken to from there. Without it, from any port. */
  serving: optional(list(servingEndpoint, 1_024)),
  /** Numeric addresses of sources that an operator took offline: they are not asked; absent: none. */
  offline: optional(list(text(1, 64), MOST_SOURCES)),
  /** At most so many peers that no line names are taken (docs/adr/007); 0 or absent: none. */
  passivePeers: optional(count),
  /** The keys that such peers must use: those of the file that trustedkey names. */
  passiveKeys: optional(list(keyRange, 65_535)),
  /** To whom this node tells the time unasked; absent: to nobody. */
  telling: optional(list(manyConfiguration, 64)),
  /** Null or absent: no such server is followed. */
  hearing: optional(nullable(hearingConfiguration)),
  /** Null or absent: nobody is answered at a multicast group. */
  answering: optional(nullable(answeringConfiguration))
})
export type DisciplineConfiguration = TypeOf<typeof disciplineConfiguration>

export const defaultTos: TosConfiguration = {
  minsane: null,
  minclock: null,
  maxclock: null,
  mindist: null,
  maxdist: null,
  floor: null,
  ceiling: null,
  orphan: null,
  orphanwait: null
}

export const defaultTinker: TinkerConfiguration = {
  stepfwd: null,
  stepback: null,
  stepout: null,
  panic: null,
  dispersion: null,
  freq: null,
  firstMayPanic: null
}
