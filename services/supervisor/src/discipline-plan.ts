/** What ntp.conf says about sources and the clock, in the shape the clock's process takes. */
import { dirname, join, resolve } from "node:path"
import type { ManySettings, Settings, PathSettings, ReferenceClockSettings, SourceSettings } from "@meridian/config"
import {
  type AnsweringConfiguration,
  type DisciplineConfiguration,
  type FilegenConfiguration,
  type HearingConfiguration,
  type ManyConfiguration,
  type ReferenceClockConfiguration,
  type StatisticsName,
  statisticsNames,
  type UpstreamConfiguration
} from "@meridian/ipc/discipline-report"

const NTP_PORT = 123
const NTS_KE_PORT = 4460

const screen = (path: PathSettings): UpstreamConfiguration["screen"] =>
  Object.values(path).every((it) => it === undefined)
    ? null
    : {
        maxdelay: path.maxDelay ?? null,
        maxdelayratio: path.maxDelayRatio ?? null,
        maxdelaydevratio: path.maxDelayDevRatio ?? null,
        mindelay: path.minDelay ?? null,
        asymmetry: path.asymmetry ?? null,
        filter: path.filter ?? null
      }

const upstream = (source: SourceSettings, authority: string | undefined): UpstreamConfiguration => ({
  kind: source.kind,
  host: source.host,
  family: source.family ?? null,
  port: source.nts === undefined ? (source.port ?? NTP_PORT) : NTP_PORT,
  iburst: source.iburst,
  burst: source.burst,
  minpoll: source.minPoll,
  maxpoll: source.maxPoll,
  prefer: source.prefer,
  noselect: source.noselect,
  true: source.truechimer,
  keyId: source.key ?? null,
  nts:
    source.nts === undefined
      ? null
      : {
          host: null,
          port: source.port ?? NTS_KE_PORT,
          ca: source.nts.ca ?? authority ?? null,
          noval: !source.nts.verify,
          aead: source.nts.aead === undefined ? null : [source.nts.aead]
        },
  autokey: source.autokey === undefined ? null : { ident: source.autokey.ident ?? null },
  version: source.version,
  xleave: source.xleave,
  presend: source.presend ?? null,
  bias: source.bias,
  screen: screen(source.path)
})

/** Nothing for a driver that is not acted on: the configuration's reader has warned of it. */
const referenceClock = (clock: ReferenceClockSettings): readonly ReferenceClockConfiguration[] => {
  const { kind, unit, path, refid, stratum, prefer, noselect, truechimer, time1, time2, mode, flags } = clock
  if (kind === undefined) return []
  return [
    {
      driver: kind,
      unit,
      path: path === undefined ? null : resolve(path),
      refid: refid ?? kind.toUpperCase(),
      stratum: stratum ?? 0,
      minpoll: clock.minPoll,
      maxpoll: clock.maxPoll,
      prefer,
      noselect,
      true: truechimer,
      time1,
      time2,
      ...(clock.precision === undefined ? {} : { precision: clock.precision }),
      mode,
      flags
    }
  ]
}

const telling = (line: ManySettings, listening: number): ManyConfiguration => ({
  address: line.address,
  port: listening,
  keyId: line.key ?? null,
  autokey: line.autokey !== undefined,
  hops: line.hops,
  minpoll: line.minPoll,
  version: line.version
})

/** Servers at a multicast group are many of one name: a pool that is looked up by asking the group. */
const sought = (line: ManySettings, listening: number): UpstreamConfiguration => ({
  kind: "pool",
  host: line.address,
  family: null,
  port: listening,
  iburst: line.iburst,
  burst: false,
  minpoll: line.minPoll,
  maxpoll: line.maxPoll,
  prefer: line.prefer,
  noselect: false,
  true: false,
  keyId: line.key ?? null,
  nts: null,
  autokey: line.autokey === undefined ? null : { ident: line.autokey.ident ?? null },
  version: line.version,
  hops: line.hops,
  xleave: false,
  bias: 0,
  screen: null
})

const answering = ({ broadcast, discipline, port, keys, autokey }: Settings): AnsweringConfiguration | null =>
  broadcast.manycastGroups.length === 0
    ? null
    : {
        port: port.value,
        groups: [...new Set(broadcast.manycastGroups.map(({ value }) => value))],
        authenticated: discipline.flags.auth.value,
        keys: keys.file.value === undefined ? [] : keys.trusted.map(({ value }) => value),
        autokey: autokey.enabled.value
      }

/** Each is a vote, as a peer that no line names is. */
const MOST_BROADCAST_SERVERS = 16

const hearing = ({ broadcast, discipline, port, keys, autokey }: Settings): HearingConfiguration | null => {
  const { hearsBroadcasts, groups, delay } = broadcast
  if (!hearsBroadcasts.value && groups.length === 0) return null
  return {
    port: port.value,
    broadcasts: hearsBroadcasts.value,
    groups: [...new Set(groups.map(({ value }) => value))],
    authenticated: discipline.flags.auth.value,
    keys: keys.file.value === undefined ? [] : keys.trusted.map(({ value }) => value),
    autokey: autokey.enabled.value,
    delay: delay.value ?? null,
    most: MOST_BROADCAST_SERVERS
  }
}

const isKnownStatistic = (name: string): name is StatisticsName => (statisticsNames as readonly string[]).includes(name)

const statistics = ({ discipline }: Settings): readonly FilegenConfiguration[] =>
  discipline.flags.stats.value
    ? [...discipline.statistics].flatMap(([name, { value }]) =>
        value.enabled && isKnownStatistic(name) ? [{ name, file: value.file, type: value.type, link: value.link }] : []
      )
    : []

/**
 * The clock's configuration. This machine's own clock is the reference where the file says so, and where it names no
 * source at all: beside sources nobody asked for it.
 */
export const disciplineConfiguration = (settings: Settings, stateDirectory: string): DisciplineConfiguration => {
  const { discipline, localReference, nts } = settings
  const { selection, loop } = discipline
  const sources = [
    ...settings.sources.map(({ value }) => upstream(value, nts.ca.value)),
    ...settings.broadcast.manycasts.map(({ value }) => sought(value, settings.port.value))
  ]
  const referenceClocks = settings.referenceClocks.flatMap(({ value }) => referenceClock(value))
  const asked = localReference.origin.kind !== "default" || sources.length + referenceClocks.length === 0
  const peerKeys = settings.keys.file.value === undefined ? [] : settings.keys.trusted.map(({ value }) => value)
  const path = (file: string | undefined): string | null => (file === undefined || file === "" ? null : resolve(file))
  return {
    sources,
    referenceClocks,
    localReference: asked ? { stratum: localReference.value.stratum } : null,
    tos: {
      minsane: selection.minsane.value,
      minclock: selection.minclock.value,
      maxclock: selection.maxclock.value,
      mindist: selection.mindist.value,
      maxdist: selection.maxdist.value,
      floor: selection.floor.value,
      ceiling: selection.ceiling.value,
      orphan: selection.orphan.value,
      orphanwait: selection.orphanwait.value
    },
    tinker: {
      stepfwd: loop.stepfwd.value,
      stepback: loop.stepback.value,
      stepout: loop.stepout.value,
      panic: loop.panic.value,
      dispersion: loop.dispersion.value,
      freq: loop.freq.value ?? null,
      firstMayPanic: discipline.panicGate.value
    },
    fallbackDrift: discipline.fallbackDrift.value ?? null,
    maxUpdateSkew: discipline.maxUpdateSkew.value ?? null,
    driftfile: path(discipline.driftFile.value),
    leapfile: path(discipline.leapFile.value),
    leapfileHashIgnored: !discipline.leapFileChecked.value,
    statsdir: path(discipline.statisticsDirectory.value) ?? stateDirectory,
    filegen: statistics(settings),
    mode: discipline.mode.value,
    // Beside the file that says where the server's keys are kept, so that one directory outlives a node's state.
    cookieDirectory: nts.cookieFile.value === undefined ? stateDirectory : dirname(resolve(nts.cookieFile.value)),
    certificateTimeUpdates: nts.certificateTimeUpdates.value,
    keptClock: join(stateDirectory, "kept-clock.json"),
    leapSmearSeconds: discipline.leapSmearSeconds.value,
    serving: settings.listen.map(({ value }) => ({ address: value.text, port: settings.port.value })),
    passivePeers: peerKeys.length === 0 ? 0 : settings.passivePeers.value,
    passiveKeys: peerKeys,
    telling: settings.broadcast.broadcasts.map(({ value }) => telling(value, settings.port.value)),
    hearing: hearing(settings),
    answering: answering(settings)
  }
}
