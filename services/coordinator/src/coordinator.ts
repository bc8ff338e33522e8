/**
 * A coordinator at work: folds the log, keeps the keys that the node serves with opened and tells the supervisor, speaks
 * for the node in the cluster, and leads while it holds the lease.
 *
 * Each duty is a loop of its own, so that none waits for another: an append that NATS keeps waiting holds up neither the
 * folding nor the keys.
 */
import { memoryUse } from "@meridian/system/memory"
import * as Effect from "effect/Effect"
import * as Deferred from "effect/Deferred"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { Authenticity } from "@meridian/event-log/authenticity"
import { type LogBatch, LogUnavailable, type Snapshot } from "@meridian/event-log/event-log"
import type { KeyShelf } from "@meridian/event-log/key-shelf"
import { isRestoration } from "@meridian/events/catalogue"
import { memberSubject } from "@meridian/events/members"
import { NTS_KEYS_SUBJECT } from "@meridian/events/nts-keys-events"
import type { CoordinatorReport, HealthMessage } from "@meridian/ipc/coordinator-report"
import type { CoordinatorPlan } from "@meridian/ipc/coordinator-plan"
import { ClockRelay } from "./clock-relay.ts"
import { ClusterFold } from "./cluster-fold.ts"
import type { ClusterKeys } from "./cluster-keys.ts"
import type { LeaseClock } from "./cluster-lease.ts"
import type { Writer } from "./command.ts"
import type { CookieKeys } from "./cookie-key-file.ts"
import type { Backend, ForwardedAnswer, ForwardedCommand, Scrutiny } from "./embedded.ts"
import { type KeyCondemned, KeyCustody, type KeyUnopened, type LiveKey } from "./key-custody.ts"
import { layIn, LOOKS_FOR_LEADER } from "./laying-in.ts"
import { Leader } from "./leader.ts"
import { OWN_LOG, STREAM } from "./log-names.ts"
import { type LastEvent, LogReplaced, LogWatch } from "./log-watch.ts"
import { HISTORY_WAIT_MS, LostHistory, lostHistory } from "./lost-history.ts"
import { MemberVoice } from "./member-voice.ts"
import { maySeal, memberHealth, nameTaken, type NodeView, unreadyReason } from "./membership.ts"
import { Mint } from "./minting.ts"
import { type Notices, sentence } from "./notices.ts"
import { NodeClock } from "./node-clock.ts"
import { lacksKey, NodeKeys, WrongKey } from "./node-keys.ts"
import { Rounds } from "./rounds.ts"
import { foreignness, readSnapshot, writeSnapshot } from "./own-snapshot.ts"
import { isClusters, liveSlots } from "./serving.ts"
import { standsBack } from "./standing-back.ts"

export const SNAPSHOT_NAME = "coordinator"
const SECOND_MS = 1_000
const LOOK_AT_LOG_MS = 5_000
const SNAPSHOT_EVERY_MS = 60_000
const LAY_IN_MS = 10_000
const SNAPSHOT_EVERY_EVENTS = 10_000

/** What main.ts puts in. */
export interface Surroundings {
  readonly settings: CoordinatorPlan
  readonly keys: ClusterKeys
  readonly notices: Notices
  readonly sendKeys: (keys: ServingKeys) => void
  /** Called once, when the supervisor has what it needs or a warning why not. */
  readonly onReady: () => void
  /** Told at once what a node must not go on serving without: it is drained, lacks a key, its clock is off, or it is none of that any more. */
  readonly onNews: (report: CoordinatorReport) => void
  /** This system's clock, milliseconds since 1970. */
  readonly now: () => number
  /** This node's own shelf where the cluster's is elsewhere. */
  readonly mirror: KeyShelf["Service"] | undefined
}

/** Its name, whether it has anything to do (cheap: asked each second), and how it is done. */
type Duty = readonly [string, () => boolean, () => Effect.Effect<unknown, unknown>]
const always = (): boolean => true

export class Coordinator {
  readonly settings: CoordinatorPlan
  readonly keys: ClusterKeys
  readonly clock: NodeClock
  /** Milliseconds since 1970, as the node decides by it. */
  readonly now: () => number
  readonly relay = new ClockRelay()
  fold = new ClusterFold()
  foldedSeq = 0
  backend: Backend | undefined
  leader: Leader | undefined
  writer: Writer | undefined
  /** Answers commands that other nodes hand on to this one. */
  onForwarded: ((command: ForwardedCommand) => Promise<ForwardedAnswer>) | undefined
  /** Holds something when the supervisor has said how the node is, or a fold has changed something. */
  readonly #changed = Queue.sliding<void>(1).pipe(Effect.runSync)
  readonly #surroundings: Surroundings
  readonly #custody: KeyCustody
  readonly #authenticity: Authenticity
  readonly #mint: Mint
  readonly #nodeKeys: NodeKeys
  readonly #voice: MemberVoice
  readonly #rounds = new Rounds()
  readonly #looking = Semaphore.makeUnsafe(1)
  #health: HealthMessage | undefined
  #quarantined = 0
  #folded = false
  readonly #history = new LostHistory(() => performance.now())
  readonly #watch = new LogWatch()
  #snapshotAt = performance.now()
  #snapshotSeq = 0
  #snapshotEssentials = ""
  #last: LastEvent | undefined
  readonly #replaced = Deferred.makeUnsafe<never, LogReplaced | LogUnavailable>()

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings
    this.settings = surroundings.settings
    this.keys = surroundings.keys
    this.clock = new NodeClock({
      clock: surroundings.now,
      steady: () => performance.now(),
      node: surroundings.settings.node,
      compares: surroundings.settings.nats !== null
    })
    this.now = this.clock.now
    this.#custody = new KeyCustody(surroundings.keys, undefined, surroundings.mirror)
    this.#authenticity = new Authenticity(surroundings.settings.nats === null ? OWN_LOG : STREAM, this.keys, () => {
      const { current } = this.fold.clusterKey
      return current !== null && this.keys.has(current) ? current : this.keys.first
    })
    this.#mint = new Mint(this.#custody)
    this.#voice = new MemberVoice(surroundings.settings)
    const { keys, notices, settings, sendKeys, onReady } = surroundings
    this.#nodeKeys = new NodeKeys({
      node: settings.node,
      custody: this.#custody,
      mint: this.#mint,
      keys,
      notices,
      expects: settings.mint,
      send: (message) => {
        sendKeys(message)
        onReady()
      },
      condemned: () => void (this.#quarantined += 1)
    })
  }

  /** Keys to go on from where the log turns out to be empty. */
  inherit(keys: CookieKeys): void {
    this.#mint.inherit(keys)
  }

  useHealth(health: HealthMessage): void {
    this.#health = health
  }

  /** Clock events on their way to the log. */
  hearClock(events: Parameters<ClockRelay["add"]>[0]): void {
    this.relay.add(events, this.now())
    this.#rounds.look()
  }

  /** Has the keys looked at again. */
  nudge(): void {
    Queue.offerUnsafe(this.#changed, undefined)
  }

  /** For the lease: a node that knows nothing of the cluster yet, or leaves leading to others, does not try for it. */
  get candidacy(): LeaseClock {
    const mayCompete = (): boolean => this.clock.mayCompete && this.#folded && !this.#standsBack()
    return {
      get mayCompete() {
        return mayCompete()
      },
      hearServer: (time) => this.clock.hearServer(time)
    }
  }

  /** Why traffic should not be sent here, empty when it may. */
  get reason(): string {
    return unreadyReason(this.#view)
  }

  get report(): CoordinatorReport {
    const { rss, heapUsed } = memoryUse()
    return { ...this.state, rss, heapUsed }
  }

  /** The report without what this process takes. */
  get state(): Omit<CoordinatorReport, "rss" | "heapUsed"> {
    const { nts, symmetric } = this.fold
    const { reason } = this
    return {
      type: "report",
      leader: this.#holder === undefined || this.#holder === nts.leader ? nts.leader : null,
      leading: this.leader?.leading ?? false,
      term: Math.max(nts.term, symmetric.term),
      foldedSeq: this.foldedSeq,
      lastSeq: Math.max(this.#watch.lastSeq, this.foldedSeq),
      adapter: this.#adapter,
      ready: reason === "",
      // Half a history would say what is long over.
      drained: this.#folded && this.fold.member(this.settings.node).drained,
      reason,
      keyProblem: this.#nodeKeys.problem ?? "",
      clockDoubt: this.clock.mayCompete ? "" : this.clock.doubt,
      clockDecision: this.fold.clocks.get(this.settings.node)?.decidedBy ?? null,
      quarantined: this.#quarantined,
      clockEventsDropped: this.relay.dropped
    }
  }

  get #holder(): string | null | undefined {
    return this.backend?.lease.holder?.()
  }

  get #adapter(): CoordinatorReport["adapter"] {
    if (this.backend === undefined || !this.#watch.reachable) return null
    return this.settings.nats === null ? "sqlite" : "jetstream"
  }

  get #view(): NodeView {
    const { held, problem } = this.#nodeKeys
    const lacked = [...this.#authenticity.lacking].find((print) => this.#isWanted(print))
    const keyProblem = lacked === undefined ? problem : lacksKey(lacked)
    return { health: this.#health, ...held, keyProblem, folded: this.#folded }
  }

  /** Whether events of the cluster's are put aside for want of this key. */
  #isWanted(print: string): boolean {
    const { current, changingTo } = this.fold.clusterKey
    return !this.keys.has(print) && (print === current || print === changingTo)
  }

  /** Starts from a snapshot, if there is one: the node serves with what it knew, and activates what is due by the clock. */
  restore(snapshot: Snapshot | undefined): Effect.Effect<boolean, WrongKey> {
    return Effect.gen({ self: this }, function* () {
      const found = snapshot === undefined ? undefined : readSnapshot(snapshot)
      if (typeof found === "string") this.#surroundings.notices.warn(found)
      if (found === undefined || typeof found === "string") return false
      this.fold = found.fold
      this.clock.notBefore(found.seen)
      this.foldedSeq = this.#snapshotSeq = found.seq
      this.#last = found.last
      this.#watch.created = found.created
      if (found.authenticity !== undefined) this.#authenticity.restore(found.authenticity)
      this.#folded = true
      yield* this.#serve()
      return true
    })
  }

  /** Keys by the clock and after every change, for as long as the process runs; with or without a log. */
  readonly keepServing: Effect.Effect<never, WrongKey, Scope.Scope> = Effect.gen({ self: this }, function* () {
    yield* this.#rounds.run
    for (;;) {
      const turn = this.#rounds.until(() => (this.#folded ? this.#nodeKeys.dueIn(this.now()) : Infinity))
      yield* Effect.raceFirst(Queue.take(this.#changed), turn)
      if (this.#folded) yield* this.#serve()
    }
  })

  /** For the log: refuses at append what this process has minted and sealed wrongly, and believes what nodes have signed. */
  get scrutiny(): Scrutiny {
    return { inspect: this.#custody.inspect, authenticity: this.#authenticity, now: this.now }
  }

  /** Keys put aside as wrongly sealed, in words. */
  get putAside(): ReadonlyArray<string> {
    return this.#nodeKeys.putAside
  }

  /** Who led last, and who holds the lease now, null for nobody or where that cannot be told. */
  get leadership(): { readonly lastLeader: string | null; readonly leaseHolder: string | null } {
    return { lastLeader: this.fold.nts.leader, leaseHolder: this.#holder ?? null }
  }

  /** Why the node's name is in doubt, empty when it is not. */
  get nameDoubt(): string {
    return this.#voice.isNameTaken ? nameTaken(this.settings.node) : ""
  }

  openKey(live: LiveKey): Effect.Effect<Uint8Array, KeyUnopened | KeyCondemned> {
    return this.#custody.open(live, this.#caughtUp)
  }

  /** Has got a cluster key: where events were put aside for want of it, the next start folds the log anew. */
  foldAnewWith(print: string): void {
    if (!this.#authenticity.lacking.has(print)) return
    const why = new LogReplaced(`this node has cluster key ${print} now, which it lacked: it begins anew`)
    const ending = Effect.andThen(this.save, Deferred.fail(this.#replaced, why))
    Effect.runFork(Effect.delay(ending, "200 millis"))
  }

  /** The log and the shelf are within reach. */
  use(backend: Backend): void {
    this.backend = backend
    this.#custody.useShelf(backend.shelf)
  }

  /** All that needs a log, until interrupted. */
  workWith(backend: Backend): Effect.Effect<never, WrongKey | LogReplaced | LogUnavailable, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const { notices } = this.#surroundings
      for (const warning of backend.warnings) notices.warn(warning)
      this.use(backend)
      yield* this.#dropForeignSnapshot(backend)
      const { fold } = this
      const writer: Writer = {
        log: backend.log,
        fold,
        node: this.settings.node,
        now: this.now,
        newId: randomUUID,
        foldedSeq: () => this.foldedSeq,
        maySeal: () => maySeal(this.fold, this.settings.node, this.#authenticity.signers, this.now())
      }
      this.writer = writer
      const doubt = (): string => this.clock.doubt
      const back = (): boolean => this.#standsBack()
      const leader = new Leader(writer, backend.lease, this.settings, this.#custody, this.#mint, this.keys, doubt, back)
      const folding = this.#follow(backend)
      yield* Effect.forkScoped(folding)
      while (!this.#folded || !this.#caughtUp) yield* Effect.sleep(20)
      yield* this.#checkAuthenticity()
      if (this.settings.nats !== null) yield* Effect.forkScoped(this.#awaitHistory(backend))
      this.clock.notBefore(this.fold.member(this.settings.node).latest)
      yield* this.#serve()
      this.leader = leader
      if (this.onForwarded !== undefined) backend.forward?.serve(this.onForwarded)
      const duties: ReadonlyArray<Duty> = [
        ["leading", () => leader.isDue, () => leader.step],
        ["membership", () => this.#hasToSpeak(writer), () => this.#speakForNode(writer)],
        ["clock events", () => this.relay.length > 0, () => this.#relayClock(writer)],
        ["snapshots", () => this.#isSnapshotDue, () => this.save],
        // A log of our own needs no asking, and a node on its own has no other clock beside it.
        ...(this.settings.nats === null ? [] : this.#inCluster(backend, leader))
      ]
      for (const duty of duties) yield* Effect.forkScoped(this.#repeated(duty))
      return yield* Deferred.await(this.#replaced)
    })
  }

  /** The state as it stands goes into the snapshot. */
  readonly save: Effect.Effect<void> = Effect.suspend(() => {
    const { backend, foldedSeq: seq } = this
    if (backend === undefined || !this.#folded) return Effect.void
    const authenticity = this.#authenticity.state
    const { created } = this.#watch
    const snapshot = writeSnapshot({
      seq,
      seen: this.clock.sure,
      fold: this.fold,
      last: this.#last,
      created,
      authenticity
    })
    const keys = this.#essentials
    return Effect.matchEffect(backend.log.saveSnapshot(SNAPSHOT_NAME, snapshot), {
      onSuccess: () =>
        Effect.sync(() => {
          this.#snapshotAt = performance.now()
          this.#snapshotSeq = seq
          this.#snapshotEssentials = keys
        }),
      onFailure: (error) => this.#tell("snapshot", `no snapshot could be saved: ${sentence(error)}`)
    })
  })

  /** What a start without the log must know: keys, and whether the node is drained. */
  get #essentials(): string {
    const { nts, symmetric, clusterKey, policy } = this.fold
    const versions = [nts, symmetric, clusterKey, policy].map(({ version }) => version)
    return [...versions, this.fold.member(this.settings.node).drained].join(" ")
  }

  #caughtUp = false

  /**
   * A snapshot that is ahead of the log, or knows another event where it ends, is not of this log. Where the log lacks what it
   * knows, that is laid in again: no key is lost for a purge or an old backup. Else the log is right.
   */
  #dropForeignSnapshot({ log }: Backend): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      if (this.foldedSeq === 0) return
      const { warn } = this.#surroundings.notices
      const known = { seq: this.foldedSeq, last: this.#last, fold: this.fold, created: this.#watch.created }
      const lacked = [...this.#authenticity.lacking].find((print) => this.keys.has(print))
      const found = yield* Effect.result(foreignness(log, this.settings.node, known))
      if (lacked === undefined && (found._tag === "Failure" || found.success === undefined)) return
      const foreign = found._tag === "Success" ? found.success : undefined
      this.foldedSeq = this.#snapshotSeq = 0
      this.#last = undefined
      this.#watch.created = undefined
      if (foreign !== undefined && foreign.lost.length > 0) {
        this.#authenticity.carryOver()
        return warn(
          `${foreign.why}: it has been replaced, and lacks what this node knows of ${foreign.lost.join(", ")}: that is laid in again`
        )
      }
      warn(
        foreign === undefined
          ? `this node has cluster key ${lacked} now, which it lacked: it folds the log from its start`
          : `${foreign.why}: it has been replaced, folding it from the start`
      )
      this.fold = new ClusterFold()
      this.#authenticity.forget()
      this.#folded = false
    })
  }

  /** A log of which this node cannot believe anything is another cluster's, or this node has another's key. */
  #checkAuthenticity(): Effect.Effect<void, WrongKey> {
    const { origin, first } = this.keys
    const [print] = this.#authenticity.lacking
    return this.fold.clusterKey.current !== null || print === undefined
      ? Effect.void
      : Effect.fail(
          new WrongKey(
            `wrong cluster key: ${origin} holds ${first}, the cluster's is ${print}; give this node that one`
          )
        )
  }

  #follow({ log }: Backend): Effect.Effect<never> {
    const once = Effect.suspend(() =>
      Stream.runForEach(log.subscribe({ from: this.foldedSeq + 1 }), (batch) => Effect.sync(() => this.#take(batch)))
    )
    return Effect.forever(
      once.pipe(
        Effect.tapError((error) => this.#endIfDamaged(error)),
        Effect.catch((error) => this.#tell("folding", `the log cannot be read, trying again: ${sentence(error)}`)),
        Effect.andThen(Effect.sleep(SECOND_MS))
      )
    )
  }

  #take({ events, quarantined, upTo, caughtUp }: LogBatch): void {
    const { notices } = this.#surroundings
    for (const { seq, event } of events) {
      if (this.#caughtUp) this.clock.hear(event)
      if (event.type === "MemberRegistered" && event.subject === memberSubject(this.settings.node))
        this.#voice.hearRegistration(event.version)
      if (this.#caughtUp && isRestoration(event.type))
        notices.warn(`the log had lost what was in it of ${event.subject}: node ${event.node} has laid it in again`)
      const why = this.fold.fold(event)
      if (why === undefined) continue
      this.#quarantined += 1
      notices.warnOnce(`rejected ${event.type}`, `event ${event.id} at ${seq} is left out: ${why}`)
    }
    for (const { seq, subject, reason, detail } of quarantined) {
      this.#quarantined += 1
      notices.warnOnce(
        `quarantined ${reason}`,
        `the commit at ${seq} (${subject}) is put aside, ${reason}: ${detail}; more of this kind are only counted`
      )
    }
    const newest = events.at(-1)
    if (newest !== undefined) this.#last = { seq: newest.seq, id: newest.event.id }
    this.foldedSeq = Math.max(this.foldedSeq, upTo)
    this.#watch.heard(upTo)
    if (caughtUp) {
      this.#caughtUp = true
      this.#folded = true
    }
    this.nudge()
    this.#rounds.look()
  }

  /** Keys as the fold and the clock want them; one look at a time. */
  #serve(): Effect.Effect<void, WrongKey> {
    return this.#looking
      .withPermit(Effect.suspend(() => this.#nodeKeys.follow(this.fold, this.now(), this.#caughtUp)))
      .pipe(Effect.tap(() => Effect.sync(() => this.#sayNews())))
  }

  #news = ""

  #sayNews(): void {
    const { drained, ready, keyProblem, clockDoubt } = this.state
    const news = JSON.stringify([drained, ready, keyProblem, clockDoubt])
    if (news !== this.#news) this.#surroundings.onNews(this.report)
    this.#news = news
  }

  #standsBack(): boolean {
    if (this.settings.nats !== null && this.#history.isAwaited(this.fold)) return true
    return standsBack(this.fold, this.settings.node, this.now())
  }

  /** Others may know what the log has lost: this node leads only when they have had the time to lay it in. */
  #awaitHistory(backend: Backend): Effect.Effect<void> {
    const { log, shelf } = backend
    const look = Effect.gen({ self: this }, function* () {
      const { beginsAt = 1 } = yield* log.status
      const shelved = (yield* shelf.list).length
      const version = yield* log.version(NTS_KEYS_SUBJECT)
      if (!this.#history.look({ version, beginsAt, shelved })) return
      const { warn } = this.#surroundings.notices
      if (this.fold.nts.version > 0) return
      warn(lostHistory(beginsAt, shelved))
      yield* Effect.sleep(HISTORY_WAIT_MS)
      if (this.fold.nts.version === 0)
        warn("no node has laid in again what the log has lost: this node may lead now, and the keys begin anew")
    })
    const again = Effect.andThen(
      Effect.sleep(SECOND_MS),
      Effect.suspend(() => this.#awaitHistory(backend))
    )
    return look.pipe(Effect.catch(() => again))
  }

  #hasToSpeak(writer: Writer): boolean {
    return this.nameDoubt !== "" || this.#voice.hasNews(writer, memberHealth(this.#view), this.reason)
  }

  #speakForNode(writer: Writer): Effect.Effect<void, unknown> {
    const { nameDoubt } = this
    if (nameDoubt !== "") this.#surroundings.notices.warnOnce("name", nameDoubt)
    return this.clock.mayWrite ? this.#voice.speak(writer, memberHealth(this.#view), this.reason) : Effect.void
  }

  #relayClock(writer: Writer): Effect.Effect<void, unknown> {
    if (!this.clock.mayWrite) return Effect.void
    return this.relay.flush(writer, (error) =>
      this.#surroundings.notices.warnOnce("clock event", `a clock event was refused: ${sentence(error)}`)
    )
  }

  get #isSnapshotDue(): boolean {
    const late = performance.now() - this.#snapshotAt >= SNAPSHOT_EVERY_MS
    const news = this.foldedSeq - this.#snapshotSeq
    // These change seldom, and a start without NATS needs the newest.
    return news >= SNAPSHOT_EVERY_EVENTS || (late && news > 0) || this.#essentials !== this.#snapshotEssentials
  }

  #inCluster(backend: Backend, leader: Leader): ReadonlyArray<Duty> {
    return [
      ["standing back", () => leader.mustStandBack, () => leader.standBack],
      ["log", always, () => this.#lookAtLog(backend)],
      ["clock", always, () => this.#lookAtClock()],
      ["laying in", () => this.#toLayIn(leader).length > 0, () => this.#layInLog(leader)],
      ["shelf", () => performance.now() - this.#shelfAt >= LAY_IN_MS, () => this.#layIn()]
    ]
  }

  #lookAtLog({ log }: Backend): Effect.Effect<void> {
    const known = { fold: this.fold, node: this.settings.node, seq: this.foldedSeq, last: this.#last }
    return this.#watch.look(log, known, this.#surroundings.notices.warn).pipe(
      Effect.catch((replaced) => Effect.asVoid(Deferred.fail(this.#replaced, replaced))),
      Effect.andThen(Effect.sleep(LOOK_AT_LOG_MS - SECOND_MS))
    )
  }

  /** The leader does at once what others do where he does not. */
  #toLayIn({ leading }: Leader): ReadonlyArray<string> {
    const own = memberSubject(this.settings.node)
    const late = new Set(this.#watch.lacking(LOOKS_FOR_LEADER))
    return this.#watch.lacking().filter((subject) => leading || subject === own || late.has(subject))
  }

  #layInLog(leader: Leader): Effect.Effect<void, unknown> {
    const { writer } = this
    const subjects = this.#toLayIn(leader)
    if (writer === undefined || subjects.length === 0 || !this.clock.mayWrite) return Effect.void
    return Effect.tap(layIn(writer, subjects, memberHealth(this.#view)), () =>
      Effect.sync(() => {
        for (const subject of subjects) this.#watch.lost.delete(subject)
      })
    )
  }

  #shelfAt = Number.NEGATIVE_INFINITY

  /** Of what the shelf has lost, somebody has a copy; whoever leads need not. */
  #layIn(): Effect.Effect<void, unknown> {
    this.#shelfAt = performance.now()
    return this.#custody.layIn(liveSlots(this.fold), isClusters(this.fold.clusterKey))
  }

  #doubted = false

  /** Says when the clock is found to be off, and when it is right again. */
  #lookAtClock(): Effect.Effect<void> {
    return Effect.sync(() => {
      const off = !this.clock.mayCompete
      if (off === this.#doubted) return
      this.#doubted = off
      this.#sayNews()
      this.#surroundings.notices.warn(off ? this.clock.doubt : "this node's clock agrees with the others again")
    })
  }

  /** Runs a duty at once, and whenever a look finds it due; says once per cause why it could not be done. */
  #repeated([duty, isDue, run]: Duty): Effect.Effect<never> {
    return Effect.forever(
      Effect.suspend(run).pipe(
        Effect.tapError((error) => this.#endIfDamaged(error)),
        Effect.catch((error) => this.#tell(duty, `${duty}: ${sentence(error)}`)),
        Effect.catchDefect((defect) => this.#tell(duty, `${duty}: ${sentence(defect)}`)),
        Effect.andThen(this.#rounds.until(() => (isDue() ? 0 : Infinity)))
      )
    )
  }

  /** The next start puts a damaged log aside; trying again would never end. */
  #endIfDamaged(error: unknown): Effect.Effect<void> {
    return error instanceof LogUnavailable && (error.damaged === true || error.replaced === true)
      ? Effect.asVoid(Deferred.fail(this.#replaced, error))
      : Effect.void
  }

  #tell(topic: string, message: string): Effect.Effect<void> {
    return Effect.sync(() => this.#surroundings.notices.warnOnce(`${topic} ${message}`, message))
  }
}
