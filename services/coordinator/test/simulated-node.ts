/** A coordinator of the simulated cluster: the real rules over a log and key stores in memory, in simulated time. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { AuthenticityState, EventLog, KeyStore } from "@meridian/event-log"
import { Authenticity, LogFull, LogUnavailable, memoryKeyStore, overSlots } from "@meridian/event-log"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { type AnyEvent, fromIso, NTS_KEYS_SUBJECT } from "@meridian/events"
import { ClusterFold, keptAggregates } from "../src/cluster-fold.ts"
import { CLOCK_LIMIT_MS } from "../src/clock-witnesses.ts"
import { ClusterKeys } from "../src/cluster-keys.ts"
import type { Writer } from "../src/command.ts"
import { KeyManager } from "../src/key-manager.ts"
import { layIn } from "../src/laying-in.ts"
import { Leader } from "../src/leader.ts"
import { STREAM } from "../src/log-names.ts"
import { lossesOf } from "../src/log-watch.ts"
import { LostHistory } from "../src/lost-history.ts"
import { unreadyReason } from "../src/membership.ts"
import { Mint } from "../src/minting.ts"
import { NodeClock } from "../src/node-clock.ts"
import { NodeKeys } from "../src/node-keys.ts"
import { isClusters, liveSlots } from "../src/serving.ts"
import { SimLog } from "./simulated-log.ts"

export const ROTATION_MS = 60_000
export const START = Date.UTC(2026, 0, 1)
export const CLUSTER_KEY = Uint8Array.from({ length: 32 }, (_, index) => index * 7 + 3)

/** What the whole cluster shares, and what the checks know of it. */
export class World {
  now = START
  ids = 0
  /** Revisions handed out; the last one holds the lease. */
  revisions = 0
  /** Broken promises that no answer to a node would show. */
  readonly broken: Array<string> = []
  /** Ids of events that nobody of the cluster has written. */
  readonly forged = new Set<string>()
  readonly log = new SimLog()
  readonly keyStore: KeyStore["Service"] = overSlots(memoryKeyStore())

  /**
   * No leader decides by a time that is far from the true one, and so ends or begins no key before its time. A clock may be
   * ahead by the limit, and what a node has seen before by as much again.
   */
  checkTimes(events: ReadonlyArray<AnyEvent>): void {
    for (const { type, node, time } of events)
      if (fromIso(time) > this.now + 2 * CLOCK_LIMIT_MS) this.broken.push(`${node} wrote ${type} at ${time}, too early`)
  }
}

/**
 * - away: the log is out of reach
 * - answer-lost: what is appended is stored, and the answer does not come
 * - full: nothing can be appended
 * - hung: the process stands still, with all that it believes
 * - down: it has ended, and the system has no process to spare for another
 */
export type Fault = "none" | "away" | "answer-lost" | "full" | "hung" | "down"

export class SimNode {
  readonly name: string
  readonly #world: World
  /** Milliseconds by which its clock is off. */
  skew = 0
  fault: Fault = "none"
  /** Whether the process that keeps the clock's page is there, and served time with it. */
  hasClock = true
  /** What it believes to hold; a partitioned leader goes on believing. */
  believes: number | undefined
  fold = new ClusterFold()
  /** Commits folded. */
  folded = 0
  leader!: Leader
  keyManager!: KeyManager
  /** What the supervisor was told last. */
  serves: ServingKeys | undefined
  #isCaughtUp = false
  #clock!: NodeClock
  #writer!: Writer
  #history!: LostHistory
  #authenticity!: Authenticity
  #nodeKeys!: NodeKeys
  /** On its disk. */
  readonly #mirror = overSlots(memoryKeyStore())
  #snapshot:
    | {
        readonly folded: number
        readonly seen: number
        readonly state: string
        readonly authenticity: AuthenticityState
      }
    | undefined

  constructor(world: World, name: string) {
    this.#world = world
    this.name = name
    this.boot()
  }

  get isRunning(): boolean {
    return this.fault !== "hung" && this.fault !== "down"
  }

  /** Whether it knows all there is and can write. */
  get isInStep(): boolean {
    return this.fault === "none" && this.folded === this.#world.log.commits.length
  }

  clock(): number {
    return this.#clock.now()
  }

  /** Why no traffic should be sent here, empty where it may. */
  get reason(): string {
    return unreadyReason({
      health: { type: "health", workers: 1, synchronised: this.hasClock, stratum: this.hasClock ? 2 : 16 },
      ...this.#nodeKeys.held,
      keyProblem: this.#nodeKeys.problem,
      folded: this.#isCaughtUp || this.#snapshot !== undefined
    })
  }

  /** Starts from the snapshot, with nothing in memory. */
  boot(): void {
    // Simulated time is the clock that nobody steps; the node's own has its skew.
    this.#clock = new NodeClock({
      clock: () => this.#world.now + this.skew,
      steady: () => this.#world.now - START,
      node: this.name,
      compares: true
    })
    if (this.#snapshot !== undefined) this.#clock.notBefore(this.#snapshot.seen)
    const keys = new ClusterKeys(CLUSTER_KEY, "memory", "/nonexistent")
    this.#authenticity = new Authenticity(STREAM, keys, () => keys.first)
    if (this.#snapshot !== undefined) this.#authenticity.restore(this.#snapshot.authenticity)
    this.fold = (this.#snapshot && ClusterFold.fromText(this.#snapshot.state)) ?? new ClusterFold()
    this.folded = this.#snapshot?.folded ?? 0
    this.believes = undefined
    this.serves = undefined
    this.#isCaughtUp = false
    this.#history = new LostHistory(() => this.#world.now)
    this.keyManager = new KeyManager(keys, this.#world.keyStore, this.#mirror)
    const mint = new Mint(this.keyManager)
    const writer: Writer = (this.#writer = {
      log: this.#flakyLog(),
      fold: this.fold,
      node: this.name,
      now: () => this.clock(),
      newId: () => `${this.name}-${(this.#world.ids += 1)}`,
      foldedSeq: () => this.folded,
      maySeal: () => true
    })
    const lease = {
      held: () => this.believes,
      release: Effect.sync(() => void (this.believes = undefined)),
      resign: Effect.sync(() => void (this.believes = undefined))
    }
    const plan = {
      mint: { nts: true, symmetric: false },
      rotationMs: ROTATION_MS,
      clockRetention: { ms: null, count: null }
    }
    const doubt = (): string => this.#clock.doubt
    const back = (): boolean => this.#history.isAwaited(this.fold)
    this.leader = new Leader(writer, lease, plan, this.keyManager, mint, keys, doubt, back)
    this.#nodeKeys = new NodeKeys({
      node: this.name,
      keyManager: this.keyManager,
      mint,
      keys,
      notices: { warn: () => undefined, warnOnce: () => undefined },
      expects: plan.mint,
      send: (served) => void (this.serves = served),
      condemned: () => undefined
    })
  }

  save(): void {
    this.#snapshot = {
      folded: this.folded,
      seen: this.#clock.sure,
      state: this.fold.toText(),
      authenticity: this.#authenticity.state
    }
  }

  /** Folds what the log has, compares clocks and looks after its keys, as far as it can. */
  async sync(): Promise<void> {
    if (!this.isRunning) return
    if (this.fault !== "away") await this.#catchUp()
    await this.attempt(this.#nodeKeys.follow(this.fold, this.clock(), this.#isCaughtUp))
    if (this.fault !== "away")
      await this.attempt(this.keyManager.layIn(liveSlots(this.fold), isClusters(this.fold.clusterKey)))
  }

  async #catchUp(): Promise<void> {
    const { log, keyStore, now } = this.#world
    this.#clock.hearServer(now)
    for (const { event } of log.read(this.folded + 1, undefined, this.#believes).events) this.fold.fold(event)
    this.folded = log.commits.length
    this.#isCaughtUp = true
    const storedKeys = (await Effect.runPromise(keyStore.list)).length
    this.#history.look({ version: log.version(NTS_KEYS_SUBJECT), beginsAt: log.purged + 1, storedKeys })
  }

  readonly #believes = (event: AnyEvent, seq: number): boolean => {
    const doubt = this.#authenticity.doubt(event.subject, event, seq)
    if (doubt === undefined) this.#authenticity.hear(event, seq)
    if (doubt === undefined && this.#world.forged.has(event.id))
      this.#world.broken.push(`${this.name} believes ${event.type} ${event.version}, which is forged`)
    return doubt === undefined
  }

  /** What a look at the log would find lost, laid in again. */
  async layIn(): Promise<void> {
    const found = lossesOf(this.#world.log.status, { fold: this.fold, node: this.name })
    const lost = keptAggregates.filter(({ subject }) => found.has(subject))
    if (lost.length === 0 || this.fault === "away" || !this.isRunning || !this.#clock.mayWrite) return
    const health = { workers: 1, synchronised: true, ntsGeneration: 0, symmetricSet: 0 }
    await this.attempt(
      layIn(
        this.#writer,
        lost.map(({ subject }) => subject),
        health
      )
    )
  }

  async attempt(effect: Effect.Effect<unknown, unknown>): Promise<void> {
    await Effect.runPromise(Effect.result(effect))
  }

  #flakyLog(): EventLog["Service"] {
    const { log } = this.#world
    const gone = (uncertain: boolean): Effect.Effect<never, LogUnavailable> =>
      Effect.fail(new LogUnavailable({ detail: "simulated", uncertain }))
    return {
      append: (subject, events, version, how) =>
        Effect.suspend(() => {
          if (this.fault === "away") return gone(false)
          if (this.fault === "full") return Effect.fail(new LogFull({ detail: "simulated" }))
          this.#world.checkTimes(events)
          const signed = events.map((event) => this.#authenticity.sign(event))
          const stored = log.append(subject, signed, version, how)
          return this.fault === "answer-lost" ? Effect.andThen(stored, gone(true)) : stored
        }),
      read: ({ from, only }) =>
        Stream.suspend(() =>
          this.fault === "away" ? Stream.fromEffect(gone(false)) : Stream.make(log.read(from, only, this.#believes))
        ),
      subscribe: () => Stream.never,
      version: (subject) =>
        Effect.suspend(() => (this.fault === "away" ? gone(false) : Effect.succeed(log.version(subject)))),
      saveSnapshot: () => Effect.void,
      loadSnapshot: () => Effect.succeed(undefined),
      retain: () => Effect.succeed(0),
      status: Effect.sync(() => log.status)
    }
  }
}
