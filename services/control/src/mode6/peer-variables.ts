/** The variables of one source by name, those of NTPsec and of classic ntpd alike. */
import type { SourceReport } from "@meridian/ipc/discipline-report"
import { noStamp, type SourceDetail } from "@meridian/ipc/source-detail"
import { type ControlItem, quoted } from "@meridian/wire/mode6-text"
import { fixed, hex, milliseconds, stampValue, unixOf, whole } from "./values.ts"
import type { ControlView } from "./view.ts"

interface Peer {
  readonly source: SourceReport
  /** Undefined until the clock's process says more of it. */
  readonly detail: SourceDetail | undefined
  readonly view: ControlView
}

type PeerVariable = (peer: Peer) => string | undefined

/** Stages of the clock filter (RFC 5905 NSTAGE); an empty one has the greatest dispersion. */
const STAGES = 8
const EMPTY = { offset: 0, delay: 0, dispersion: 16 }

const isClock = ({ source }: Peer): boolean => source.mode === "clock"

/** What ntpd has for modes: ours is what we ask as, theirs what they answer as. */
const ourModes = { client: 3, active: 1, passive: 2, broadcast: 6, clock: 3 } as const

const filter = (pick: (stage: typeof EMPTY) => number): PeerVariable => {
  return ({ detail }) =>
    Array.from({ length: STAGES }, (_, index) => milliseconds(pick(detail?.filter[index] ?? EMPTY), 2)).join(" ")
}

const stamp = (pick: (detail: SourceDetail) => string): PeerVariable => {
  return ({ detail }) => stampValue(detail === undefined ? noStamp : pick(detail))
}

const drops = ({ source }: Peer, ...names: readonly string[]): string =>
  whole(names.reduce((sum, name) => sum + (source.dropped[name] ?? 0), 0))

/** An address that ntpd gives its reference clocks: 127.127.type.unit. The types are those of ntpd's drivers. */
const clockTypes: Readonly<Record<string, number>> = { SHM: 28, PPS: 22, SOCK: 46, PHC: 46 }

export const clockAddress = (source: SourceReport): string => {
  const [, driver = "", unit = "0"] = /^([A-Z]+)\((\d+)\)$/.exec(source.address) ?? []
  return `127.127.${clockTypes[driver] ?? 0}.${unit}`
}

const addressOf = (peer: Peer): string => (isClock(peer) ? clockAddress(peer.source) : peer.source.address)

/** Four characters where the source has not answered, as ntpd's refid says why. */
const referenceOf = ({ source, detail }: Peer): string => {
  if (source.referenceId !== "") return source.referenceId
  return detail?.nts !== null && detail?.nts !== undefined ? "NTS" : "INIT"
}

const variables: Readonly<Record<string, PeerVariable>> = {
  srcadr: addressOf,
  srcport: (peer) => whole(isClock(peer) ? 123 : peer.source.port),
  dstadr: (peer) => (isClock(peer) ? "127.0.0.1" : (peer.detail?.localAddress ?? "0.0.0.0")),
  dstport: (peer) => whole(isClock(peer) ? 123 : (peer.detail?.localPort ?? 0)),
  leap: ({ source }) => whole(source.leap),
  hmode: ({ source }) => whole(ourModes[source.mode]),
  stratum: ({ source }) => whole(source.stratum),
  ppoll: ({ source, detail }) => whole(detail === undefined || detail.theirMode === 0 ? source.poll : detail.theirPoll),
  hpoll: ({ source }) => whole(source.poll),
  precision: ({ detail }) => whole(detail?.precision ?? 0),
  rootdelay: ({ source }) => milliseconds(source.rootDelay),
  rootdisp: ({ source }) => milliseconds(source.rootDispersion),
  refid: referenceOf,
  reftime: stamp(({ referenceTime }) => referenceTime),
  org: stamp(({ origin }) => origin),
  rec: stamp(({ destination }) => destination),
  xmt: stamp(({ sent }) => sent),
  reach: ({ source }) => hex(Number.parseInt(source.reach, 8)),
  unreach: ({ detail }) => whole(detail?.unanswered ?? 0),
  delay: ({ source }) => milliseconds(source.delay ?? 0, 6),
  offset: ({ source }) => milliseconds(source.offset ?? 0, 6),
  jitter: ({ source }) => milliseconds(source.jitter ?? 0, 6),
  dispersion: ({ source }) => milliseconds(source.dispersion ?? 16, 6),
  keyid: ({ source: { authentication } }) => whole(authentication.kind === "symmetric" ? authentication.key : 0),
  filtdelay: filter(({ delay }) => delay),
  filtoffset: filter(({ offset }) => offset),
  pmode: ({ detail }) => whole(detail?.theirMode ?? 0),
  filtdisp: filter(({ dispersion }) => dispersion),
  flash: ({ detail }) => hex(detail?.flash ?? 0),
  // A reference clock's mode word is not ours to act on.
  mode: (peer) => (isClock(peer) ? "0" : undefined),
  headway: () => "0",
  srchost: (peer) =>
    isClock(peer)
      ? quoted(peer.source.address)
      : peer.source.name === null || peer.source.name === peer.source.address
        ? undefined
        : quoted(peer.source.name),
  ntscookies: ({ source: { authentication } }) =>
    authentication.kind === "nts" ? whole(authentication.cookies) : "-1",
  ttl: () => "0",
  in: () => undefined,
  out: () => undefined,
  bias: ({ detail }) => milliseconds(detail?.bias ?? 0),
  xleave: ({ source }) => (source.interleaved === true ? "0.000" : undefined),
  timer: ({ detail }) => whole(detail?.nextPoll ?? 0),
  timerec: ({ source }) => whole(source.lastReply ?? 0),
  timereach: ({ detail }) => whole(detail?.reachabilitySince ?? 0),
  sent: ({ detail }) => whole(detail?.packetsSent ?? 0),
  received: ({ detail }) => whole(detail?.packetsReceived ?? 0),
  badauth: (peer) => drops(peer, "not-authenticated", "forged", "wrong-identifier", "crypto-nak", "nts-nak"),
  bogusorg: (peer) => drops(peer, "bogus-origin", "unasked", "zero-origin"),
  oldpkt: (peer) => drops(peer, "duplicate"),
  seldisp: (peer) => drops(peer, "root-distance"),
  selbroken: (peer) => drops(peer, "reference-time", "server-timestamps", "local-timestamps", "negative-delay"),
  candidate: ({ source, view }) => whole(rankOf(source, view)),
  // Autokey's: known, and empty where there is none.
  flags: ({ source: { authentication } }) =>
    authentication.kind === "autokey" ? hex(authentication.flags) : undefined,
  host: ({ source: { authentication } }) =>
    authentication.kind === "autokey" && authentication.host !== "" ? quoted(authentication.host) : undefined,
  valid: () => undefined,
  signature: ({ source: { authentication } }) =>
    authentication.kind === "autokey" && authentication.signature !== "" ? quoted(authentication.signature) : undefined,
  initsequence: () => undefined,
  initkey: () => undefined,
  timestamp: () => undefined,
  ident: () => undefined
}

/** Its place among the sources that take part, by root distance, as ntpd counts from 0 for the rest. */
const taking = ["system-peer", "candidate", "backup"]
const rankOf = (source: SourceReport, { snapshot }: ControlView): number => {
  const survivors = snapshot.sources
    .filter(({ verdict }) => taking.includes(verdict))
    .toSorted((a, b) => (a.rootDistance ?? Infinity) - (b.rootDistance ?? Infinity))
  return 1 + survivors.indexOf(source)
}

/** What a request without names is answered with, in NTPsec's order. */
const defaults = [
  "srcadr",
  "srcport",
  "dstadr",
  "dstport",
  "leap",
  "hmode",
  "stratum",
  "ppoll",
  "hpoll",
  "precision",
  "rootdelay",
  "rootdisp",
  "refid",
  "reftime",
  "rec",
  "xmt",
  "reach",
  "unreach",
  "delay",
  "offset",
  "jitter",
  "dispersion",
  "keyid",
  "filtdelay",
  "filtoffset",
  "pmode",
  "filtdisp",
  "flash",
  "mode",
  "headway",
  "xleave",
  "srchost",
  "ntscookies"
]

/** Those that are asked for, or the usual ones. Undefined where a name is unknown. */
export const readPeerVariables = (
  names: readonly string[],
  source: SourceReport,
  view: ControlView
): readonly ControlItem[] | undefined => {
  const wanted = names.length === 0 ? defaults : names
  if (!wanted.every((name) => Object.hasOwn(variables, name))) return undefined
  const peer: Peer = { source, detail: source.detail, view }
  return wanted.flatMap((name) => {
    const value = variables[name]?.(peer)
    return value === undefined ? [] : [{ name, value }]
  })
}

const drivers: Readonly<Record<string, string>> = {
  SHM: "SHM/Shared memory interface",
  PPS: "PPS Clock Discipline",
  SOCK: "SOCK/chrony's datagram socket",
  PHC: "PHC/PTP hardware clock"
}

const driverOf = (source: SourceReport): string => /^[A-Z]+/.exec(source.address)?.[0] ?? ""

/** What the clock said last, in Unix seconds as NTPsec's driver writes it: the reading without the correction that `time1` adds. */
const timecode: PeerVariable = ({ detail, view }) => {
  if (detail === undefined || detail.receive === noStamp) return quoted("")
  return quoted(fixed(unixOf(detail.receive, view.now) - detail.bias, 6))
}

const clockVariables: Readonly<Record<string, PeerVariable>> = {
  name: ({ source }) => quoted(driverOf(source)),
  timecode,
  poll: ({ detail }) => whole(detail?.packetsSent ?? 0),
  noreply: ({ source }) => whole(source.dropped["no-reading"] ?? 0),
  badformat: ({ source }) => whole((source.dropped["not-finite"] ?? 0) + (source.dropped["nanoseconds"] ?? 0)),
  baddata: ({ source }) =>
    whole(
      ["leap", "precision", "stale", "future", "difference"].reduce((sum, why) => sum + (source.dropped[why] ?? 0), 0)
    ),
  fudgetime1: ({ detail }) => milliseconds(detail?.bias ?? 0),
  stratum: ({ source }) => whole(source.stratum),
  refid: ({ source }) => source.referenceId,
  flags: () => "0",
  device: ({ source }) => quoted(drivers[driverOf(source)] ?? driverOf(source))
}

/** The clock variables of a reference clock; undefined where a name is unknown. */
export const readClockVariables = (
  names: readonly string[],
  source: SourceReport,
  view: ControlView
): readonly ControlItem[] | undefined => {
  const wanted = names.length === 0 ? Object.keys(clockVariables) : names
  if (!wanted.every((name) => Object.hasOwn(clockVariables, name))) return undefined
  const peer: Peer = { source, detail: source.detail, view }
  return wanted.flatMap((name) => {
    const value = clockVariables[name]?.(peer)
    return value === undefined ? [] : [{ name, value }]
  })
}
