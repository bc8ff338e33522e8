/**
 * Drives the associations: does what their actions say, and turns samples into what the discipline tracks. What is decided
 * from it is the listener's business.
 */
import { isScreenedLate } from "@meridian/algorithms/sample-screen"
import { randomFillSync } from "node:crypto"
import { isIPv6 } from "node:net"
import { MAXSTRAT } from "@meridian/algorithms/parameters"
import type { SymmetricMacs } from "@meridian/auth/mac"
import type {
  DisciplineConfiguration,
  ServingEndpoint,
  UpstreamConfiguration,
  AutokeySourceReport
} from "@meridian/ipc/discipline-report"
import type { SourceCommand } from "@meridian/ipc/source-command"
import type { NtsClientCounters } from "@meridian/ipc/source-detail"
import type { Sample } from "@meridian/protocol/association-action"
import { networkTimeSecurity, symmetricKey, unauthenticated } from "@meridian/protocol/association-authentication"
import { type Endpoint, isSymmetric, type Moment, type SystemVariables } from "@meridian/protocol/association-options"
import {
  type Associated,
  AssociationSet,
  defaultSetOptions,
  type Demobilised,
  type Mobilised,
  type SetAction
} from "@meridian/protocol/association-set"
import { fromUnix, type UnixTime } from "@meridian/time/timestamp"
import type { AutokeySources } from "./autokey-sources.ts"
import { correctedStamp, type ReadClocks } from "./clocks.ts"
import type { KeyExchangeListener, KeyExchanges } from "./key-exchanges.ts"
import { ManycastSearch } from "./manycast-search.ts"
import { ofFamily, resolutionProblem, resolveHost, numericAddress } from "./name-resolver.ts"
import { OneToMany } from "./one-to-many.ts"
import { NtsCounts } from "./nts-counts.ts"
import { PassivePeers, type PassivePeersSurroundings } from "./passive-peers.ts"
import { addressTowards, servedFrom } from "./source-identity.ts"
import { count, type KnownFrequency, newUpstream, noteAction, optionsOf, trackedAt, type Upstream } from "./upstream.ts"
import { UpstreamSockets } from "./upstream-sockets.ts"

export interface UpstreamListener {
  /** A datagram is here and not yet looked at. */
  readonly arriving: () => void
  /** A sample was taken in. */
  readonly measured: (upstream: Upstream, sample: Sample) => void
  /** A source fell silent, or went: the choice may have to change. */
  readonly lost: () => void
  readonly reachabilityChanged: (upstream: Upstream, reachable: boolean, reach: number) => void
  /** A peer that no line names was taken or let go. */
  readonly passiveChanged: PassivePeersSurroundings["changed"]
  readonly warn: (message: string) => void
}

/** See autokey-sources.ts, whose code is loaded where it is needed. */
export type AutokeyKeeper = Pick<
  AutokeySources,
  "source" | "broadcastServer" | "broadcasts" | "search" | "answerSearch" | "forget" | "report"
>

export interface UpstreamSurroundings {
  readonly read: ReadClocks
  /** log2 seconds */
  readonly precision: number
  readonly frequency: KnownFrequency | undefined
  /** Replaced as a whole when keys come. */
  readonly macs: SymmetricMacs
  /** Our own state, for symmetric peers. */
  readonly system: () => SystemVariables
  /** Undefined where no source has NTS: its code is not loaded then. */
  readonly keyExchanges: ((listener: KeyExchangeListener) => KeyExchanges) | undefined
  /** Undefined where no source is asked by Autokey. */
  readonly autokey?: AutokeyKeeper | undefined
  /** Numeric addresses of a name, best first; rejects as the system's resolver does, which it is where none is given. */
  readonly resolve?: typeof resolveHost | undefined
  /** Served time at a moment of CLOCK_MONOTONIC. */
  readonly served: (monotonic: number) => UnixTime
  /** Served time minus CLOCK_REALTIME at a moment of CLOCK_MONOTONIC, seconds: symmetric peers are told served time. */
  readonly correction: (monotonic: number) => number
  /** What CLOCK_REALTIME was slewed and stepped by until then, seconds: what is tracked is the clock without it. */
  readonly added: (monotonic: number) => number
}

/** A pool's member that was of no use for so many requests in a row is replaced. */
const USELESS_AFTER = 8
/** Requests in a row that went unanswered, the one under way included, after which the next address of a name is tried. */
const SILENT_BEFORE_NEXT_ADDRESS = 4
const LONGEST_SLEEP_SECONDS = 3_600

export class Upstreams {
  /** Peers that no line names. */
  readonly passive: PassivePeers
  /** Broadcast, multicast and manycast, but for looking for servers. */
  readonly many: OneToMany
  private readonly manycast: ManycastSearch
  private readonly surroundings: UpstreamSurroundings
  private readonly listener: UpstreamListener
  private lines: readonly UpstreamConfiguration[]
  private configured: ReadonlyMap<string, UpstreamConfiguration>
  private readonly set: AssociationSet
  private readonly sockets: UpstreamSockets
  private readonly serving: readonly ServingEndpoint[]
  /** Whether orphan mode is on. */
  private readonly ranksOrphans: boolean
  private readonly keys: KeyExchanges | undefined
  private readonly byId = new Map<number, Upstream>()
  /** Lines whose hosts are being looked up, with what went wrong the last time. */
  private readonly unresolved = new Map<string, string>()
  private timer: NodeJS.Timeout | undefined
  private readonly nts = new NtsCounts()

  constructor(configuration: DisciplineConfiguration, surroundings: UpstreamSurroundings, listener: UpstreamListener) {
    this.surroundings = surroundings
    this.listener = listener
    this.configured = byLine(configuration.sources)
    this.lines = configuration.sources
    const maxclock = configuration.tos.maxclock ?? defaultSetOptions.maxclock
    this.set = new AssociationSet(
      {
        maxclock,
        passivePeers: configuration.passivePeers ?? 0,
        broadcastServers: configuration.hearing?.most ?? 0
      },
      {
        fillRandom: (bytes) => void randomFillSync(bytes),
        random: Math.random,
        precision: surroundings.precision,
        system: surroundings.system
      }
    )
    this.serving = configuration.serving ?? []
    this.ranksOrphans = (configuration.tos.orphan ?? MAXSTRAT) < MAXSTRAT
    this.sockets = new UpstreamSockets(
      {
        transmitted: (id, exchange, stamp) => this.transmitted(id, exchange, stamp),
        datagram: (id, bytes, from, arrival) => {
          listener.arriving()
          const upstream = this.byId.get(id)
          if (upstream !== undefined) upstream.received += 1
          this.act(this.set.receive(this.moment(), id, bytes, this.stamp(id, arrival), from))
        },
        failed: (id, code) => this.failed(id, code),
        elsewhere: ({ address }) =>
          listener.warn(
            `the peer ${address} is spoken to from another port than ours, so it may not know us: run the whole node as one user that may bind the port, not with --user`
          )
      },
      () => ({ ...surroundings.read() }),
      this.serving
    )
    this.passive = new PassivePeers(configuration.passivePeers ?? 0, configuration.passiveKeys ?? [], {
      set: this.set,
      macs: surroundings.macs,
      moment: () => this.moment(),
      serving: this.serving,
      act: (actions) => this.act(actions),
      listen: (id, remote, local) => this.sockets.listen(id, remote, local),
      changed: listener.passiveChanged,
      warn: listener.warn
    })
    this.many = new OneToMany(configuration, {
      set: this.set,
      macs: surroundings.macs,
      moment: () => this.moment(),
      system: surroundings.system,
      precision: surroundings.precision,
      serving: this.serving,
      served: (arrival) => correctedStamp(arrival, surroundings.correction(surroundings.read().monotonic)),
      autokey: surroundings.autokey,
      act: (actions) => this.act(actions),
      arriving: listener.arriving,
      warn: listener.warn
    })
    const { macs, autokey } = surroundings
    this.manycast = new ManycastSearch({ macs, serving: this.serving, autokey })
    this.keys = surroundings.keyExchanges?.({
      exchanged: (id, association, endpoint) =>
        this.act(this.set.keysExchanged(this.moment(), id, association, endpoint)),
      dropped: (id) => this.dropped(id),
      warn: listener.warn
    })
  }

  /** Begins to ask. */
  start(): void {
    for (const source of this.lines) this.begin(source)
    this.many.start()
  }

  /** Other lines: what is in both goes on as it is, what is not any more ends, what is new or said otherwise begins. */
  useLines(lines: readonly UpstreamConfiguration[]): void {
    const before = this.configured
    const after = byLine(lines)
    const isSame = (line: string): boolean => JSON.stringify(before.get(line)) === JSON.stringify(after.get(line))
    this.lines = lines
    this.configured = after
    for (const line of before.keys()) {
      if (isSame(line)) continue
      this.unresolved.delete(line)
      this.act(this.set.unpeer(line))
    }
    for (const [line, source] of after) if (!isSame(line)) this.begin(source)
  }

  private begin(source: UpstreamConfiguration): void {
    const { host, port, keyId, nts, autokey } = source
    const { macs, autokey: keeper } = this.surroundings
    const authentication = (endpoint: Endpoint) => {
      if (nts !== null) return networkTimeSecurity(undefined)
      if (autokey && keeper !== undefined) {
        const mode = source.kind === "peer" ? "symmetric" : "client"
        return keeper.source(endpoint, mode, autokey.ident ?? undefined)
      }
      return keyId !== null ? symmetricKey(macs, keyId) : unauthenticated
    }
    const address = source.hops === undefined ? numericAddress(host) : undefined
    const options = optionsOf(source)
    this.act(
      this.set.configure(this.moment(), {
        kind: source.kind,
        host: lineName(source),
        address,
        port,
        askedPort: askedPortOf(source),
        options,
        authentication
      })
    )
  }

  get all(): readonly Upstream[] {
    return [...this.byId.values()]
  }

  reach(id: number): number {
    return this.set.get(id)?.reach ?? 0
  }

  poll(id: number): number {
    return this.set.get(id)?.pollExponent ?? 0
  }

  cookies(id: number): number {
    return this.keys?.cookies(id) ?? 0
  }

  /** Requests in a row without an answer. */
  unanswered(id: number): number {
    return this.set.get(id)?.unanswered ?? 0
  }

  /** Our port towards a source, the last one. */
  localPort(id: number): number {
    return this.sockets.localPort(id)
  }

  /** What went to and came from sources with NTS. */
  get ntsCounters(): NtsClientCounters {
    const { good, bad } = this.keys?.exchanges ?? { good: 0, bad: 0 }
    const { sent, good: opened, bad: refused } = this.nts
    return { sent, good: opened, bad: refused, exchangesGood: good, exchangesBad: bad }
  }

  /** Keys and cookies of a source, and the counts of all exchanges; undefined where no source has NTS. */
  get keyExchanges(): KeyExchanges | undefined {
    return this.keys
  }

  /** What an operator has done with sources: asked, not asked, asked quickly, looked up again. */
  command({ act, addresses, good, total }: SourceCommand): void {
    const now = this.moment()
    if (act === "refresh") this.set.refresh(now)
    for (const upstream of this.all) {
      const { id, endpoint } = upstream
      if (!addresses.includes(endpoint.address)) continue
      if (act === "burst") this.set.startBurst(now, id, good, total)
      if (act === "online") this.set.setOnline(now, id, true)
      if (act !== "offline" || this.set.isOffline(id)) continue
      const { reach } = upstream.tracked
      this.set.setOnline(now, id, false)
      // What it said lately counts no more.
      this.forgotten(upstream)
      if (reach !== 0) this.listener.reachabilityChanged(upstream, false, 0)
    }
    this.schedule()
  }

  /** Whether an operator took it offline. */
  isOffline(id: number): boolean {
    return this.set.isOffline(id)
  }

  /** Asks a source at once: what kept it from being asked is there. */
  askNow({ address, port }: Endpoint): void {
    const id = this.set.find(address, port)
    if (id !== undefined) this.act(this.set.askNow(this.moment(), id))
  }

  /** The address of a source by its name in the selection. */
  addressOf(name: string): string | undefined {
    return this.all.find(({ tracked }) => tracked.configuration.id === name)?.endpoint.address
  }

  /** What Autokey says of a source; undefined where it is not asked so. */
  autokeyReport({ endpoint }: Upstream): AutokeySourceReport | undefined {
    return this.surroundings.autokey?.report(endpoint)
  }

  /** Names whose addresses are not known yet, each with why, as far as that is known. */
  get unresolvedNames(): readonly string[] {
    return [...this.unresolved].map(
      ([line, why]) => `${this.configured.get(line)?.host ?? line}${why === "" ? "" : `: ${why}`}`
    )
  }

  /** What keeps names and keys away, one sentence each. */
  problems(): readonly string[] {
    const names = this.unresolvedNames.map((name) => `the address of ${name}`)
    const keys = this.all.flatMap(({ id }) => this.keys?.problem(id) ?? [])
    return [...names, ...keys]
  }

  /** The discipline's wish for the poll interval, log2 seconds. */
  wantPoll(exponent: number): void {
    for (const id of this.byId.keys()) this.set.get(id)?.wantPoll(exponent)
  }

  /** The selection's word on a source: a pool's member that is useless for long is replaced. */
  judged(upstream: Upstream, useful: boolean): void {
    if (useful) upstream.useless = 0
    else if (upstream.useless >= USELESS_AFTER) this.set.replace(this.moment(), upstream.id)
  }

  /** CLOCK_REALTIME was stepped by `seconds`: what is under way cannot be measured, and what was must be moved. */
  clockStepped(seconds: number): void {
    this.set.clockStepped()
    for (const { tracked } of this.all) tracked.clockStepped(seconds)
  }

  /** CLOCK_REALTIME was stepped, and what is tracked knows: only what is under way cannot be measured. */
  exchangesVoid(): void {
    this.set.clockStepped()
  }

  /** Served time was stepped: exchanges with symmetric peers, who see it, start over. */
  servedTimeStepped(): void {
    for (const { id, options } of this.all) if (isSymmetric(options.mode)) this.set.get(id)?.clockStepped()
  }

  /** Ends all traffic and keeps the cookies. */
  stop(): void {
    clearTimeout(this.timer)
    this.many.stop()
    this.sockets.closeAll()
    this.keys?.save()
  }

  private moment(): Moment {
    const { read, served } = this.surroundings
    const { monotonic } = read()
    return { wall: fromUnix(served(monotonic)), monotonic }
  }

  /** Clients measure against CLOCK_REALTIME as it is; symmetric peers against the served time that they are told. */
  private stamp(id: number, time: UnixTime) {
    const upstream = this.byId.get(id)
    const isPeer = upstream !== undefined && isSymmetric(upstream.options.mode)
    const correction = isPeer ? this.surroundings.correction(this.surroundings.read().monotonic) : 0
    return correctedStamp(time, correction)
  }

  private transmitted(id: number, exchange: number, time: UnixTime): void {
    this.set.transmitted(id, exchange, this.stamp(id, time))
  }

  private failed(id: number, code: string): void {
    const upstream = this.byId.get(id)
    if (upstream !== undefined) count(upstream, code)
  }

  private act(actions: readonly SetAction[]): void {
    for (const action of actions) {
      switch (action._tag) {
        case "Mobilised":
          this.mobilised(action)
          break
        case "Demobilised":
          this.demobilised(action)
          break
        case "Resolve":
          void this.resolve(action.host)
          break
        case "Refused":
          this.listener.warn(`${action.host}: ${refusals[action.reason]}`)
          break
        case "CallerRefused":
          this.passive.count(action.reason)
          break
        case "Associated":
          this.associated(action)
      }
    }
    this.schedule()
  }

  private schedule(): void {
    clearTimeout(this.timer)
    const due = this.set.nextDue
    if (due === Infinity) return
    const seconds = Math.min(LONGEST_SLEEP_SECONDS, Math.max(0, due - this.surroundings.read().monotonic))
    this.timer = setTimeout(() => this.act(this.set.poll(this.moment())), Math.ceil(seconds * 1e3))
  }

  private mobilised(mobilised: Mobilised): void {
    const { id, host: line, endpoint, options } = mobilised
    if (options.mode === "passive") this.passive.mobilised(mobilised)
    const { precision, frequency } = this.surroundings
    const configuration = line === undefined ? undefined : this.configured.get(line)
    const host = configuration?.host ?? line
    const keyId = configuration?.keyId ?? this.passive.keyOf(id) ?? this.many.keyId
    const tracked = trackedAt(endpoint, options, 2 ** precision, frequency, configuration, this.nameFor(endpoint))
    const upstream = newUpstream({ id, host, configuration, keyId, options, endpoint, tracked })
    this.byId.set(id, upstream)
    void this.findLocalAddress(upstream)
    if (this.ranksOrphans) void this.findOwnAddress(upstream)
  }

  /** A source's address names it, with its port where another source has that address. */
  private nameFor({ address, port }: Endpoint): string {
    const isTaken = this.all.some(({ tracked }) => tracked.configuration.id === address)
    return isTaken ? `${bracketed(address)}:${port}` : address
  }

  private async findOwnAddress(upstream: Upstream): Promise<void> {
    const { address } = upstream.mobilisedAt
    upstream.ownAddress = servedFrom(this.serving, address) ?? (await addressTowards(upstream.mobilisedAt))
  }

  private async findLocalAddress(upstream: Upstream): Promise<void> {
    upstream.localAddress = await addressTowards(upstream.endpoint)
  }

  private demobilised(demobilised: Demobilised): void {
    const { id, endpoint, reason } = demobilised
    const upstream = this.byId.get(id)
    this.byId.delete(id)
    this.sockets.forget(id)
    this.keys?.forget(id)
    this.surroundings.autokey?.forget(endpoint)
    if (upstream !== undefined && upstream.host === undefined) {
      this.passive.demobilised(demobilised)
      if (upstream.tracked.reach !== 0) this.listener.reachabilityChanged(upstream, false, 0)
    } else if (reason === "denied" || reason === "restricted")
      this.listener.warn(`${endpoint.address} refuses to serve us (kiss-o'-death): nothing more is sent to it`)
    this.listener.lost()
  }

  private associated({ id, action }: Associated): void {
    const upstream = this.byId.get(id)
    if (upstream === undefined) return
    noteAction(upstream, action, this.surroundings.read().monotonic)
    if (upstream.configuration !== undefined && upstream.configuration.nts !== null) this.nts.note(action)
    switch (action._tag) {
      case "Send":
        this.moved(upstream)
        void this.sockets.send(id, action)
        this.keys?.changed(id)
        this.polled(upstream)
        if (this.unanswered(id) % SILENT_BEFORE_NEXT_ADDRESS === 0) this.keys?.turnToOtherAddress(id)
        break
      case "Sample":
        this.keys?.used(id)
        this.sockets.answered(id)
        this.measured(upstream, action)
        break
      case "Unusable": {
        this.keys?.used(id)
        const { leap, stratum, rootDelay, rootDispersion } = action
        upstream.tracked.unusable({ leap, stratum, rootDelay, rootDispersion })
        this.listener.lost()
        break
      }
      case "ReachabilityChanged":
        this.listener.reachabilityChanged(upstream, action.reachable, action.reach)
        break
      case "Kiss":
        count(upstream, `kiss ${action.code}`)
        break
      case "Missed":
        this.polled(upstream)
        break
      case "NeedKeyExchange":
        // Beside a request, or in place of one.
        if (action.reason !== "unreachable") this.polled(upstream)
        this.needKeys(upstream)
        break
      case "Drop":
        count(upstream, action.reason)
        if (action.reason === "no-key") this.polled(upstream)
    }
  }

  private polled(upstream: Upstream): void {
    upstream.polls += 1
    upstream.useless += 1
    upstream.tracked.polled()
    if (upstream.tracked.reach === 0 && upstream.polls > 1) this.listener.lost()
  }

  private measured(upstream: Upstream, sample: Sample): void {
    const { time, delay, dispersion, stratum, leap, rootDelay, rootDispersion } = sample
    const isPeer = isSymmetric(upstream.options.mode)
    const { correction, added } = this.surroundings
    const middle = time - delay / 2
    const bias = upstream.configuration?.bias ?? 0
    const offset = sample.offset + bias + (isPeer ? correction(middle) : 0) + added(middle)
    upstream.sample = sample
    upstream.lastReply = time
    const outcome = upstream.tracked.answered(
      { time, offset, delay, dispersion },
      { stratum, leap, rootDelay, rootDispersion, loop: false }
    )
    if (isScreenedLate(outcome)) count(upstream, outcome)
    this.listener.measured(upstream, sample)
  }

  /** What a source said under keys that were dropped counts no more. */
  private dropped(id: number): void {
    this.set.get(id)?.keysDropped()
    const upstream = this.byId.get(id)
    if (upstream !== undefined) this.forgotten(upstream)
  }

  private forgotten(upstream: Upstream): void {
    const { precision, frequency } = this.surroundings
    upstream.sample = undefined
    upstream.tracked = trackedAt(upstream.endpoint, upstream.options, 2 ** precision, frequency, upstream.configuration)
    this.listener.lost()
  }

  /** A key exchange may have sent us elsewhere: that is another source. */
  private moved(upstream: Upstream): void {
    const endpoint = this.set.get(upstream.id)?.endpoint
    if (endpoint === undefined || endpoint === upstream.endpoint) return
    const { precision, frequency } = this.surroundings
    if (endpoint.address !== upstream.endpoint.address)
      upstream.tracked = trackedAt(
        endpoint,
        upstream.options,
        2 ** precision,
        frequency,
        upstream.configuration,
        this.nameFor(endpoint)
      )
    upstream.endpoint = endpoint
  }

  private needKeys({ id, host, mobilisedAt, configuration }: Upstream): void {
    if (host === undefined || configuration === undefined || configuration.nts === null) return
    const { nts, family } = configuration
    this.keys?.need({ id, host, family, endpoint: mobilisedAt, nts })
  }

  /** Asks the system's resolver for a name, and a multicast group for its servers. */
  private lookUp(host: string): Promise<readonly string[]> {
    const { hops, port, keyId = null, autokey, version = 4 } = this.configured.get(host) ?? {}
    if (hops === undefined || port === undefined) return (this.surroundings.resolve ?? resolveHost)(host)
    const isAutokey = (autokey ?? null) !== null
    return this.manycast.search({ group: host, port, keyId, autokey: isAutokey, hops, version })
  }

  private async resolve(line: string): Promise<void> {
    const { host = line, family = null } = this.configured.get(line) ?? {}
    if (!this.unresolved.has(line)) this.unresolved.set(line, "")
    try {
      const found = await this.lookUp(host)
      this.unresolved.delete(line)
      this.act(this.set.resolved(this.moment(), line, ofFamily(found, family)))
    } catch (error) {
      const why = resolutionProblem(error)
      if (this.unresolved.get(line) !== why)
        this.listener.warn(`${host} cannot be looked up: ${why}; it is tried again`)
      this.unresolved.set(line, why)
      this.act(this.set.resolutionFailed(this.moment(), line))
    }
  }
}

/** NTP's own port, and that of NTS key exchange: whoever names neither means the one server of a host. */
const [NTP_PORT, NTS_KE_PORT] = [123, 4460]

/** The port that tells a line's server from others of its host; the key exchange's where there is one, for who gives keys says where time is. */
const askedPortOf = ({ port, nts }: UpstreamConfiguration): number =>
  nts === null || nts.port === NTS_KE_PORT ? port : nts.port

/** The host, with its port where that is not NTP's own. */
const lineName = (source: UpstreamConfiguration): string => {
  const asked = askedPortOf(source)
  return asked === NTP_PORT ? source.host : `${bracketed(source.host)}:${asked}`
}

const bracketed = (host: string): string => (isIPv6(host) ? `[${host}]` : host)

/** Of two lines about one server the first counts; the second is refused, and said to be, when it begins. */
const byLine = (lines: readonly UpstreamConfiguration[]): ReadonlyMap<string, UpstreamConfiguration> =>
  new Map(lines.toReversed().map((source) => [lineName(source), source]))

const refusals = {
  "duplicate-host": "is configured twice; the first line counts",
  "duplicate-address": "its address is that of another source, which is asked already",
  "unknown-host": "no such source"
} as const
