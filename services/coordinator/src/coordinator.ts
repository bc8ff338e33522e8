/**
 * A coordinator at work: folds the log, keeps the keys that the node serves with opened and tells the supervisor, speaks
 * for the node in the cluster, and leads while it holds the lease.
 */
import { memoryUse } from "@meridian/system/memory"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { randomUUID } from "node:crypto"
import { Authenticity, type LogUnavailable, type Snapshot } from "@meridian/event-log"
import { type AnyEvent, memberSubject } from "@meridian/events"
import type { CoordinatorReport, HealthMessage } from "@meridian/ipc/coordinator-report"
import type { CoordinatorPlan } from "@meridian/ipc/coordinator-plan"
import { ClockRelay } from "./clock-relay.ts"
import type { ClusterFold } from "./cluster-fold.ts"
import type { ClusterKeys } from "./cluster-keys.ts"
import type { LeaseClock } from "./cluster-lease.ts"
import type { Writer } from "./command.ts"
import type { CookieKeys } from "./cookie-key-file.ts"
import type { Backend, ForwardedAnswer, ForwardedCommand, Scrutiny } from "./embedded.ts"
import { type KeyCondemned, KeyManager, type KeyUnopened, type LiveKey } from "./key-manager.ts"
import { type DutyDied, duty, perform } from "./duties.ts"
import { Leader } from "./leader.ts"
import { OWN_LOG, STREAM } from "./log-names.ts"
import { LogFolding } from "./log-folding.ts"
import { LogReplaced } from "./log-watch.ts"
import { ClusterCare } from "./cluster-care.ts"
import { SnapshotKeeper } from "./snapshot-keeper.ts"
import type { Surroundings } from "./surroundings.ts"
import { MemberHeartbeats } from "./member-heartbeat.ts"
import { maySeal, memberHealth, nameTaken, type NodeView, unreadyReason } from "./membership.ts"
import { Mint } from "./minting.ts"
import { sentence } from "./notices.ts"
import { NodeClock } from "./node-clock.ts"
import { lacksKey, NodeKeys, WrongKey } from "./node-keys.ts"
import { Rounds } from "./rounds.ts"
import { standsBack } from "./standing-back.ts"

export class Coordinator {
  readonly settings: CoordinatorPlan
  readonly keys: ClusterKeys
  readonly clock: NodeClock
  /** Milliseconds since 1970, as the node decides by it. */
  readonly now: () => number
  readonly relay = new ClockRelay()
  backend: Backend | undefined
  leader: Leader | undefined
  writer: Writer | undefined
  /** Told when something has come in that may be news. */
  onActivity: () => void = () => {}
  /** Answers commands that other nodes hand on to this one. */
  onForwarded: ((command: ForwardedCommand) => Promise<ForwardedAnswer>) | undefined
  /** Holds something when the supervisor has said how the node is, or a fold has changed something. */
  readonly #changed = Queue.sliding<void>(1).pipe(Effect.runSync)
  readonly #surroundings: Surroundings
  readonly #keyManager: KeyManager
  readonly #authenticity: Authenticity
  readonly #mint: Mint
  readonly #nodeKeys: NodeKeys
  readonly #heartbeats: MemberHeartbeats
  readonly #rounds = new Rounds()
  readonly #looking = Semaphore.makeUnsafe(1)
  #health: HealthMessage | undefined
  readonly #log: LogFolding
  readonly #snapshots: SnapshotKeeper
  readonly #care: ClusterCare
  readonly #tell = (topic: string, message: string): Effect.Effect<void> =>
    Effect.sync(() => this.#surroundings.notices.warnOnce(`${topic} ${message}`, message))
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
    this.#keyManager = new KeyManager(surroundings.keys, undefined, surroundings.mirror)
    this.#authenticity = new Authenticity(surroundings.settings.nats === null ? OWN_LOG : STREAM, this.keys, () => {
      const { current } = this.fold.clusterKey
      return current !== null && this.keys.has(current) ? current : this.keys.first
    })
    this.#mint = new Mint(this.#keyManager)
    this.#log = new LogFolding({
      node: surroundings.settings.node,
      keys: surroundings.keys,
      notices: surroundings.notices,
      authenticity: this.#authenticity,
      hear: (event, isNew) => this.#hear(event, isNew),
      changed: () => this.nudge(),
      begun: (seq) => this.#snapshots.begin(seq)
    })
    this.#heartbeats = new MemberHeartbeats(surroundings.settings)
    const { keys, notices, settings, sendKeys, onReady } = surroundings
    this.#snapshots = new SnapshotKeeper(settings.node, () => this.#log.stateAt(this.clock.sure), this.#tell)
    this.#care = new ClusterCare({
      node: settings.node,
      clock: this.clock,
      keyManager: this.#keyManager,
      watch: this.#log.watch,
      warn: notices.warn,
      known: () => this.#log.known,
      health: () => memberHealth(this.#view),
      clockJudged: () => this.#sayNews(),
      replaced: (why) => Effect.asVoid(Deferred.fail(this.#replaced, why))
    })
    this.#nodeKeys = new NodeKeys({
      node: settings.node,
      keyManager: this.#keyManager,
      mint: this.#mint,
      keys,
      notices,
      expects: settings.mint,
      send: (message) => {
        sendKeys(message)
        onReady()
      },
      condemned: () => void (this.#log.quarantined += 1)
    })
  }

  get fold(): ClusterFold {
    return this.#log.fold
  }

  get foldedSeq(): number {
    return this.#log.seq
  }

  /** Keys to go on from where the log turns out to be empty. */
  inherit(keys: CookieKeys): void {
    this.#mint.inherit(keys)
  }

  useHealth(health: HealthMessage): void {
    this.#health = health
    this.nudge()
  }

  /** Clock events on their way to the log. */
  hearClock(events: Parameters<ClockRelay["add"]>[0]): void {
    this.relay.add(events, this.now())
    this.#rounds.look()
  }

  /** Has the keys, all duties and the report looked at again. */
  nudge(): void {
    Queue.offerUnsafe(this.#changed, undefined)
    this.#rounds.look()
    this.onActivity()
  }

  /** For the lease: a node that knows nothing of the cluster yet, or leaves leading to others, does not try for it. */
  get candidacy(): LeaseClock {
    const mayCompete = (): boolean => this.clock.mayCompete && this.#log.isWhole && !this.#standsBack()
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
      lastSeq: Math.max(this.#log.watch.lastSeq, this.foldedSeq),
      adapter: this.#adapter,
      ready: reason === "",
      // Half a history would say what is long over.
      drained: this.#log.isWhole && this.fold.member(this.settings.node).drained,
      reason,
      keyProblem: this.#nodeKeys.problem ?? "",
      clockDoubt: this.clock.mayCompete ? "" : this.clock.doubt,
      clockDecision: this.fold.clocks.get(this.settings.node)?.decidedBy ?? null,
      quarantined: this.#log.quarantined,
      clockEventsDropped: this.relay.dropped
    }
  }

  get #holder(): string | null | undefined {
    return this.backend?.lease.holder?.()
  }

  get #adapter(): CoordinatorReport["adapter"] {
    if (this.backend === undefined || !this.#log.watch.reachable) return null
    return this.settings.nats === null ? "sqlite" : "jetstream"
  }

  get #view(): NodeView {
    const { held, problem } = this.#nodeKeys
    const lacked = [...this.#authenticity.lacking].find((print) => this.#isWanted(print))
    const keyProblem = lacked === undefined ? problem : lacksKey(lacked)
    return { health: this.#health, ...held, keyProblem, folded: this.#log.isWhole }
  }

  /** Whether events of the cluster's are put aside for want of this key. */
  #isWanted(print: string): boolean {
    const { current, changingTo } = this.fold.clusterKey
    return !this.keys.has(print) && (print === current || print === changingTo)
  }

  /** Starts from a snapshot, if there is one: the node serves with what it knew, and activates what is due by the clock. */
  restore(snapshot: Snapshot | undefined): Effect.Effect<boolean, WrongKey> {
    return Effect.gen({ self: this }, function* () {
      const found = this.#log.restore(snapshot)
      if (found === undefined) return false
      this.clock.notBefore(found.seen)
      yield* this.#serve()
      return true
    })
  }

  /** Keys by the clock and after every change, for as long as the process runs; with or without a log. */
  readonly keepServing: Effect.Effect<never, WrongKey, Scope.Scope> = Effect.gen({ self: this }, function* () {
    yield* this.#rounds.run
    for (;;) {
      const turn = this.#rounds.until(() => (this.#log.isWhole ? this.#nodeKeys.dueIn(this.now()) : Infinity))
      yield* Effect.raceFirst(Queue.take(this.#changed), turn)
      if (this.#log.isWhole) yield* this.#serve()
    }
  })

  /** For the log: refuses at append what this process has minted and sealed wrongly, and believes what nodes have signed. */
  get scrutiny(): Scrutiny {
    return { inspect: this.#keyManager.inspect, authenticity: this.#authenticity, now: this.now }
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
    return this.#heartbeats.isNameTaken ? nameTaken(this.settings.node) : ""
  }

  openKey(live: LiveKey): Effect.Effect<Uint8Array, KeyUnopened | KeyCondemned> {
    return this.#keyManager.open(live, this.#log.isCaughtUp)
  }

  /** Has got a cluster key: where events were put aside for want of it, the next start folds the log anew. */
  foldAnewWith(print: string): void {
    if (!this.#authenticity.lacking.has(print)) return
    const why = new LogReplaced(`this node has cluster key ${print} now, which it lacked: it begins anew`)
    const ending = Effect.andThen(this.save, Deferred.fail(this.#replaced, why))
    Effect.runFork(Effect.delay(ending, "200 millis"))
  }

  /** The log and the key store are within reach. */
  use(backend: Backend): void {
    this.backend = backend
    this.#keyManager.useKeyStore(backend.keyStore)
  }

  /** All that needs a log, until interrupted. */
  workWith(backend: Backend): Effect.Effect<never, WrongKey | LogReplaced | LogUnavailable | DutyDied, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const { notices } = this.#surroundings
      for (const warning of backend.warnings) notices.warn(warning)
      this.use(backend)
      yield* this.#log.dropForeignSnapshot(backend)
      const writer: Writer = {
        log: backend.log,
        fold: this.fold,
        node: this.settings.node,
        now: this.now,
        newId: randomUUID,
        foldedSeq: () => this.foldedSeq,
        maySeal: () => maySeal(this.fold, this.settings.node, this.#authenticity.signers, this.now())
      }
      this.writer = writer
      const doubt = (): string => this.clock.doubt
      const back = (): boolean => this.#standsBack()
      const manager = this.#keyManager
      const leader = new Leader(writer, backend.lease, this.settings, manager, this.#mint, this.keys, doubt, back)
      const folding = Fiber.join(yield* Effect.forkScoped(this.#log.follow(backend)))
      yield* Effect.raceFirst(this.#log.caughtUp, folding)
      yield* this.#checkAuthenticity()
      if (this.settings.nats !== null) yield* Effect.forkScoped(this.#care.awaitHistory(backend))
      this.clock.notBefore(this.fold.member(this.settings.node).latest)
      yield* this.#serve()
      this.leader = leader
      if (this.onForwarded !== undefined) backend.forward?.serve(this.onForwarded)
      const duties = [
        { name: "leading", dueIn: () => leader.dueIn, run: leader.step },
        {
          name: "membership",
          dueIn: () => this.#speaksIn(writer),
          run: Effect.suspend(() => this.#speakForNode(writer))
        },
        duty(
          "clock events",
          () => this.relay.length > 0,
          Effect.suspend(() => this.#relayClock(writer))
        ),
        { name: "snapshots", dueIn: () => this.#snapshots.dueIn, run: this.save },
        // A log of our own needs no asking, and a node on its own has no other clock beside it.
        ...(this.settings.nats === null ? [] : this.#care.duties(backend, leader, writer))
      ]
      const how = { rounds: this.#rounds, tell: this.#tell }
      const ends = [...duties.map((it) => perform(it, how)), folding, Deferred.await(this.#replaced)]
      return yield* Effect.raceAllFirst(ends)
    })
  }

  /** The state as it stands goes into the snapshot. */
  readonly save: Effect.Effect<void> = Effect.suspend(() =>
    this.backend === undefined || !this.#log.isWhole ? Effect.void : this.#snapshots.save(this.backend.log)
  )

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

  #hear(event: AnyEvent, isNew: boolean): void {
    if (isNew) this.clock.hear(event)
    if (event.type === "MemberRegistered" && event.subject === memberSubject(this.settings.node))
      this.#heartbeats.hearRegistration(event.version)
  }

  /** Keys as the fold and the clock want them; one look at a time. */
  #serve(): Effect.Effect<void, WrongKey> {
    return this.#looking
      .withPermit(Effect.suspend(() => this.#nodeKeys.follow(this.fold, this.now(), this.#log.isCaughtUp)))
      .pipe(Effect.tap(() => Effect.sync(() => this.#sayNews())))
  }

  #news = ""

  #sayNews(): void {
    this.#rounds.lookSoon()
    this.onActivity()
    const { drained, ready, keyProblem, clockDoubt } = this.state
    const news = JSON.stringify([drained, ready, keyProblem, clockDoubt])
    if (news !== this.#news) this.#surroundings.onNews(this.report)
    this.#news = news
  }

  #standsBack(): boolean {
    if (this.settings.nats !== null && this.#care.isHistoryAwaited(this.fold)) return true
    return standsBack(this.fold, this.settings.node, this.now())
  }

  #speaksIn(writer: Writer): number {
    return this.nameDoubt === "" ? this.#heartbeats.dueIn(writer, memberHealth(this.#view), this.reason) : 0
  }

  #speakForNode(writer: Writer): Effect.Effect<void, unknown> {
    const { nameDoubt } = this
    if (nameDoubt !== "") this.#surroundings.notices.warnOnce("name", nameDoubt)
    return this.clock.mayWrite ? this.#heartbeats.write(writer, memberHealth(this.#view), this.reason) : Effect.void
  }

  #relayClock(writer: Writer): Effect.Effect<void, unknown> {
    if (!this.clock.mayWrite) return Effect.void
    return this.relay.flush(writer, (error) =>
      this.#surroundings.notices.warnOnce("clock event", `a clock event was refused: ${sentence(error)}`)
    )
  }
}
