/** What ntpq and chronyc ask of one source beyond its report. */
import { PHI } from "@meridian/time/clock-curve"
import { MAXDISP, type TrackedSource, type Verdict } from "@meridian/algorithms"
import { noStamp, type SourceDetail, type StampText } from "@meridian/ipc/source-detail"
import { Mode } from "@meridian/wire/ntp"
import type { ClockKeeper } from "./clock-keeper.ts"
import { correctedStamp, type Reading } from "./clocks.ts"
import type { ReferenceClock } from "./reference-clocks.ts"
import { statisticsSample } from "./reference-reporting.ts"
import type { Upstream } from "./upstream.ts"
import type { Upstreams } from "./upstreams.ts"

/** Reference clocks get numbers of their own, above those of servers. */
const FIRST_CLOCK = 50_001
const SERVERS = FIRST_CLOCK - 1

/** RFC 5905 §9.2.1's tests, as bits of what ntpq calls flash: why a packet gave no sample. */
const packetFlash: Readonly<Record<string, number>> = {
  duplicate: 0x1,
  "bogus-origin": 0x2,
  "zero-origin": 0x4,
  "zero-timestamp": 0x4,
  unasked: 0x4,
  kiss: 0x8,
  "not-authenticated": 0x10,
  forged: 0x10,
  "wrong-identifier": 0x10,
  "crypto-nak": 0x10,
  "nts-nak": 0x10,
  "no-key": 0x10,
  unsynchronised: 0x20,
  "reference-time": 0x40,
  "root-distance": 0x40,
  "server-timestamps": 0x40,
  "local-timestamps": 0x40,
  "negative-delay": 0x40
}

/** The same for what the selection found unfit. */
const verdictFlash: Partial<Record<Verdict, number>> = {
  unsynchronised: 0x200,
  stratum: 0x200,
  distance: 0x400,
  loop: 0x800,
  unreachable: 0x1000
}

const stampText = (stamp: bigint): StampText => stamp.toString(16).padStart(16, "0")

/** The stamp of a moment of CLOCK_MONOTONIC, by served time. */
const stampAt = (moment: number | undefined, now: Reading, keeper: ClockKeeper): StampText =>
  moment === undefined ? noStamp : stampText(correctedStamp(now, moment - now.monotonic + keeper.correction(moment)))

/** Filter and estimate, which servers and reference clocks have alike. */
const measured = (tracked: TrackedSource, keeper: ClockKeeper, { monotonic }: Reading) => {
  const { stages } = tracked.filter
  const line = keeper.lineUntil(monotonic)
  const estimate = tracked.estimate(monotonic)
  const [newest, oldest] = [stages[0], stages.at(-1)]
  const steered = keeper.added(monotonic + 1) - keeper.added(monotonic)
  return {
    filter: stages.map(({ time, offset, delay, dispersion }) => ({
      offset: offset - line(time),
      delay,
      dispersion: Math.min(MAXDISP, dispersion + PHI * Math.max(0, monotonic - time))
    })),
    samples: tracked.estimator.samples,
    span: newest === undefined || oldest === undefined ? 0 : newest.time - oldest.time,
    frequency: estimate === undefined ? null : (estimate.frequency - steered - keeper.curve.frequency) * 1e6,
    frequencyDeviation: estimate === undefined ? null : Math.sqrt(Math.max(0, estimate.frequencyVariance)) * 1e6,
    offsetDeviation: estimate === undefined ? null : Math.sqrt(Math.max(0, estimate.offsetVariance)),
    prefer: tracked.configuration.prefer,
    noselect: tracked.configuration.noselect,
    true: tracked.configuration.alwaysTrue
  }
}

const theirModes = {
  client: Mode.server,
  active: Mode.symmetricPassive,
  passive: Mode.symmetricActive,
  broadcast: Mode.broadcast
} as const

/** @param now of this moment */
export const upstreamDetail = (
  upstream: Upstream,
  verdict: Verdict | undefined,
  upstreams: Upstreams,
  keeper: ClockKeeper,
  now: Reading
): SourceDetail => {
  const { id, sample, options, tracked, configuration, sentAt, lastDrop } = upstream
  const isNts = configuration !== undefined && configuration.nts !== null
  const interval = 2 ** upstreams.poll(id)
  return {
    association: 1 + (id % SERVERS),
    localAddress: upstream.localAddress ?? null,
    localPort: upstreams.localPort(id),
    version: options.version,
    theirMode: sample === undefined ? 0 : theirModes[options.mode],
    theirPoll: sample?.poll ?? 0,
    minpoll: options.minpoll,
    maxpoll: options.maxpoll,
    precision: sample?.precision ?? 0,
    referenceIdBits: sample?.referenceId ?? 0,
    referenceTime: sample === undefined ? noStamp : stampText(sample.referenceTime),
    origin: sample === undefined ? noStamp : stampText(sample.t1),
    receive: sample === undefined ? noStamp : stampText(sample.t2),
    transmit: sample === undefined ? noStamp : stampText(sample.t3),
    destination: sample === undefined ? noStamp : stampText(sample.t4),
    sent: stampAt(sentAt, now, keeper),
    unanswered: upstreams.unanswered(id),
    nextPoll: sentAt === undefined ? null : Math.max(0, sentAt + interval - now.monotonic),
    reachabilitySince: upstream.reachabilityAt === undefined ? 0 : now.monotonic - upstream.reachabilityAt,
    packetsSent: upstream.sent,
    packetsReceived: upstream.received,
    samplesTaken: upstream.taken,
    flash: (packetFlash[lastDrop ?? ""] ?? 0) | (verdictFlash[verdict ?? "unreachable"] ?? 0),
    ...measured(tracked, keeper, now),
    bias: configuration?.bias ?? 0,
    nts: isNts
      ? {
          ...(upstreams.keyExchanges?.detail(id, now.monotonic) ?? {
            aead: 0,
            keyLength: 0,
            cookieLength: 0,
            exchangedAgo: null,
            failures: 0
          }),
          naks: upstream.dropped["nts-nak"] ?? 0
        }
      : null
  }
}

/** @param index the clock's place among the reference clocks */
export const clockDetail = (
  clock: ReferenceClock,
  index: number,
  verdict: Verdict | undefined,
  keeper: ClockKeeper,
  now: Reading
): SourceDetail => {
  const { sample, configuration, tracked, readings, poll, pollAt, reachabilityAt } = clock
  const stamps = sample === undefined ? undefined : statisticsSample(clock, sample, now)
  return {
    association: FIRST_CLOCK + index,
    localAddress: null,
    localPort: 0,
    version: 4,
    theirMode: sample === undefined ? 0 : Mode.server,
    theirPoll: poll,
    minpoll: configuration.minpoll,
    maxpoll: configuration.maxpoll,
    precision: sample?.precision ?? 0,
    referenceIdBits: clock.referenceId,
    referenceTime: stamps === undefined ? noStamp : stampText(stamps.referenceTime),
    origin: stamps === undefined ? noStamp : stampText(stamps.t1),
    receive: stamps === undefined ? noStamp : stampText(stamps.t2),
    transmit: stamps === undefined ? noStamp : stampText(stamps.t3),
    destination: stamps === undefined ? noStamp : stampText(stamps.t4),
    sent: stampAt(pollAt - 2 ** poll, now, keeper),
    unanswered: tracked.reach === 0 ? clock.polls : Math.clz32(tracked.reach & -tracked.reach) ^ 31,
    nextPoll: Math.max(0, pollAt - now.monotonic),
    reachabilitySince: reachabilityAt === undefined ? 0 : now.monotonic - reachabilityAt,
    packetsSent: clock.polls,
    packetsReceived: readings,
    samplesTaken: tracked.estimator.samples,
    flash: verdictFlash[verdict ?? "unreachable"] ?? 0,
    ...measured(tracked, keeper, now),
    bias: configuration.time1,
    nts: null
  }
}
