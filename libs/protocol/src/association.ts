/**
 * The client's and the peer's side of NTP as a state machine (RFC 5905 §9, §13): moments and packets in, actions out.
 * Nothing here reads a clock, draws a random number or sends: the shell does what the actions say.
 *
 * The shell calls {@link Association.poll} when the timer it was told of runs out, {@link Association.receive} for every
 * datagram that came to the association's socket, and {@link Association.transmitted} when it learns when a packet left.
 * Stamps that are at hand should be told before the reply that they belong to is handed in.
 */
import type { NtpTimestamp } from "@meridian/time/timestamp"
import { decodeHeader, encodeHeader, HIGHEST_VERSION, LOWEST_VERSION, Mode, type NtpHeader } from "@meridian/wire/ntp"
import { referenceIdText } from "@meridian/wire/reference-id"
import { type AssociationAction, type Demobilise, drop, type DropReason } from "./association-action.ts"
import { type AssociationAuthentication, type Authenticity, networkTimeSecurity } from "./association-authentication.ts"
import { BroadcastWatch } from "./association-broadcast.ts"
import { ClientExchanges, type Exchanges, isMatched, type Match } from "./association-exchange.ts"
import { headerFault, measureExchange, unusable, type ExchangeTimes } from "./association-measurement.ts"
import {
  type AssociationEnvironment,
  type AssociationOptions,
  checkAssociationOptions,
  type Endpoint,
  isSymmetric,
  type Moment
} from "./association-options.ts"
import { lateAfter, PassiveWatch } from "./association-passive.ts"
import { AHEAD_SECONDS, PollSchedule } from "./association-schedule.ts"
import { SymmetricExchanges } from "./association-symmetric.ts"
import type { NtsAssociation } from "@meridian/auth/nts-client"

/** Between two steps of an exchange of credentials with iburst, seconds; without, it is the shortest poll interval. */
const BURST_SECONDS = 2

/** Requests in a row without an answer after which cookies are taken to be the reason: some servers drop unknown ones. */
const CREDENTIALS_DOUBTED_AFTER = 8

interface AssociationConfiguration {
  readonly endpoint: Endpoint
  readonly options: AssociationOptions
  readonly authentication: AssociationAuthentication
}

export class Association {
  readonly options: AssociationOptions
  private readonly environment: AssociationEnvironment
  private readonly exchanges: Exchanges
  private readonly schedule: PollSchedule
  /** Of a passive association. */
  private readonly watch: PassiveWatch | undefined
  /** Of one with a broadcast server. */
  private readonly broadcast: BroadcastWatch | undefined
  private authentication: AssociationAuthentication
  private to: Endpoint
  private exchange = 0
  private requestedAt = -Infinity
  private hasEnded = false

  /** Throws InvalidAssociationOption. */
  constructor(configuration: AssociationConfiguration, environment: AssociationEnvironment) {
    const { endpoint, options, authentication } = configuration
    checkAssociationOptions(options)
    this.options = options
    this.environment = environment
    this.authentication = authentication
    this.to = endpoint
    this.schedule = new PollSchedule(options)
    const { mode, version, xleave: interleaves } = options
    this.watch = mode === "passive" ? new PassiveWatch() : undefined
    this.broadcast = mode === "broadcast" ? new BroadcastWatch(options.broadcastDelay) : undefined
    const symmetric = mode === "passive" ? Mode.symmetricPassive : Mode.symmetricActive
    this.exchanges = isSymmetric(mode)
      ? new SymmetricExchanges({ ...environment, mode: symmetric, version, interleaves })
      : new ClientExchanges(version, interleaves, () => this.nonce())
  }

  /** Where requests go and replies must come from. */
  get endpoint(): Endpoint {
    return this.to
  }

  /** The last eight requests, newest lowest: 1 where a usable reply came. */
  get reach(): number {
    return this.schedule.reach
  }

  /** Requests in a row without a usable reply. */
  get unanswered(): number {
    return this.schedule.unanswered
  }

  /** The polling interval in use, log2 seconds. */
  get pollExponent(): number {
    return this.schedule.exponent
  }

  /**
   * Of a passive association whether the peer ever answered a packet of ours, and of one with a broadcast server whether it
   * answered the volley; true of others, which asked first.
   */
  get isProven(): boolean {
    return this.watch?.isProven ?? this.broadcast?.isCalibrated ?? true
  }

  /** The discipline's wish for the interval from the next poll on, log2 seconds; kept between minpoll and maxpoll. */
  wantPoll(exponent: number): void {
    if (this.watch === undefined && this.broadcast === undefined) this.schedule.want(exponent)
  }

  /** A passive association begins: it waits for the peer's next packet. @param poll the peer's, log2 seconds */
  awaitPeer(now: Moment, poll: number): readonly AssociationAction[] {
    this.requestedAt = now.monotonic
    this.schedule.want(poll)
    return [this.timer(lateAfter(this.schedule, false))]
  }

  /** A burst of its own, see PollSchedule.startBurst; {@link poll} begins it. */
  startBurst(good: number, total: number): void {
    this.schedule.startBurst(good, total)
  }

  /** It is not polled for a while: nothing is under way, and it is out of reach. */
  rest(): void {
    this.exchanges.forget()
    this.schedule.rest()
  }

  /** Our clock was stepped: nothing that is under way can be measured. */
  clockStepped(): void {
    this.exchanges.forget()
  }

  /** A better idea of when a packet left, by our clock. May come after the reply; interleaved mode still uses it then. */
  transmitted(exchange: number, stamp: NtpTimestamp): void {
    this.exchanges.transmitted(exchange, stamp)
  }

  /** NTS: keys and cookies are here. Polls at once. @param endpoint where the key exchange says the time is served */
  keysExchanged(now: Moment, nts: NtsAssociation, endpoint: Endpoint = this.to): readonly AssociationAction[] {
    if (this.hasEnded) return []
    this.authentication = networkTimeSecurity(nts)
    // What another server said of its last reply means nothing to this one.
    if (endpoint.address !== this.to.address || endpoint.port !== this.to.port) this.exchanges.forget()
    this.to = endpoint
    return this.poll(now)
  }

  /** NTS: the keys are good no more; the next poll asks for others. */
  keysDropped(): void {
    this.authentication = networkTimeSecurity(undefined)
    this.exchanges.forget()
  }

  /** The timer ran out, or the association begins. */
  poll(now: Moment): readonly AssociationAction[] {
    if (this.hasEnded) return []
    const { schedule, broadcast } = this
    const isWaiting = this.watch !== undefined || broadcast?.isCalibrated === true
    if ((this.watch ?? (isWaiting ? broadcast : undefined))?.late() === true) return [this.end("silent")]
    if (!isWaiting && broadcast?.requested() === true) return [this.end("silent")]
    if (!isWaiting && schedule.sendsAhead()) {
      this.requestedAt = now.monotonic
      return [...this.request(now), this.timer(AHEAD_SECONDS)]
    }
    const lost = this.counted()
    this.requestedAt = now.monotonic
    if (isWaiting) return [...lost, { _tag: "Missed" }, this.timer(lateAfter(schedule, true))]
    return [...lost, ...this.request(now), this.timer(schedule.interval(this.environment.random()))]
  }

  /**
   * A datagram came in. Never throws, whatever its bytes.
   * @param now when it is handed in
   * @param arrival when it came, by our clock: the kernel's stamp
   */
  receive(now: Moment, packet: Uint8Array, arrival: NtpTimestamp, from: Endpoint): readonly AssociationAction[] {
    if (this.hasEnded) return [drop("demobilised")]
    if (from.address !== this.to.address || from.port !== this.to.port) return [drop("wrong-address")]
    const header = decodeHeader(packet)
    if ("_tag" in header) return [drop("short")]
    if (header.version < LOWEST_VERSION || header.version > HIGHEST_VERSION) return [drop("version")]
    if (!this.isAnsweringMode(header.mode))
      return header.mode === Mode.client && this.watch?.isDoubtful === true
        ? [drop("mode"), this.end("client")]
        : [drop("mode")]
    const match = this.exchanges.match(header)
    const isUnasked = match === "zero-origin" || match === "unasked" || match === "bogus-origin"
    if (!isMatched(match) && !(isUnasked && this.exchanges.learnsUnasked)) return [drop(match)]
    const authenticity = this.authentication.judge(packet)
    if (authenticity === "autokey-incomplete") {
      // The packets still answer one another: a peer would not look at one that does not echo its own.
      this.exchanges.take(header, match, arrival, now.monotonic)
      this.broadcast?.answered()
      return [drop(authenticity), this.timer(this.options.iburst ? BURST_SECONDS : 2 ** this.options.minpoll)]
    }
    if (authenticity !== "authentic") return this.notAuthentic(authenticity)
    const times = this.exchanges.take(header, match, arrival, now.monotonic)
    const isPast = match === "interleaved" && isSymmetric(this.options.mode)
    const taken = isMatched(match) ? this.answered(header, times, isPast) : [drop(match)]
    if (this.broadcast !== undefined && !this.hasEnded) return [...taken, ...this.volley(now, this.broadcast, taken)]
    return this.watch === undefined || this.hasEnded ? taken : [...taken, ...this.answerPeer(now, header, match)]
  }

  /**
   * A broadcast server told the time to all. Never throws, whatever the bytes.
   * @param arrival when it came, by our clock
   */
  told(now: Moment, packet: Uint8Array, arrival: NtpTimestamp): readonly AssociationAction[] {
    const { broadcast, schedule, environment } = this
    if (this.hasEnded || broadcast === undefined) return [drop("mode")]
    const header = decodeHeader(packet)
    if ("_tag" in header) return [drop("short")]
    if (header.version < LOWEST_VERSION || header.version > HIGHEST_VERSION) return [drop("version")]
    if (header.mode !== Mode.broadcast) return [drop("mode")]
    const { authentication } = this
    const authenticity = authentication.judgeTold?.(packet) ?? authentication.judge(packet)
    if (authenticity !== "authentic") return this.notAuthentic(authenticity)
    const heard = broadcast.heard(header, arrival, now.monotonic, environment.precision)
    if (heard._tag === "Drop") return heard.reason === "unsynchronised" ? [unusable(header), heard] : [heard]
    schedule.want(header.poll)
    const lost = this.counted()
    this.requestedAt = now.monotonic
    return [...lost, ...this.reached(), heard, this.timer(lateAfter(schedule, false))]
  }

  /** What an answer means for the volley: at its end only what is told is waited for. */
  private volley(
    now: Moment,
    broadcast: BroadcastWatch,
    taken: readonly AssociationAction[]
  ): readonly AssociationAction[] {
    for (const action of taken) if (action._tag === "Sample") broadcast.measured(action.delay)
    if (!broadcast.isCalibrated) return []
    this.requestedAt = now.monotonic
    return [this.timer(lateAfter(this.schedule, false))]
  }

  /** A passive association's packet for each authentic one of the peer. */
  private answerPeer(now: Moment, header: NtpHeader, match: Match): readonly AssociationAction[] {
    this.watch?.heard(isMatched(match))
    this.schedule.want(header.poll)
    const lost = this.counted()
    this.requestedAt = now.monotonic
    return [...lost, ...this.request(now), this.timer(lateAfter(this.schedule, false))]
  }

  /** One more poll in the reach register; says so when it was the last that kept the source in reach. */
  private counted(): readonly AssociationAction[] {
    const { schedule } = this
    return schedule.requested() ? [{ _tag: "ReachabilityChanged", reachable: false, reach: schedule.reach }] : []
  }

  private request(now: Moment): readonly AssociationAction[] {
    const { authentication, environment, options, schedule } = this
    this.exchange += 1
    const header = encodeHeader(this.exchanges.begin(this.exchange, now, schedule.exponent))
    const sealed = authentication.seal(header, environment.fillRandom)
    if (sealed._tag !== "Sealed") {
      this.exchanges.forget()
      return [sealed._tag === "NoKey" ? drop("no-key") : { _tag: "NeedKeyExchange", reason: sealed.reason }]
    }
    const isClient = !isSymmetric(options.mode)
    const actions: AssociationAction[] = [
      {
        _tag: "Send",
        exchange: this.exchange,
        bytes: sealed.bytes,
        to: this.to,
        expectTransmitStamp: true,
        newSourcePort: isClient,
        isAhead: schedule.isAhead
      }
    ]
    const isDoubtful = schedule.unanswered > 0 && schedule.unanswered % CREDENTIALS_DOUBTED_AFTER === 0
    if (authentication.kind === "nts" && isDoubtful) actions.push({ _tag: "NeedKeyExchange", reason: "unreachable" })
    return actions
  }

  /** An authentic packet that echoes what we sent last. */
  private answered(
    header: NtpHeader,
    times: ExchangeTimes | DropReason,
    isPast: boolean
  ): readonly AssociationAction[] {
    if (header.stratum === 0) {
      const code = referenceIdText(header.referenceId)
      if (code?.length === 4) return this.kissed(code, header)
    }
    const fault = headerFault(header, isPast)
    if (fault === "unsynchronised" || fault === "root-distance") return [unusable(header), drop(fault)]
    if (fault !== undefined) return [drop(fault)]
    if (this.schedule.isAhead) return [drop("sent-ahead")]
    if (typeof times === "string" && times !== "measured-already") return [drop(times)]
    const result = typeof times === "string" ? drop(times) : measureExchange(times, header, this.environment.precision)
    if (result._tag === "Drop" && result.reason !== "measured-already") return [result]
    if (result._tag === "Sample") this.schedule.measured(result.delay)
    return [...this.reached(), result]
  }

  private reached(): readonly AssociationAction[] {
    const { schedule } = this
    const wasOrdered = schedule.isOrdered
    const isNew = schedule.replied()
    const change: AssociationAction = { _tag: "ReachabilityChanged", reachable: true, reach: schedule.reach }
    const changes = isNew ? [change] : []
    // An ordered burst has what it wanted: the next request is not two seconds away any more.
    if (wasOrdered && !schedule.isOrdered) return [...changes, this.timer(schedule.interval(this.environment.random()))]
    return isNew && schedule.isBursting ? [change, this.timer(schedule.burstSeconds)] : changes
  }

  /** RFC 5905 §7.4. Codes that ask for nothing (INIT, STEP, …) only say that the source is not synchronised. */
  private kissed(code: string, header: NtpHeader): readonly AssociationAction[] {
    const kiss: AssociationAction = { _tag: "Kiss", code }
    switch (code) {
      case "DENY":
        return [kiss, drop("kiss"), this.end("denied")]
      case "RSTR":
        return [kiss, drop("kiss"), this.end("restricted")]
      case "RATE":
        this.exchanges.forget()
        this.schedule.slowDown(header.poll)
        return [kiss, drop("kiss"), this.timer(this.schedule.interval(this.environment.random()))]
      case "NTSN":
        this.exchanges.forget()
        return [kiss, drop("kiss")]
      default:
        return [kiss, unusable(header), drop("unsynchronised")]
    }
  }

  /** A NAK ends nothing, for anybody on the path can send one; the next poll asks for keys unless a true reply comes first. */
  private notAuthentic(reason: Exclude<Authenticity, "authentic">): readonly AssociationAction[] {
    return reason === "nts-nak" ? [{ _tag: "Kiss", code: "NTSN" }, drop(reason)] : [drop(reason)]
  }

  private isAnsweringMode(mode: number): boolean {
    switch (this.options.mode) {
      case "client":
      case "broadcast":
        return mode === Mode.server
      case "active":
        return mode === Mode.symmetricActive || mode === Mode.symmetricPassive
      case "passive":
        return mode === Mode.symmetricActive
    }
  }

  private timer(seconds: number): AssociationAction {
    return { _tag: "SetTimer", at: this.requestedAt + seconds }
  }

  private end(reason: Demobilise["reason"]): Demobilise {
    this.hasEnded = true
    return { _tag: "Demobilise", reason }
  }

  private nonce(): NtpTimestamp {
    const bytes = new Uint8Array(8)
    this.environment.fillRandom(bytes)
    const value = new DataView(bytes.buffer).getBigUint64(0)
    return (value === 0n ? 1n : value) as NtpTimestamp
  }
}
