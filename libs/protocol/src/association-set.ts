/**
 * All associations of a node: those of configured lines, of pools, and of peers that came by themselves. It keeps their
 * timers, takes in the answers of DNS as events, and never has two associations with one server.
 */
import type { NtsAssociation } from "@meridian/auth/nts-client"
import type { NtpTimestamp } from "@meridian/time/timestamp"
import { Association } from "./association.ts"
import type { AssociationAction } from "./association-action.ts"
import type { Demobilised, Mobilised, Refused, SetAction } from "./association-set-actions.ts"
import type { AssociationAuthentication } from "./association-authentication.ts"
import {
  type AssociationEnvironment,
  type AssociationOptions,
  checkAssociationOptions,
  type Endpoint,
  type Moment
} from "./association-options.ts"
import { type Caller, passiveOptions, PassiveRegister, type Teller, tellerOptions } from "./association-callers.ts"
import { askedPort, isSilent, type Member, Source, type SourceConfiguration } from "./association-source.ts"

interface AssociationSetOptions {
  /** Pools are filled up to so many associations in all (tos maxclock). */
  readonly maxclock: number
  /** So many peers that came by themselves are kept beside them; 0: none. */
  readonly passivePeers: number
  /** So many broadcast servers are heard beside them; 0, or absent: none. */
  readonly broadcastServers?: number
}

export const defaultSetOptions: AssociationSetOptions = { maxclock: 10, passivePeers: 0 }

/** New associations begin within so long for each that there is, so that a node with many does not send all at one instant. Seconds. */
const SPREAD_EACH = 0.02
const LONGEST_SPREAD = 0.5

export class AssociationSet {
  private readonly options: AssociationSetOptions
  private readonly environment: AssociationEnvironment
  private readonly sources = new Map<string, Source>()
  private readonly members = new Map<number, Member>()
  private readonly callers: PassiveRegister
  private readonly tellers: PassiveRegister
  private lastId = 0

  constructor(options: AssociationSetOptions, environment: AssociationEnvironment) {
    this.options = options
    this.callers = new PassiveRegister(options.passivePeers)
    this.tellers = new PassiveRegister(options.broadcastServers ?? 0)
    this.environment = environment
  }

  /** When to call {@link poll}, CLOCK_MONOTONIC seconds; Infinity when there is nothing to do. May lie in the past. */
  get nextDue(): number {
    let due = Infinity
    for (const member of this.members.values()) due = Math.min(due, member.due)
    for (const source of this.sources.values()) due = Math.min(due, source.resolveAt)
    return due
  }

  /** The association of this number. */
  get(id: number): Association | undefined {
    return this.members.get(id)?.association
  }

  /** Number of the association with this address, for packets that come to a shared port; of one with this port, where it is given. */
  find(address: string, port?: number): number | undefined {
    for (const { id, association } of this.members.values()) {
      const { endpoint } = association
      if (endpoint.address === address && (port === undefined || endpoint.port === port)) return id
    }
    return undefined
  }

  /** Whether the server of a line at this address is asked already. One that came from there by itself counts as any. */
  private isAsked(address: string, configuration: SourceConfiguration): boolean {
    return [...this.members.values()].some(
      (member) =>
        member.association.endpoint.address === address &&
        (isUnasked(member) || askedPort(member.source.configuration) === askedPort(configuration))
    )
  }

  /** A `server`, `pool` or `peer` line. Throws InvalidAssociationOption. */
  configure(now: Moment, configuration: SourceConfiguration): readonly SetAction[] {
    const { host, address } = configuration
    checkAssociationOptions(configuration.options)
    if (this.sources.has(host)) return [refused(host, "duplicate-host")]
    if (address !== undefined && this.isAsked(address, configuration)) return [refused(host, "duplicate-address")]
    const source = new Source(configuration, now.monotonic)
    const mobilised = address === undefined ? [] : [this.mobiliseMember(now, source, address)]
    this.sources.set(host, source)
    return mobilised
  }

  /** A packet in symmetric active mode from somebody whom no line names, authentic and fresh: RFC 5905 §9.2, NEWPS. */
  called(now: Moment, caller: Caller): readonly SetAction[] {
    const { endpoint, poll, authentication } = caller
    if (this.find(endpoint.address) !== undefined) return []
    const reason = this.callers.refusal(endpoint.address, now.monotonic)
    if (reason !== undefined) return [{ _tag: "CallerRefused", reason }]
    const { address, port } = endpoint
    const options = passiveOptions(caller)
    const source = new Source(
      { kind: "passive", host: address, address, port, options, authentication: () => authentication },
      now.monotonic
    )
    const mobilised = this.mobilise(now, source, endpoint, options, authentication)
    const member = this.members.get(mobilised.id) as Member
    return [mobilised, ...this.absorb(now, member, member.association.awaitPeer(now, poll))]
  }

  /** An authentic broadcast packet of a server that is none of ours yet: RFC 5905 §9.2, NEWBC. */
  heard(now: Moment, teller: Teller): readonly SetAction[] {
    const { endpoint, authentication } = teller
    const { address, port } = endpoint
    if (this.find(address) !== undefined) return []
    const reason = this.tellers.refusal(address, now.monotonic)
    if (reason !== undefined) return [{ _tag: "CallerRefused", reason }]
    const options = tellerOptions(teller)
    const source = new Source(
      { kind: "broadcast", host: address, address, port, options, authentication: () => authentication },
      now.monotonic
    )
    return [this.mobilise(now, source, endpoint, options, authentication)]
  }

  /** A packet of a broadcast server; nothing for an association that is not with one. */
  told(now: Moment, id: number, packet: Uint8Array, arrival: NtpTimestamp): readonly SetAction[] {
    const member = this.members.get(id)
    if (member === undefined || member.source.configuration.kind !== "broadcast") return []
    return this.absorb(now, member, member.association.told(now, packet, arrival))
  }

  /** Ends the association of a peer that came by itself, or of a broadcast server; of no other. */
  dismiss(now: Moment, id: number, reason: "key-withdrawn" | "no-socket"): readonly SetAction[] {
    const member = this.members.get(id)
    return member === undefined || !isUnasked(member) ? [] : [this.ended(now, member, reason)]
  }

  /** Ends a line by its host, or the association with an address. */
  unpeer(host: string): readonly SetAction[] {
    const source = this.sources.get(host)
    if (source === undefined) {
      const member = this.members.get(this.find(host) ?? -1)
      return member === undefined ? [refused(host, "unknown-host")] : [this.demobilise(member, "unpeered")]
    }
    this.sources.delete(host)
    return [...source.members].map((member) => this.demobilise(member, "unpeered"))
  }

  /** DNS answered. Addresses are numeric, best first; an empty list is a failure. */
  resolved(now: Moment, host: string, addresses: readonly string[]): readonly SetAction[] {
    const source = this.sources.get(host)
    if (source === undefined || source.hasEnded) return []
    if (source.isRefreshing && addresses.length > 0) {
      source.isRefreshing = false
      for (const member of source.members)
        if (!addresses.includes(member.association.endpoint.address)) source.doom(member, "useless", now.monotonic)
    }
    const given = source.lacksMembers(this.room) ? addresses.flatMap((address) => this.giveWay(address)) : []
    const unused = addresses.filter(
      (address, index) =>
        addresses.indexOf(address) === index &&
        !this.isAsked(address, source.configuration) &&
        !source.isAvoided(address, now.monotonic)
    )
    const actions: SetAction[] = [...this.replaceDoomed(now, source, unused), ...this.fill(now, source, unused)]
    const isDuplicate = addresses.length > 0 && source.members.size === 0 && unused.length === 0
    if (isDuplicate) actions.push(refused(host, "duplicate-address"))
    const lacksMembers = source.lacksMembers(this.room)
    source.resolutionEnded(now.monotonic, actions.length > 0, lacksMembers, this.environment.random())
    return [...given, ...actions]
  }

  resolutionFailed(now: Moment, host: string): readonly SetAction[] {
    return this.resolved(now, host, [])
  }

  /** The selection finds a member of a pool useless (a falseticker for long, say): replace it when another is found. */
  replace(now: Moment, id: number): void {
    const member = this.members.get(id)
    if (member?.source.configuration.kind === "pool") member.source.doom(member, "useless", now.monotonic)
  }

  /** To be called when {@link nextDue} has come; early or late does no harm. */
  poll(now: Moment): readonly SetAction[] {
    const actions: SetAction[] = []
    for (const member of this.members.values()) {
      if (member.due > now.monotonic) continue
      member.due = Infinity
      actions.push(...this.absorb(now, member, member.association.poll(now)))
      if (isSilent(member.association)) member.source.doom(member, "silent", now.monotonic)
    }
    for (const source of this.sources.values()) {
      if (source.resolveAt > now.monotonic) continue
      source.resolving(now.monotonic)
      actions.push({ _tag: "Resolve", host: source.configuration.host })
    }
    return actions
  }

  /** A datagram for an association; see Association.receive. Nothing for a number that is not in use any more. */
  receive(now: Moment, id: number, packet: Uint8Array, arrival: NtpTimestamp, from: Endpoint): readonly SetAction[] {
    const member = this.members.get(id)
    if (member === undefined || member.isOffline) return []
    const actions = this.absorb(now, member, member.association.receive(now, packet, arrival, from))
    if (isMeasured(actions)) member.source.spare(member, this.room)
    return actions
  }

  transmitted(id: number, exchange: number, stamp: NtpTimestamp): void {
    this.members.get(id)?.association.transmitted(exchange, stamp)
  }

  /** NTS keys for an association. An endpoint that another association has is refused, and it goes on without keys. */
  keysExchanged(now: Moment, id: number, nts: NtsAssociation, endpoint?: Endpoint): readonly SetAction[] {
    const member = this.members.get(id)
    if (member === undefined) return []
    const given = endpoint === undefined ? [] : this.giveWay(endpoint.address)
    const holder = endpoint === undefined ? id : (this.find(endpoint.address, endpoint.port) ?? id)
    if (holder !== id) return [refused(endpoint?.address ?? "", "duplicate-address")]
    return [...given, ...this.absorb(now, member, member.association.keysExchanged(now, nts, endpoint))]
  }

  /** Polls an association out of turn. */
  askNow(now: Moment, id: number): readonly SetAction[] {
    const member = this.members.get(id)
    return member === undefined || member.isOffline ? [] : this.absorb(now, member, member.association.poll(now))
  }

  /** Asks no more, until it is told to again: then at once. Nothing for a number that is not in use. */
  setOnline(now: Moment, id: number, online: boolean): void {
    const member = this.members.get(id)
    if (member === undefined || isUnasked(member) || member.isOffline !== online) return
    member.isOffline = !online
    member.due = online ? now.monotonic : Infinity
    if (!online) member.association.rest()
  }

  /** Whether it is not asked, because somebody said so. */
  isOffline(id: number): boolean {
    return this.members.get(id)?.isOffline === true
  }

  /** Requests two seconds apart from now on: `total` at most, until `good` were answered well. One that is offline is not asked. */
  startBurst(now: Moment, id: number, good: number, total: number): void {
    const member = this.members.get(id)
    if (member === undefined || member.isOffline || isUnasked(member)) return
    member.association.startBurst(good, total)
    member.due = now.monotonic
  }

  /** Looks every name up again; members at addresses that it has no more make way for those that it has. */
  refresh(now: Moment): void {
    for (const source of this.sources.values()) {
      if (source.configuration.address !== undefined || source.hasEnded) continue
      source.isRefreshing = true
      source.resolveAt = now.monotonic
    }
  }

  /** Our clock was stepped; see Association.clockStepped. */
  clockStepped(): void {
    for (const { association } of this.members.values()) association.clockStepped()
  }

  private get room(): number {
    return this.options.maxclock - this.members.size + this.callers.size + this.tellers.size
  }

  /** What a line leads to is the line's: a peer that came from there by itself makes room. */
  private giveWay(address: string): readonly Demobilised[] {
    const member = this.members.get(this.find(address) ?? -1)
    return member === undefined || !isUnasked(member) ? [] : [this.demobilise(member, "replaced")]
  }

  /** Each doomed member goes for an unused address, which it takes off the list. */
  private replaceDoomed(now: Moment, source: Source, unused: string[]): SetAction[] {
    const actions: SetAction[] = []
    for (const member of [...source.members].filter(({ doom }) => doom !== undefined)) {
      const next = unused.shift()
      if (next === undefined) break
      if (source.configuration.kind === "pool") source.avoid(member.association.endpoint.address, now.monotonic)
      actions.push(this.demobilise(member, "replaced"), this.mobiliseMember(now, source, next))
    }
    return actions
  }

  private fill(now: Moment, source: Source, unused: readonly string[]): SetAction[] {
    const wanted = source.configuration.kind === "pool" ? Math.max(0, this.room) : source.members.size === 0 ? 1 : 0
    return unused.slice(0, wanted).map((address) => this.mobiliseMember(now, source, address))
  }

  private mobiliseMember(now: Moment, source: Source, address: string): Mobilised {
    const { port, options, authentication, kind } = source.configuration
    const mode = kind === "peer" ? "active" : "client"
    const endpoint = { address, port }
    return this.mobilise(now, source, endpoint, { ...options, mode }, authentication(endpoint))
  }

  private mobilise(
    now: Moment,
    source: Source,
    endpoint: Endpoint,
    options: AssociationOptions,
    authentication: AssociationAuthentication
  ): Mobilised {
    const association = new Association({ endpoint, options, authentication }, this.environment)
    const id = (this.lastId += 1)
    const spread = Math.min(LONGEST_SPREAD, SPREAD_EACH * (this.members.size + 1))
    const due = now.monotonic + spread * this.environment.random()
    const member: Member = { id, source, association, due, isOffline: false, doom: undefined }
    this.members.set(id, member)
    source.members.add(member)
    const { kind, host } = source.configuration
    this.register(kind)?.taken()
    return { _tag: "Mobilised", id, host: isUnasked(member) ? undefined : host, endpoint, options }
  }

  private demobilise(member: Member, reason: Demobilised["reason"]): Demobilised {
    this.members.delete(member.id)
    member.source.members.delete(member)
    this.register(member.source.configuration.kind)?.left()
    return { _tag: "Demobilised", id: member.id, endpoint: member.association.endpoint, reason }
  }

  /** Who counts associations of a kind that no line asks for. */
  private register(kind: SourceConfiguration["kind"]): PassiveRegister | undefined {
    return kind === "passive" ? this.callers : kind === "broadcast" ? this.tellers : undefined
  }

  private absorb(now: Moment, member: Member, actions: readonly AssociationAction[]): SetAction[] {
    const out: SetAction[] = []
    for (const action of actions) {
      if (action._tag === "SetTimer") member.due = member.isOffline ? Infinity : action.at
      else if (action._tag === "Demobilise") out.push(this.ended(now, member, action.reason))
      else out.push({ _tag: "Associated", id: member.id, action })
    }
    return out
  }

  /** The association ended itself. A pool looks for another; a server that denied us is left alone for good. */
  private ended(now: Moment, member: Member, reason: Demobilised["reason"]): Demobilised {
    const { source, association } = member
    const demobilised = this.demobilise(member, reason)
    if (!association.isProven)
      this.register(source.configuration.kind)?.avoid(demobilised.endpoint.address, now.monotonic)
    if (source.configuration.kind === "pool") {
      source.avoid(demobilised.endpoint.address, now.monotonic)
      source.resolveAt = Math.min(source.resolveAt, now.monotonic)
    } else {
      source.hasEnded = true
      source.resolveAt = Infinity
    }
    return demobilised
  }
}

const isUnasked = ({ source }: Member): boolean =>
  source.configuration.kind === "passive" || source.configuration.kind === "broadcast"

const refused = (host: string, reason: Refused["reason"]): Refused => ({ _tag: "Refused", host, reason })

const isMeasured = (actions: readonly SetAction[]): boolean =>
  actions.some((each) => each._tag === "Associated" && each.action._tag === "Sample")
