/**
 * The system variables by name, those of NTPsec and of classic ntpd alike: ntpq of one family asks for names that the other's
 * daemon does not have, and one unknown name fails a whole screen.
 */
import { systemCounters } from "@meridian/ipc/system-counters"
import type { ControlItem } from "@meridian/wire/mode6-text"
import { quoted } from "@meridian/wire/mode6-text"
import { clockAddress } from "./peer-variables.ts"
import { authenticationVariables, iostatVariables, kernelVariables, monitorVariables } from "./system-figures.ts"
import { ntsVariables } from "./nts-variables.ts"
import { fixed, hex, milliseconds, minuteValue, momentValue, whole } from "./values.ts"
import type { ControlView, Variable } from "./view.ts"

const followed = ({ snapshot }: ControlView) => snapshot.sources.find(({ verdict }) => verdict === "system-peer")

const distance = ({ snapshot }: ControlView): number =>
  snapshot.status.clock.rootDelay / 2 + snapshot.status.clock.rootDispersion

const modes = { client: 3, active: 1, passive: 2, broadcast: 6, clock: 3 } as const

const clockVariables: Readonly<Record<string, Variable>> = {
  leap: ({ snapshot }) => whole(snapshot.status.clock.leap),
  stratum: ({ snapshot }) => whole(snapshot.status.clock.stratum),
  precision: ({ snapshot }) => whole(snapshot.facts.precision),
  rootdelay: ({ snapshot }) => milliseconds(snapshot.status.clock.rootDelay),
  rootdisp: ({ snapshot }) => milliseconds(snapshot.status.clock.rootDispersion),
  rootdist: (view) => milliseconds(distance(view)),
  refid: ({ snapshot }) => {
    const { referenceId, synchronised } = snapshot.status.clock
    return synchronised && referenceId !== "" ? referenceId : "INIT"
  },
  reftime: ({ snapshot }) => momentValue(snapshot.tracking?.referenceTime ?? null),
  tc: ({ snapshot }) => whole(snapshot.tracking?.poll ?? 0),
  peer: (view) => whole(followed(view)?.detail?.association ?? 0),
  offset: (view) => milliseconds(followed(view)?.offset ?? 0, 6),
  frequency: ({ snapshot: { tracking } }) => fixed(tracking?.frequency ?? 0, 6),
  sys_jitter: (view) => milliseconds(followed(view)?.jitter ?? 0, 6),
  clk_jitter: ({ snapshot: { tracking } }) => milliseconds(tracking?.offsetDeviation ?? 0, 6),
  clock: ({ now }) => momentValue(now),
  processor: ({ snapshot }) => quoted(snapshot.facts.processor),
  system: ({ snapshot: { facts } }) => quoted(`${facts.system}/${facts.release}`),
  version: ({ snapshot }) => quoted(`meridian ${snapshot.status.version}`),
  daemon_version: ({ snapshot }) => quoted(`meridian ${snapshot.status.version}`),
  clk_wander: ({ snapshot: { tracking } }) => fixed(tracking?.frequencyDeviation ?? 0, 6),
  tai: ({ snapshot }) => optional(snapshot.tracking?.leapTable?.taiOffset, whole),
  leapsec: ({ snapshot }) => optional(snapshot.tracking?.leapTable?.last, minuteValue),
  expire: ({ snapshot }) => optional(snapshot.tracking?.leapTable?.expires, minuteValue),
  mintc: () => "0"
}

const optional = <A>(value: A | null | undefined, text: (value: A) => string): string | undefined =>
  value === undefined || value === null ? undefined : text(value)

/** What ntpq's `sysinfo` asks for besides. */
const otherVariables: Readonly<Record<string, Variable>> = {
  release: ({ snapshot }) => quoted(snapshot.facts.release),
  peeradr: (view) => {
    const peer = followed(view)
    if (peer === undefined) return "0.0.0.0:0"
    if (peer.mode === "clock") return `${clockAddress(peer)}:123`
    return peer.address.includes(":") ? `[${peer.address}]:${peer.port}` : `${peer.address}:${peer.port}`
  },
  peermode: (view) => {
    const peer = followed(view)
    return whole(peer === undefined ? 0 : modes[peer.mode])
  },
  bcastdelay: () => "0.000",
  authdelay: () => "0.000",
  ttl: () => "0",
  leapsmearinterval: ({ snapshot }) => whole(snapshot.tracking?.smearSeconds ?? 0),
  leapsmearoffset: () => "0.000",
  lockclock: () => "0",
  // Autokey's: named and empty where there is no certificate, as in ntpd without crypto. Of `cert` there may be several.
  cert: () => undefined,
  host: ({ snapshot }) => optional(snapshot.autokey?.host, quoted),
  ident: ({ snapshot }) => optional(snapshot.autokey?.group, quoted),
  flags: ({ snapshot }) => optional(snapshot.autokey?.flags, hex),
  digest: ({ snapshot }) => optional(snapshot.autokey?.digest, quoted),
  signature: ({ snapshot }) => optional(snapshot.autokey?.signature, quoted),
  update: () => undefined,
  until: () => undefined
}

type Columns = ReturnType<typeof systemCounters>

/** The workers' counters under ntpd's names; each has a twin `_r`, since the last line of sysstats: here since the start. */
const packetVariable = (pick: (counters: Columns, view: ControlView) => number): Variable => {
  return (view) => whole(pick(systemCounters(view.snapshot.status.totals), view))
}

const kindsOf = (view: ControlView, wanted: (version: number, mode: number) => boolean): number =>
  (view.snapshot.status.totals.kinds ?? []).reduce(
    (sum, count, kind) => (wanted(kind >> 3, kind & 7) ? sum + count : sum),
    0
  )

const uptime: Variable = ({ snapshot, age }) => whole(snapshot.status.uptime + age)

const packetVariables: Readonly<Record<string, Variable>> = {
  ss_reset: uptime,
  ss_received: packetVariable(({ received }, { requests }) => received + requests),
  ss_thisver: packetVariable(({ currentVersion }) => currentVersion),
  ss_oldver: packetVariable(({ oldVersion }) => oldVersion),
  ss_ver1: (view) => whole(kindsOf(view, (version) => version === 1)),
  ss_ver1client: (view) => whole(kindsOf(view, (version, mode) => version === 1 && mode === 3)),
  ss_ver1zero: (view) => whole(kindsOf(view, (version, mode) => version === 1 && mode === 0)),
  ss_ver1symm: (view) => whole(kindsOf(view, (version, mode) => version === 1 && mode === 1)),
  ss_badformat: packetVariable(({ badLength }) => badLength),
  ss_badauth: packetVariable(({ badAuthentication }) => badAuthentication),
  ss_declined: packetVariable(({ declined }) => declined),
  ss_restricted: packetVariable(({ restricted }) => restricted),
  ss_limited: packetVariable(({ rateLimited }) => rateLimited),
  ss_kodsent: packetVariable(({ kissesSent }) => kissesSent),
  ss_processed: packetVariable(({ processed }) => processed)
}

/** A counter and its twin `_r`. */
const withTwins = (variables: Readonly<Record<string, Variable>>): Readonly<Record<string, Variable>> =>
  Object.fromEntries(
    Object.entries(variables).flatMap(([name, variable]) => [
      [name, variable],
      [`${name}_r`, variable]
    ])
  )

/** Without a signing daemon nothing is signed; `services/signd` will count here. */
const signingVariables = Object.fromEntries(
  ["", "_no", "_err", "_good", "_bad"].map((what): [string, Variable] => [`mssntp_serves${what}`, () => "0"])
)
const signingTimes = Object.fromEntries(
  ["good_wall", "good_slowest", "bad_wall", "bad_slowest"].map((what): [string, Variable] => [
    `mssntp_serves_${what}`,
    () => "0.000"
  ])
)

export const systemVariables: Readonly<Record<string, Variable>> = {
  ...clockVariables,
  ...otherVariables,
  ss_uptime: uptime,
  ss_numctlreq: ({ requests }) => whole(requests),
  ...withTwins(packetVariables),
  ...iostatVariables,
  ...authenticationVariables,
  ...kernelVariables,
  ...monitorVariables,
  ...withTwins(ntsVariables),
  ...withTwins({ ...signingVariables, ...signingTimes }),
  timerstats_reset: uptime,
  timer_overruns: () => "0",
  timer_xmts: ({ snapshot }) =>
    whole(snapshot.sources.reduce((sum, { detail }) => sum + (detail?.packetsSent ?? 0), 0)),
  sys_var_list: () => quoted(Object.keys(systemVariables).join(","))
}

/** What a request without names is answered with, in NTPsec's order. */
const defaults = [
  "leap",
  "stratum",
  "precision",
  "rootdelay",
  "rootdisp",
  "rootdist",
  "refid",
  "reftime",
  "tc",
  "peer",
  "offset",
  "frequency",
  "sys_jitter",
  "clk_jitter",
  "clock",
  "processor",
  "system",
  "release",
  "version",
  "daemon_version",
  "clk_wander",
  "tai",
  "leapsec",
  "expire",
  "mintc"
]

/** Classic ntpd's form: subject, issuer and flags of each certificate, then until when it is valid (202711292103). */
const certificateItems = ({ snapshot }: ControlView): readonly ControlItem[] =>
  (snapshot.autokey?.certificates ?? []).flatMap(({ subject, issuer, flags, until }) => [
    { name: "cert", value: quoted(`${subject} ${issuer} ${hex(flags)}`) },
    { name: "until", value: new Date(until * 1e3).toISOString().slice(0, 16).replaceAll(/\D/g, "") }
  ])

/** Those that are asked for, or the usual ones. Undefined where a name is unknown. */
export const readSystemVariables = (
  names: readonly string[],
  view: ControlView
): readonly ControlItem[] | undefined => {
  const wanted = names.length === 0 ? defaults : names
  if (!wanted.every((name) => Object.hasOwn(systemVariables, name))) return undefined
  return wanted.flatMap((name) => {
    if (name === "cert") return certificateItems(view)
    const value = systemVariables[name]?.(view)
    return value === undefined ? [] : [{ name, value }]
  })
}
