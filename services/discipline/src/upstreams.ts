/**
 * Drives the associations: does what their actions say, and turns samples into what the discipline tracks. What is decided
 * from it is the listener's business.
 */
import * as onUse from "@meridian/system/on-use"
import { MAXSTRAT } from "@meridian/algorithms"
import type {
  DisciplineConfiguration,
  ServingEndpoint,
  UpstreamConfiguration,
  AutokeySourceReport
} from "@meridian/ipc/discipline-report"
import type { NtsClientCounters } from "@meridian/ipc/source-detail"
import { sourcePlace } from "@meridian/ipc/source-place"
import type { Endpoint, Moment, Demobilised, Mobilised, SetAction } from "@meridian/protocol/associations"
import { isSymmetric, AssociationSet, defaultSetOptions } from "@meridian/protocol/associations"
import { fromUnix, type UnixTime } from "@meridian/time/timestamp"
import { correctedStamp } from "./clocks.ts"
import type { KeyExchanges } from "./key-exchanges.ts"
import { ManycastSearch } from "./manycast-search.ts"
import { resolveHost, numericAddress } from "./name-resolver.ts"
import { OneToMany } from "./one-to-many.ts"
import { NtsCounts } from "./nts-counts.ts"
import { PassivePeers } from "./passive-peers.ts"
import { addressTowards, servedFrom } from "./source-identity.ts"
import { count, newUpstream, optionsOf, trackedAt, type Upstream } from "./upstream.ts"
import { UpstreamSockets } from "./upstream-sockets.ts"
import { AssociationEvents } from "./association-events.ts"
import { NameLookups } from "./name-lookups.ts"
import { askedPortOf, authenticationOf, byLine, lineName, refusals } from "./source-lines.ts"
import { SourceOrders } from "./source-orders.ts"
import type { UpstreamListener, UpstreamSurroundings } from "./upstream-surroundings.ts"

/** A pool's member that was of no use for so many requests in a row is replaced. */
const USELESS_AFTER = 8
const LONGEST_SLEEP_SECONDS = 3_600

export class Upstreams {
  /** Peers that no line names. */
  readonly passive: PassivePeers
  /** What an operator has done with those that are asked. */
  readonly orders: SourceOrders
  /** Broadcast, multicast and manycast, but for looking for servers. */
  readonly many: OneToMany
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
  private readonly names: NameLookups
  private timer: NodeJS.Timeout | undefined
  private readonly nts = new NtsCounts()
  private readonly events: AssociationEvents

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
        fillRandom: (bytes) => void onUse.crypto().randomFillSync(bytes),
        random: Math.random,
        precision: surroundings.precision,
        system: surroundings.system
      }
    )
    this.serving = configuration.serving ?? []
    this.ranksOrphans = (configuration.tos.orphan ?? MAXSTRAT) < MAXSTRAT
    this.sockets = new UpstreamSockets(
      {
        transmitted: (id, exchange, time) => this.set.transmitted(id, exchange, this.stamp(id, time)),
        datagram: (id, bytes, from, arrival) => {
          listener.arriving()
          const upstream = this.byId.get(id)
          if (upstream !== undefined) upstream.received += 1
          this.act(this.set.receive(this.moment(), id, bytes, this.stamp(id, arrival), from))
        },
        failed: (id, code) => {
          const upstream = this.byId.get(id)
          if (upstream !== undefined) count(upstream, code)
        },
        elsewhere: ({ address }) =>
          listener.warn(
            `the peer ${address} is spoken to from another port than ours, so it may not know us: run the whole node as one user that may bind the port, not with --user`
          )
      },
      () => ({ ...surroundings.read() }),
      this.serving
    )
    const { set, byId, sockets, nts } = this
    this.events = new AssociationEvents({ set, byId, sockets, nts, keys: () => this.keys }, surroundings, listener)
    this.orders = new SourceOrders(configuration.offline ?? [], {
      set,
      all: () => this.all,
      events: this.events,
      listener,
      moment: () => this.moment(),
      changed: () => this.schedule()
    })
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
    this.names = new NameLookups({
      resolve: surroundings.resolve ?? resolveHost,
      manycast: new ManycastSearch({ macs: surroundings.macs, serving: this.serving, autokey: surroundings.autokey }),
      configured: (line) => this.configured.get(line),
      ended: (line, addresses) => {
        const now = this.moment()
        this.act(
          addresses === undefined ? this.set.resolutionFailed(now, line) : this.set.resolved(now, line, addresses)
        )
      },
      warn: listener.warn
    })
    this.keys = surroundings.keyExchanges?.({
      exchanged: (id, association, endpoint) =>
        this.act(this.set.keysExchanged(this.moment(), id, association, endpoint)),
      dropped: (id) => this.events.dropped(id),
      failed: (id) => this.events.keysFailed(id),
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
      this.names.forget(line)
      this.act(this.set.unpeer(line))
    }
    for (const [line, source] of after) if (!isSame(line)) this.begin(source)
  }

  private begin(source: UpstreamConfiguration): void {
    const { host, port } = source
    const { macs, autokey } = this.surroundings
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
        authentication: authenticationOf(source, macs, autokey)
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
    return this.names.names
  }

  /** What keeps names and keys away, one sentence each. */
  problems(): readonly string[] {
    const addresses = this.unresolvedNames.map((name) => `the address of ${name}`)
    return [...addresses, ...this.all.flatMap(({ id }) => this.keys?.problem(id) ?? [])]
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
          void this.names.resolve(action.host)
          break
        case "Refused":
          this.listener.warn(`${action.host}: ${refusals[action.reason]}`)
          break
        case "CallerRefused":
          this.passive.count(action.reason)
          break
        case "Associated":
          this.events.take(action)
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
    const tracked = trackedAt(
      endpoint,
      options,
      2 ** precision,
      frequency,
      configuration,
      this.events.nameFor(endpoint)
    )
    const upstream = newUpstream({ id, host, configuration, keyId, options, endpoint, tracked })
    this.byId.set(id, upstream)
    this.orders.order(upstream)
    void this.findLocalAddress(upstream)
    if (this.ranksOrphans) void this.findOwnAddress(upstream)
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
      this.listener.warn(
        `${sourcePlace({ ...endpoint, mode: "client" })} refuses to serve us (kiss-o'-death): nothing more is sent to it`
      )
    this.listener.lost()
  }
}
