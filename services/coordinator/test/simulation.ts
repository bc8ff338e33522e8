/**
 * Three nodes under random schedules of faults, over the log and the shelf in memory, in simulated time: crashes, lost
 * acknowledgements, a log out of reach, full or purged, leaders that do not know they have been replaced, clocks stepped back
 * and ahead. One seed gives one schedule.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Commit, makeCommit, mayFollow, openCommit } from "@meridian/event-log/commit"
import { wants } from "@meridian/event-log/commit-store"
import {
  type Appended,
  type AppendError,
  type EventLog,
  EventRefused,
  type LogBatch,
  LogFull,
  LogUnavailable,
  type ReadOptions,
  VersionConflict
} from "@meridian/event-log/event-log"
import { type KeyShelf, memoryShelf, overShelf } from "@meridian/event-log/key-shelf"
import { type AnyEvent, isRestoration } from "@meridian/events/catalogue"
import { fromIso } from "@meridian/events/event"
import { acceptedGenerations, activeGeneration } from "@meridian/events/nts-keys"
import { NTS_KEYS_SUBJECT } from "@meridian/events/nts-keys-events"
import { ClusterFold, keptAggregates } from "../src/cluster-fold.ts"
import { CLOCK_LIMIT_MS } from "../src/clock-witnesses.ts"
import { ClusterKeys } from "../src/cluster-keys.ts"
import type { Writer } from "../src/command.ts"
import { KeyCustody } from "../src/key-custody.ts"
import { layIn } from "../src/laying-in.ts"
import { Leader } from "../src/leader.ts"
import { LostHistory } from "../src/lost-history.ts"
import { Mint } from "../src/minting.ts"
import { NodeClock } from "../src/node-clock.ts"
import { liveKeys, liveSlots, wantedKeys } from "../src/serving.ts"

const STEPS = 20
const ROTATION_MS = 60_000
const START = Date.UTC(2026, 0, 1)
const CLUSTER_KEY = Uint8Array.from({ length: 32 }, (_, index) => index * 7 + 3)

const random = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** The log in memory, as cheap as can be: what is stored is judged when it is appended, and once more at the end. */
class SimLog {
  /** In order, the first at place 1. */
  readonly commits: Array<Commit & { readonly events: ReadonlyArray<AnyEvent> }> = []
  readonly #versions = new Map<string, number>()
  /** Commits that are gone, from the first on. */
  purged = 0

  /** All that was said is gone; places go on. */
  purge(): void {
    this.purged = this.commits.length
    this.#versions.clear()
  }

  version(subject: string): number {
    return this.#versions.get(subject) ?? 0
  }

  append(
    subject: string,
    events: ReadonlyArray<AnyEvent>,
    expected: number,
    { overHole = false }: { readonly overHole?: boolean } = {}
  ): Effect.Effect<Appended, AppendError> {
    const commit = makeCommit(subject, events, expected, undefined)
    if (commit instanceof EventRefused) return Effect.fail(commit)
    const actual = this.version(subject)
    if (mayFollow({ ...commit, overHole }, actual)) {
      this.#versions.set(subject, commit.last)
      const seq = this.commits.push({ ...commit, events })
      return Effect.succeed({ seq, version: commit.last, duplicate: false })
    }
    const at = this.commits.findIndex(
      (it, index) => index >= this.purged && it.subject === subject && it.first === commit.first
    )
    return this.commits[at]?.id === commit.id
      ? Effect.succeed({ seq: at + 1, version: commit.last, duplicate: true })
      : Effect.fail(new VersionConflict({ subject, expected, actual }))
  }

  read(from: number, only: ReadOptions["only"]): LogBatch {
    const events = this.commits.flatMap(({ subject, events: its }, index) =>
      index >= this.purged && index + 1 >= from && wants(only, subject)
        ? its.map((event) => ({ seq: index + 1, event }))
        : []
    )
    return { events, quarantined: [], upTo: this.commits.length, caughtUp: true }
  }
}

/** What the whole cluster shares, and what the checks know of it. */
class World {
  now = START
  ids = 0
  /** Revisions handed out; the last one holds the lease. */
  revisions = 0
  /** Broken promises that no answer to a node would show. */
  readonly broken: Array<string> = []

  /**
   * No leader decides by a time that is far from the true one, and so ends or begins no key before its time. A clock may be
   * ahead by the limit, and what a node has seen before by as much again.
   */
  checkTimes(events: ReadonlyArray<AnyEvent>): void {
    for (const { type, node, time } of events)
      if (fromIso(time) > this.now + 2 * CLOCK_LIMIT_MS) this.broken.push(`${node} wrote ${type} at ${time}, too early`)
  }

  readonly log = new SimLog()
  readonly shelf: KeyShelf["Service"] = overShelf(memoryShelf())
}

type Fault = "none" | "away" | "answer-lost" | "full"

class SimNode {
  readonly name: string
  readonly #world: World
  /** Milliseconds by which its clock is off. */
  skew = 0
  fault: Fault = "none"
  /** What it believes to hold; a partitioned leader goes on believing. */
  believes: number | undefined
  fold = new ClusterFold()
  /** Commits folded. */
  folded = 0
  leader!: Leader
  custody!: KeyCustody
  #clock!: NodeClock
  #writer!: Writer
  #history!: LostHistory
  /** On its disk. */
  readonly #mirror = overShelf(memoryShelf())
  #snapshot: { readonly folded: number; readonly seen: number; readonly state: string } | undefined

  constructor(world: World, name: string) {
    this.#world = world
    this.name = name
    this.boot()
  }

  /** Whether it knows all there is and can write. */
  get isInStep(): boolean {
    return this.fault === "none" && this.folded === this.#world.log.commits.length
  }

  clock(): number {
    return this.#clock.now()
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
    this.fold = (this.#snapshot && ClusterFold.fromText(this.#snapshot.state)) ?? new ClusterFold()
    this.folded = this.#snapshot?.folded ?? 0
    this.believes = undefined
    this.#history = new LostHistory(() => this.#world.now)
    this.custody = new KeyCustody(keys, this.#world.shelf, this.#mirror)
    const writer: Writer = (this.#writer = {
      log: this.#flakyLog(),
      fold: this.fold,
      node: this.name,
      now: () => this.clock(),
      newId: () => `${this.name}-${(this.#world.ids += 1)}`,
      foldedSeq: () => this.folded
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
    this.leader = new Leader(writer, lease, plan, this.custody, new Mint(this.custody), keys, doubt, back)
  }

  save(): void {
    this.#snapshot = { folded: this.folded, seen: this.#clock.sure, state: this.fold.toText() }
  }

  /** Folds what the log has, compares clocks and keeps copies of the keys, if NATS can be reached. */
  async sync(): Promise<void> {
    if (this.fault === "away") return
    this.#clock.hearServer(this.#world.now)
    const { commits } = this.#world.log
    for (const { events } of commits.slice(Math.max(this.folded, this.#world.log.purged)))
      for (const event of events) this.fold.fold(event)
    this.folded = commits.length
    const { log, shelf } = this.#world
    const shelved = (await Effect.runPromise(shelf.list)).length
    this.#history.look({ version: log.version(NTS_KEYS_SUBJECT), beginsAt: log.purged + 1, shelved })
    for (const live of liveKeys(wantedKeys(this.fold, this.clock()))) await this.attempt(this.custody.open(live, true))
    await this.attempt(this.custody.layIn(liveSlots(this.fold)))
  }

  /** What a look at the log would find lost, laid in again. */
  async layIn(): Promise<void> {
    const lost = keptAggregates.filter((it) => this.#world.log.version(it.subject) < it.get(this.fold).version)
    if (lost.length === 0 || this.fault === "away" || !this.#clock.mayWrite) return
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
          const stored = log.append(subject, events, version, how)
          return this.fault === "answer-lost" ? Effect.andThen(stored, gone(true)) : stored
        }),
      read: ({ from, only }) =>
        Stream.suspend(() =>
          this.fault === "away" ? Stream.fromEffect(gone(false)) : Stream.make(log.read(from, only))
        ),
      subscribe: () => Stream.never,
      version: (subject) =>
        Effect.suspend(() => (this.fault === "away" ? gone(false) : Effect.succeed(log.version(subject)))),
      saveSnapshot: () => Effect.void,
      loadSnapshot: () => Effect.succeed(undefined),
      retain: () => Effect.succeed(0),
      status: Effect.die("not simulated")
    }
  }
}

const pick = <A>(from: ReadonlyArray<A>, chance: () => number): A => from[Math.floor(chance() * from.length)] as A

/** Back or ahead: by less than a rotation, by up to an hour, which is many, or by years. */
const stepClock = (node: SimNode, chance: () => number): void => {
  const most = pick([ROTATION_MS / 4, 3_600_000, 1e11], chance)
  node.skew = Math.floor((chance() - 0.5) * 2 * most)
}

/** Runs the schedule of a seed. @throws Error that says which promise was broken */
export const runSchedule = async (seed: number): Promise<void> => {
  const chance = random(seed)
  const world = new World()
  const nodes = ["a", "b", "c"].map((name) => new SimNode(world, name))
  /** Per node, generations it held when it was last in step with the log, and those it knew to have ended. */
  const heldAt = new Map<string, Set<number>>()
  const endedAt = new Map<string, Set<number>>()
  for (let step = 0; step < STEPS; step++) {
    const before = world.now
    const node = pick(nodes, chance)
    const dice = chance()
    if (dice < 0.27) world.now += Math.floor(chance() * ROTATION_MS * 0.6)
    else if (dice < 0.45) node.believes = world.revisions += 1
    else if (dice < 0.68) node.fault = pick<Fault>(["away", "answer-lost", "none", "full"], chance)
    else if (dice < 0.73) node.boot()
    else if (dice < 0.78) node.save()
    else if (dice < 0.82) stepClock(node, chance)
    // What nobody within reach knows any more cannot be laid in: then the log is left as it is.
    else if (dice < 0.84 && nodes.some((it) => it.isInStep)) world.log.purge()
    else if (dice < 0.92) await node.attempt(node.leader.rotateNts())
    else
      await node.attempt(node.leader.revokeNts(Math.max(1, node.fold.nts.next - 1 - Math.floor(chance() * 3)), "seed"))
    if (step === 0) node.believes = world.revisions += 1
    for (const each of nodes.toSorted((a, b) => Number(b.isInStep) - Number(a.isInStep))) await each.layIn()
    for (const each of nodes) if (each.believes !== undefined) await each.attempt(each.leader.step)
    for (const each of nodes) {
      await each.sync()
      checkNode(each, world, before, heldAt, endedAt)
    }
  }
  if (world.broken[0] !== undefined) throw new Error(world.broken[0])
  await checkLog(world, nodes)
}

/** No ended generation is accepted, and none became active that the node, in step with the log, did not hold before. */
const checkNode = (
  node: SimNode,
  world: World,
  before: number,
  heldAt: Map<string, Set<number>>,
  endedAt: Map<string, Set<number>>
): void => {
  const { nts } = node.fold
  const now = node.clock()
  const accepted = acceptedGenerations(nts, now).map(({ generation }) => generation)
  const ended = endedAt.get(node.name) ?? new Set<number>()
  for (const generation of accepted)
    if (ended.has(generation)) throw new Error(`${node.name} accepts ended ${generation}`)
  // A node that starts again from an old snapshot without the log knows no better; its memory is what counts.
  const live = new Set(nts.live.map(({ generation }) => generation))
  if (node.fault !== "away") {
    for (let generation = 1; generation < nts.next; generation++) if (!live.has(generation)) ended.add(generation)
    endedAt.set(node.name, ended)
    const held = heldAt.get(node.name)
    const active = activeGeneration(nts, now)
    const planned = active !== undefined && active.notBefore < before && active.activation > before
    if (held !== undefined && planned && active.activation <= world.now && !held.has(active.generation))
      throw new Error(`${node.name} did not hold ${active.generation} before it became active`)
    heldAt.set(node.name, live)
  } else {
    heldAt.delete(node.name)
    endedAt.delete(node.name)
  }
}

/** As a node would read them from their text. */
const eventsOf = ({ log }: World): ReadonlyArray<AnyEvent> =>
  log.commits.flatMap(({ subject, body, events }, index) => {
    if (index < log.purged) return []
    const opened = openCommit({ seq: index + 1, subject, body }, undefined)
    if (opened._tag === "Bad") throw new Error(`the commit at ${index + 1} cannot be read: ${opened.detail}`)
    if (JSON.stringify(opened.events) !== JSON.stringify(events)) throw new Error(`${index + 1} holds something else`)
    return opened.events
  })

const foldOf = (events: Iterable<AnyEvent>, fold = new ClusterFold()): ClusterFold => {
  for (const event of events) {
    const why = fold.fold(event)
    if (why !== undefined) throw new Error(`${event.type} ${event.version} does not follow: ${why}`)
  }
  return fold
}

/** A purged log may be told of the same cluster key anew by a node that knew nothing: the moment is another then, and means nothing. */
const stateText = (fold: ClusterFold): string =>
  fold.toText().replace(/("clusterKey":\{"version":\d+,"latest":)\d+/, "$1")

/** One event a version, one leader a term, and one state of any prefix however it is folded. */
const checkLog = async (world: World, nodes: ReadonlyArray<SimNode>): Promise<void> => {
  for (const node of nodes) {
    node.fault = "none"
    node.skew = 0
    await node.sync()
  }
  for (const node of nodes) {
    await node.layIn()
    for (const each of nodes) await each.sync()
  }
  const events = eventsOf(world)
  const versions = new Map<string, number>()
  const terms = new Map<number, string>()
  for (const event of events) {
    const last = versions.get(event.subject) ?? 0
    const isFollowing = event.version === last + 1 || (isRestoration(event.type) && event.version > last)
    if (!isFollowing) throw new Error(`${event.subject} has ${event.version} after ${last}`)
    versions.set(event.subject, event.version)
    if (event.type !== "NtsLeaderTookOver") continue
    if (terms.has(event.data.term)) throw new Error(`term ${event.data.term} twice`)
    terms.set(event.data.term, event.data.leader)
  }
  const cut = Math.floor(events.length / 2)
  const prefix = foldOf(events.slice(0, cut))
  const twice = foldOf(events.slice(0, cut), foldOf(events.slice(0, cut)))
  if (prefix.toText() !== twice.toText()) throw new Error("a prefix folded twice gives another state")
  const whole = foldOf(events)
  const rest = ClusterFold.fromText(prefix.toText())
  if (rest === undefined || foldOf(events, rest).toText() !== whole.toText())
    throw new Error("a snapshot and its tail give another state")
  for (const node of nodes) {
    if (stateText(node.fold) !== stateText(whole)) throw new Error(`${node.name} knows another state`)
  }
  await checkKeys(world, nodes, whole)
}

/** A good leader tidies up: every live key opens on every node, and the shelf holds nothing of any that has ended. */
const checkKeys = async (world: World, nodes: ReadonlyArray<SimNode>, whole: ClusterFold): Promise<void> => {
  const [last] = nodes as [SimNode, ...ReadonlyArray<SimNode>]
  for (const node of nodes) node.believes = undefined
  last.skew = 0
  last.believes = world.revisions += 1
  await Effect.runPromise(last.leader.step)
  for (const node of nodes) {
    await node.sync()
    for (const live of liveKeys(wantedKeys(node.fold, node.clock())))
      await Effect.runPromise(node.custody.open(live, false))
  }
  const slots = new Set(last.fold.nts.live.map(({ sealed }) => sealed.slot))
  const shelved = (await Effect.runPromise(world.shelf.list)).map(({ slot }) => slot)
  for (const slot of shelved) {
    // A key that was minted for a number not yet given out waits for it.
    const ended = Number(slot.split(".")[1]) < last.fold.nts.next
    if (ended && !slots.has(slot)) throw new Error(`slot ${slot} is on the shelf and not live`)
  }
  if (whole.nts.next > last.fold.nts.next) throw new Error("generations were lost")
}
