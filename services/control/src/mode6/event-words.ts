/**
 * The status words of RFC 9327 §3: what happened last to the system and to each source, and how often in a row. Pictures
 * carry no events, so they are told from what changed between one picture and the next.
 */
import type { SourceReport } from "@meridian/ipc/discipline-report"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { peerSelection } from "@meridian/wire/peer-status"

/** RFC 9327 §3.1 table 3. */
const SystemEvent = {
  unspecified: 0,
  frequencyNotSet: 1,
  frequencySet: 2,
  spike: 3,
  frequencyMode: 4,
  clockSync: 5,
  restart: 6,
  panic: 7,
  noSystemPeer: 8,
  leapArmed: 9,
  leapDisarmed: 10,
  leapEvent: 11,
  clockStep: 12
} as const

/** RFC 9327 §3.2 table 6. */
const PeerEvent = {
  unspecified: 0,
  mobilised: 1,
  demobilised: 2,
  unreachable: 3,
  reachable: 4,
  restart: 5,
  noReply: 6,
  rateExceeded: 7,
  accessDenied: 8,
  leapArmed: 9,
  systemPeer: 10,
  clockEvent: 11,
  badAuthentication: 12,
  popcorn: 13
} as const

/** RFC 9327 §3.1 table 2. */
const SyncSource = { unspecified: 0, pps: 1, uhf: 4, local: 5, ntp: 6 } as const

const MOST = 15

interface Happened {
  readonly event: number
  readonly count: number
}

const nothing: Happened = { event: 0, count: 0 }

/** One more event: the count starts anew with another one and stays at 15. */
const after = (before: Happened, event: number): Happened => ({
  event,
  count: before.event === event ? Math.min(MOST, before.count + 1) : 1
})

const all = (before: Happened, events: readonly number[]): Happened => events.reduce(after, before)

const isSynchronised = (snapshot: NodeSnapshot): boolean => snapshot.status.clock.synchronised

const systemEvents = (now: NodeSnapshot, before: NodeSnapshot | undefined): readonly number[] => {
  const events: number[] = []
  if (before === undefined) events.push(SystemEvent.restart)
  const [armed, wasArmed] = [now.tracking?.leapArmed ?? null, before?.tracking?.leapArmed ?? null]
  if (armed !== null && wasArmed === null) events.push(SystemEvent.leapArmed)
  if (armed === null && wasArmed !== null)
    events.push(now.at >= wasArmed.at - 1 ? SystemEvent.leapEvent : SystemEvent.leapDisarmed)
  if ((now.tracking?.steps ?? 0) > (before?.tracking?.steps ?? Infinity)) events.push(SystemEvent.clockStep)
  if (now.tracking?.state === "spike" && before?.tracking?.state !== "spike") events.push(SystemEvent.spike)
  const was = before !== undefined && isSynchronised(before)
  if (isSynchronised(now) && !was) events.push(SystemEvent.clockSync)
  if (!isSynchronised(now) && was) events.push(SystemEvent.noSystemPeer)
  return events
}

const authenticationDrops = ["not-authenticated", "forged", "wrong-identifier", "crypto-nak", "nts-nak"] as const

const dropsOf = (source: SourceReport | undefined, names: readonly string[]): number =>
  names.reduce((sum, name) => sum + (source?.dropped[name] ?? 0), 0)

const peerEvents = (now: SourceReport, before: SourceReport | undefined): readonly number[] => {
  const events: number[] = []
  const more = (names: readonly string[]): boolean =>
    before !== undefined && dropsOf(now, names) > dropsOf(before, names)
  if (before === undefined) events.push(PeerEvent.mobilised)
  const [reach, reached] = [isReachable(now), before !== undefined && isReachable(before)]
  if (reach && !reached) events.push(PeerEvent.reachable)
  if (!reach && reached) events.push(PeerEvent.unreachable)
  if (more(["kiss RATE"])) events.push(PeerEvent.rateExceeded)
  if (more(["kiss DENY", "kiss RSTR"])) events.push(PeerEvent.accessDenied)
  if (more(authenticationDrops)) events.push(PeerEvent.badAuthentication)
  if (now.verdict === "system-peer" && before?.verdict !== "system-peer") events.push(PeerEvent.systemPeer)
  return events
}

const isReachable = (source: SourceReport): boolean => Number.parseInt(source.reach, 8) !== 0

const isPulse = (source: SourceReport): boolean => source.mode === "clock" && source.address.startsWith("PPS(")

const syncSource = (snapshot: NodeSnapshot): number => {
  if (!isSynchronised(snapshot)) return SyncSource.unspecified
  if (snapshot.tracking?.state === "local") return SyncSource.local
  const peer = snapshot.sources.find(({ verdict }) => verdict === "system-peer")
  if (peer === undefined) return SyncSource.unspecified
  if (peer.mode !== "clock") return SyncSource.ntp
  return isPulse(peer) ? SyncSource.pps : SyncSource.uhf
}

/** Sources are known by their association; one that goes is forgotten. */
const keyOf = (source: SourceReport): number | string => source.detail?.association ?? source.address

export class EventWords {
  #before: NodeSnapshot | undefined
  #system = nothing
  #peers = new Map<number | string, Happened>()

  /** To be told of every picture. */
  take(snapshot: NodeSnapshot): void {
    this.#system = all(this.#system, systemEvents(snapshot, this.#before))
    const known = new Map(this.#before?.sources.map((source) => [keyOf(source), source]))
    this.#peers = new Map(
      snapshot.sources.map((source) => {
        const key = keyOf(source)
        const before = known.get(key)
        return [
          key,
          all(before === undefined ? nothing : (this.#peers.get(key) ?? nothing), peerEvents(source, before))
        ]
      })
    )
    this.#before = snapshot
  }

  /** The system status word. */
  system(snapshot: NodeSnapshot): number {
    const { event, count } = this.#system
    return (snapshot.status.clock.leap << 14) | (syncSource(snapshot) << 8) | (count << 4) | event
  }

  /** A source's status word. */
  peer(source: SourceReport): number {
    const { event, count } = this.#peers.get(keyOf(source)) ?? nothing
    const authenticates = source.authentication.kind !== "none"
    const status =
      (source.mode === "passive" || source.mode === "broadcast" ? 0 : 0x80) |
      (authenticates ? 0x40 : 0) |
      (authenticates && isReachable(source) ? 0x20 : 0) |
      (isReachable(source) ? 0x10 : 0) |
      peerSelection(source.verdict, isPulse(source))
    return (status << 8) | (count << 4) | event
  }

  /** An operator has read the source's events: their count starts anew (ntpd's num_events). */
  read(source: SourceReport): void {
    const happened = this.#peers.get(keyOf(source))
    if (happened !== undefined) this.#peers.set(keyOf(source), { ...happened, count: 0 })
  }
}
