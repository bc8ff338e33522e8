/**
 * A large cluster on paper time: nodes in regions, each with the fold, the keys, the clock and the leading of a real coordinator; a
 * log, a key store and a lease that are so many milliseconds away; slow disks, drifting clocks, regions that are cut off. Events are
 * carried out one after the other, in order of their paper time. One seed gives one course of things.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { type EventLog, LogUnavailable, memoryKeyStore, overSlots } from "@meridian/event-log"
import type { AnyEvent } from "@meridian/events"
import { ClusterFold } from "../src/cluster-fold.ts"
import { ClusterKeys } from "../src/cluster-keys.ts"
import type { Writer } from "../src/command.ts"
import { KeyManager } from "../src/key-manager.ts"
import { Leader } from "../src/leader.ts"
import { Mint } from "../src/minting.ts"
import { NodeClock } from "../src/node-clock.ts"
import { NodeKeys } from "../src/node-keys.ts"
import type { Notices } from "../src/notices.ts"
import { SimLog } from "./simulated-log.ts"
import { CLUSTER_KEY, START } from "./simulated-node.ts"

export const ROTATION_MS = 300_000
/** As services/coordinator/src/cluster-lease.ts has them. */
const LEASE_MS = 4_000
const MARGIN_MS = 500
const ATTEMPT_MS = 1_000
const STEP_MS = 1_000
/** A node that lacks a key looks for it again. */
const AGAIN_MS = 5_000

interface Due {
  readonly at: number
  readonly order: number
  readonly run: () => void | Promise<void>
}

/** Paper time. What waits for it is carried out in order; real time does not matter. */
class PaperTime {
  now = START
  /** Effects under way, and those of them that wait for paper time. */
  #running = 0
  #parked = 0
  #order = 0
  readonly #heap: Due[] = []

  at(moment: number, run: Due["run"]): void {
    const due = { at: Math.max(this.now, moment), order: (this.#order += 1), run }
    const heap = this.#heap
    let place = heap.push(due) - 1
    for (let up = (place - 1) >> 1; place > 0 && isSooner(due, heap[up]!); up = (place - 1) >> 1) {
      heap[place] = heap[up]!
      heap[(place = up)] = due
    }
  }

  after(milliseconds: number): Effect.Effect<void> {
    return Effect.promise(
      () =>
        new Promise<void>((done) => {
          this.#parked += 1
          this.at(this.now + milliseconds, () => {
            this.#parked -= 1
            done()
          })
        })
    )
  }

  /** Starts something that takes paper time; it ends by itself. */
  start(effect: Effect.Effect<unknown, unknown>, ended: () => void): void {
    this.#running += 1
    void Effect.runPromise(Effect.result(effect)).then(() => {
      this.#running -= 1
      ended()
    })
  }

  async runUntil(moment: number): Promise<void> {
    for (let due = this.#heap[0]; due !== undefined && due.at <= moment; due = this.#heap[0]) {
      this.#pop()
      this.now = due.at
      const waits = due.run()
      if (waits !== undefined) await waits
      while (this.#running > this.#parked) await new Promise((done) => setImmediate(done))
    }
    this.now = moment
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let place = 0
    for (;;) {
      const [left, right] = [2 * place + 1, 2 * place + 2]
      const least = right < heap.length && isSooner(heap[right]!, heap[left]!) ? right : left
      if (least >= heap.length || !isSooner(heap[least]!, last)) break
      heap[place] = heap[least]!
      place = least
    }
    heap[place] = last
  }
}

const isSooner = (a: Due, b: Due): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** What all nodes share, and what is counted of it. */
export class LargeWorld {
  readonly time = new PaperTime()
  readonly log = new SimLog()
  readonly keyStore = overSlots(memoryKeyStore())
  readonly nodes: LargeNode[] = []
  readonly truth = new ClusterFold()
  /** When each generation was revoked, paper time. */
  readonly revokedAt = new Map<number, number>()
  /** When each generation was published. */
  readonly publishedAt = new Map<number, number>()
  /** Who led in each term, and when it took over. */
  readonly terms: Array<{ readonly term: number; readonly leader: string; readonly at: number }> = []
  /** From the log to the last node in reach that serves by it, milliseconds: a generation that is published, one that is revoked. */
  readonly converged = { publishedMs: 0, revokedMs: 0 }
  readonly counts = { appends: 0, refused: 0, deliveries: 0, leaseMessages: 0, logBytes: 0 }
  ids = 0
  lease = { holder: "", revision: 0, until: 0 }
  revisions = 0

  /** Something is in the log: every node within reach hears of it. */
  stored(events: readonly AnyEvent[], bytes: number): void {
    this.counts.logBytes += bytes
    for (const event of events) {
      this.truth.fold(event)
      if (event.type === "NtsGenerationRevoked") this.revokedAt.set(event.data.generation, this.time.now)
      if (event.type === "NtsGenerationPublished") this.publishedAt.set(event.data.generation, this.time.now)
      if (event.type === "NtsLeaderTookOver")
        this.terms.push({ term: event.data.term, leader: event.data.leader, at: this.time.now })
    }
    for (const node of this.nodes) node.hearLater()
  }
}

/** Generations that a node has by now; what is news is noted with how long it took. */
const noteKeys = (world: LargeWorld, node: LargeNode, { generations }: ServingKeys): void => {
  const { time, converged } = world
  const since = (at: number): number => time.now - Math.max(at, node.reachableSince)
  const now = new Set(generations.map(({ id }) => id))
  for (const id of now) {
    const at = world.publishedAt.get(id)
    if (!node.known.has(id) && at !== undefined) converged.publishedMs = Math.max(converged.publishedMs, since(at))
  }
  for (const id of node.known) {
    const at = world.revokedAt.get(id)
    if (!now.has(id) && at !== undefined) converged.revokedMs = Math.max(converged.revokedMs, since(at))
  }
  node.known = now
}

const silent: Notices = { warn: () => {}, warnOnce: () => {} } as unknown as Notices

export interface Place {
  readonly region: number
  /** To NATS and back, milliseconds. */
  readonly roundTrip: number
  /** From hearing of a commit to having it folded, milliseconds. */
  readonly disk: number
  /** How its clock is off at the start, milliseconds, and what it gains a second. */
  readonly offset: number
  readonly drift: number
}

export class LargeNode {
  readonly name: string
  readonly place: Place
  /** Whether NATS is in reach. */
  isAway = false
  isDown = false
  /** What it serves with, as the supervisor is told. */
  keys: ServingKeys | undefined
  /** Generations that it held when it was told last. */
  known: ReadonlySet<number> = new Set()
  /** Since when it has been in reach without a break. */
  reachableSince = START
  /** Up to where it has read. */
  folded = 0
  fold = new ClusterFold()
  /** Milliseconds by which its clock was stepped. */
  step = 0
  readonly #world: LargeWorld
  readonly #mirror = overSlots(memoryKeyStore())
  #clock!: NodeClock
  #leader!: Leader
  #nodeKeys!: NodeKeys
  #held: { readonly taken: number; readonly revision: number; readonly until: number } | undefined
  #isStepping = false
  #boots = 0

  constructor(world: LargeWorld, name: string, place: Place) {
    this.#world = world
    this.name = name
    this.place = place
    this.boot()
    world.time.at(START + place.disk + place.roundTrip, () => this.#tryLease())
    world.time.at(START + place.disk, () => this.#stepOn())
  }

  /** This machine's time, milliseconds since 1970: what served time is, too. */
  get own(): number {
    const { now } = this.#world.time
    return now + this.step + this.place.offset + ((now - START) / 1e3) * this.place.drift
  }

  get leading(): boolean {
    return !this.isDown && this.#leader.leading
  }

  /** Other clocks say that this one is off: no client is sent here. */
  get isDoubted(): boolean {
    return !this.#clock.mayCompete
  }

  /** From nothing but the log and its key store. */
  boot(): void {
    const world = this.#world
    this.isDown = false
    this.#boots += 1
    this.#held = undefined
    this.keys = undefined
    this.known = new Set()
    this.reachableSince = world.time.now
    this.folded = 0
    this.fold = new ClusterFold()
    this.#clock = new NodeClock({
      clock: () => this.own,
      steady: () => world.time.now - START,
      node: this.name,
      compares: true
    })
    const keys = new ClusterKeys(CLUSTER_KEY, "memory", "/nonexistent")
    const keyManager = new KeyManager(keys, world.keyStore, this.#mirror)
    const mint = new Mint(keyManager)
    const writer: Writer = {
      log: this.#farLog(),
      fold: this.fold,
      node: this.name,
      now: () => this.#clock.now(),
      newId: () => `${this.name}-${(world.ids += 1)}`,
      foldedSeq: () => this.folded
    }
    const lease = {
      held: () => (this.#held !== undefined && world.time.now < this.#held.until ? this.#held.taken : undefined),
      release: Effect.sync(() => this.#letGo()),
      resign: Effect.sync(() => this.#letGo())
    }
    const plan = {
      mint: { nts: true, symmetric: false },
      rotationMs: ROTATION_MS,
      clockRetention: { ms: null, count: null }
    }
    this.#leader = new Leader(writer, lease, plan, keyManager, mint, keys, () => this.#clock.doubt)
    this.#nodeKeys = new NodeKeys({
      node: this.name,
      keyManager,
      mint,
      keys,
      notices: silent,
      expects: plan.mint,
      send: (told) => {
        this.keys = told
        noteKeys(world, this, told)
      },
      condemned: () => {}
    })
    this.hearLater()
  }

  /** The log has more: it is read as soon as it is here and the disk has done its part. */
  hearLater(): void {
    const { time, counts } = this.#world
    const boots = this.#boots
    counts.deliveries += 1
    time.at(time.now + this.place.roundTrip / 2 + this.place.disk, () =>
      boots === this.#boots ? this.#follow() : undefined
    )
  }

  /** What an operator orders. */
  revoke(generation: number): void {
    this.#world.time.start(this.#leader.revokeNts(generation, "seed"), () => {})
  }

  comeBack(): void {
    this.isAway = false
    this.reachableSince = this.#world.time.now
    this.hearLater()
  }

  async #follow(): Promise<void> {
    const { time, log } = this.#world
    if (this.isDown) return
    if (!this.isAway) {
      for (const { events } of log.commits.slice(this.folded)) for (const event of events) this.fold.fold(event)
      this.folded = log.commits.length
    }
    if (this.folded === 0) return
    const boots = this.#boots
    await Effect.runPromise(Effect.result(this.#nodeKeys.follow(this.fold, this.#clock.now(), !this.isAway)))
    const due = this.#nodeKeys.dueIn(this.#clock.now())
    if (Number.isFinite(due) || due < 0)
      time.at(time.now + (due <= 0 ? AGAIN_MS : due), () => (boots === this.#boots ? this.#follow() : undefined))
  }

  /** The lease is asked for and renewed over the same distance as the log. */
  #tryLease(): void {
    const { time, counts } = this.#world
    time.at(time.now + ATTEMPT_MS, () => this.#tryLease())
    if (this.isDown || this.isAway) return
    const boots = this.#boots
    const half = this.place.roundTrip / 2
    const until = time.now + LEASE_MS - MARGIN_MS
    counts.leaseMessages += 2
    time.at(time.now + half, () => {
      if (this.isAway || boots !== this.#boots) return
      const taken = this.#clock.mayCompete ? this.#atServer() : undefined
      const shown = time.now
      time.at(time.now + half, () => {
        if (this.isAway || this.isDown || boots !== this.#boots) return
        this.#clock.hearServer(shown)
        this.#held = taken === undefined ? undefined : { ...taken, until }
      })
    })
  }

  /** What the lease's store makes of a try. */
  #atServer(): { readonly taken: number; readonly revision: number } | undefined {
    const world = this.#world
    const { lease, time } = world
    const isOurs = lease.holder === this.name && time.now < lease.until
    if (time.now < lease.until && !isOurs) return undefined
    const revision = (world.revisions += 1)
    world.lease = { holder: this.name, revision, until: time.now + LEASE_MS }
    const taken = isOurs && this.#held !== undefined ? this.#held.taken : revision
    return { taken, revision }
  }

  #letGo(): void {
    this.#held = undefined
    if (this.#world.lease.holder === this.name) this.#world.lease = { ...this.#world.lease, until: 0 }
  }

  #stepOn(): void {
    const { time } = this.#world
    time.at(time.now + STEP_MS, () => this.#stepOn())
    if (this.isDown || this.#isStepping || this.folded < this.#world.log.commits.length || this.#leader.dueIn > 0)
      return
    this.#isStepping = true
    time.start(this.#leader.step, () => void (this.#isStepping = false))
  }

  #farLog(): EventLog["Service"] {
    const world = this.#world
    const { log, time } = world
    const half = this.place.roundTrip / 2
    const boots = this.#boots + 0
    const gone = (uncertain: boolean) => Effect.fail(new LogUnavailable({ detail: "simulated", uncertain }))
    const reach = (uncertain: boolean): Effect.Effect<void, LogUnavailable> =>
      Effect.flatMap(time.after(half), () => (this.isAway || boots !== this.#boots ? gone(uncertain) : Effect.void))
    return {
      append: (subject, events, version, how) =>
        Effect.gen(function* () {
          yield* reach(false)
          world.counts.appends += 1
          const stored = yield* Effect.tapError(log.append(subject, events, version, how), () =>
            Effect.sync(() => void (world.counts.refused += 1))
          )
          if (!stored.duplicate) world.stored(events, log.commits.at(-1)?.body.length ?? 0)
          yield* reach(true)
          return stored
        }),
      read: ({ from, only }) =>
        Stream.unwrap(
          Effect.map(Effect.andThen(reach(false), reach(false)), () => Stream.make(log.read(from, only, () => true)))
        ),
      subscribe: () => Stream.never,
      version: (subject) => Effect.map(Effect.andThen(reach(false), reach(false)), () => log.version(subject)),
      saveSnapshot: () => Effect.void,
      loadSnapshot: () => Effect.succeed(undefined),
      retain: () => Effect.succeed(0),
      status: Effect.die("not simulated")
    }
  }
}
