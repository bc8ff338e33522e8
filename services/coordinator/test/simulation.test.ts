/**
 * Three nodes under random schedules of faults, over the log and the shelf in memory, in simulated time: crashes, lost
 * acknowledgements, a log out of reach, leaders that do not know they have been replaced, clocks stepped back. One seed
 * gives one schedule; a failure names its seed.
 *
 * Runs for a bounded time; MERIDIAN_SCHEDULES asks for a number of schedules instead, MERIDIAN_SEED says which is first.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { expect, it } from "vitest"
import { overStore } from "@meridian/event-log/commit-store"
import { type EventLog, LogUnavailable } from "@meridian/event-log/event-log"
import { type KeyShelf, memoryShelf, overShelf } from "@meridian/event-log/key-shelf"
import { memoryStore } from "@meridian/event-log/memory"
import type { AnyEvent } from "@meridian/events/catalogue"
import { acceptedGenerations, activeGeneration } from "@meridian/events/nts-keys"
import { ClusterFold } from "../src/cluster-fold.ts"
import { ClusterKeys } from "../src/cluster-keys.ts"
import type { Writer } from "../src/command.ts"
import { ForwardClock } from "../src/forward-clock.ts"
import { KeyCustody } from "../src/key-custody.ts"
import { Leader } from "../src/leader.ts"
import { Mint } from "../src/minting.ts"
import { liveKeys, wantedKeys } from "../src/serving.ts"

const GIVEN = process.env["MERIDIAN_SCHEDULES"]
const SCHEDULES = Number(GIVEN ?? 10_000)
const FIRST_SEED = Number(process.env["MERIDIAN_SEED"] ?? 1)
/** What a run may take where no number was asked for; it says how many schedules that was enough for. */
const TIME_LIMIT_MS = GIVEN === undefined ? 20_000 : 3_600_000
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

/** What the whole cluster shares, and what the checks know of it. */
class World {
  now = START
  ids = 0
  /** Revisions handed out; the last one holds the lease. */
  revisions = 0
  /** Last place of the log. */
  lastSeq = 0
  /** A clock is off by more than a rotation: what its node plans a rotation ahead may be the others' past. */
  farOff = false
  readonly store = memoryStore(() => this.now)
  readonly log = overStore(this.store)
  readonly shelf: KeyShelf["Service"] = overShelf(memoryShelf())
}

type Fault = "none" | "away" | "answer-lost"

class SimNode {
  readonly name: string
  readonly #world: World
  /** Milliseconds by which its clock is off. */
  skew = 0
  fault: Fault = "none"
  /** What it believes to hold; a partitioned leader goes on believing. */
  believes: number | undefined
  fold = new ClusterFold()
  seq = 0
  leader!: Leader
  custody!: KeyCustody
  #clock!: ForwardClock
  #snapshot: { readonly seq: number; readonly seen: number; readonly state: string } | undefined

  constructor(world: World, name: string) {
    this.#world = world
    this.name = name
    this.boot()
  }

  clock(): number {
    return this.#clock.now()
  }

  /** Starts from the snapshot, with nothing in memory. */
  boot(): void {
    // Simulated time is the clock that nobody steps; the node's own has its skew.
    this.#clock = new ForwardClock(
      () => this.#world.now + this.skew,
      () => this.#world.now
    )
    if (this.#snapshot !== undefined) this.#clock.notBefore(this.#snapshot.seen)
    const keys = new ClusterKeys(CLUSTER_KEY, "memory", "/nonexistent")
    this.fold = (this.#snapshot && ClusterFold.fromText(this.#snapshot.state)) ?? new ClusterFold()
    this.seq = this.#snapshot?.seq ?? 0
    this.believes = undefined
    this.custody = new KeyCustody(keys, this.#world.shelf, undefined)
    const writer: Writer = {
      log: this.#flakyLog(),
      fold: this.fold,
      node: this.name,
      now: () => this.clock(),
      newId: () => `${this.name}-${(this.#world.ids += 1)}`,
      foldedSeq: () => this.seq
    }
    const lease = {
      held: () => this.believes,
      release: Effect.sync(() => void (this.believes = undefined)),
      resign: Effect.sync(() => void (this.believes = undefined))
    }
    const plan = {
      mint: { nts: true, symmetric: false },
      rotationMs: ROTATION_MS,
      clockRetention: { ms: undefined, count: undefined }
    }
    this.leader = new Leader(writer, lease, plan, this.custody, new Mint(this.custody), keys, () => "")
  }

  save(): void {
    this.#snapshot = { seq: this.seq, seen: this.clock(), state: this.fold.toText() }
  }

  /** Folds what the log has, if it can be reached. */
  async sync(): Promise<void> {
    if (this.fault === "away" || this.seq === this.#world.lastSeq) return
    await Effect.runPromise(
      Stream.runForEach(this.#world.log.read({ from: this.seq + 1 }), ({ events, upTo }) =>
        Effect.sync(() => {
          for (const { event } of events) this.fold.fold(event)
          this.seq = upTo
        })
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
      ...log,
      append: (subject, events, version) =>
        Effect.suspend(() => {
          if (this.fault === "away") return gone(false)
          const stored = Effect.tap(log.append(subject, events, version), ({ seq }) =>
            Effect.sync(() => void (this.#world.lastSeq = Math.max(this.#world.lastSeq, seq)))
          )
          return this.fault === "answer-lost" ? Effect.andThen(stored, gone(true)) : stored
        }),
      version: (subject) => (this.fault === "away" ? gone(false) : log.version(subject))
    }
  }
}

const pick = <A>(from: ReadonlyArray<A>, chance: () => number): A => from[Math.floor(chance() * from.length)] as A

/** By less than a rotation, or by up to an hour, which is many. */
const stepBack = (node: SimNode, world: World, chance: () => number): void => {
  const far = chance() < 0.5
  node.skew = -Math.floor(chance() * (far ? 3_600_000 : ROTATION_MS / 4))
  world.farOff ||= far
}

const runSchedule = async (seed: number): Promise<void> => {
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
    else if (dice < 0.68) node.fault = pick<Fault>(["away", "answer-lost", "none"], chance)
    else if (dice < 0.73) node.boot()
    else if (dice < 0.78) node.save()
    else if (dice < 0.82) stepBack(node, world, chance)
    else if (dice < 0.92) await node.attempt(node.leader.rotateNts)
    else
      await node.attempt(node.leader.revokeNts(Math.max(1, node.fold.nts.next - 1 - Math.floor(chance() * 3)), "seed"))
    if (step === 0) node.believes = world.revisions += 1
    for (const each of nodes) if (each.believes !== undefined) await each.attempt(each.leader.step)
    for (const each of nodes) {
      await each.sync()
      checkNode(each, world, before, heldAt, endedAt)
    }
  }
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
    if (
      held !== undefined &&
      !world.farOff &&
      planned &&
      active.activation <= world.now &&
      !held.has(active.generation)
    )
      throw new Error(`${node.name} did not hold ${active.generation} before it became active`)
    heldAt.set(node.name, live)
  } else {
    heldAt.delete(node.name)
    endedAt.delete(node.name)
  }
}

const eventsOf = async (world: World): Promise<ReadonlyArray<AnyEvent>> => {
  const batches = await Effect.runPromise(Stream.runCollect(world.log.read({ from: 1 })))
  expect(batches.flatMap(({ quarantined }) => quarantined)).toEqual([])
  return batches.flatMap(({ events }) => events.map(({ event }) => event))
}

const foldOf = (events: Iterable<AnyEvent>, fold = new ClusterFold()): ClusterFold => {
  for (const event of events) {
    const why = fold.fold(event)
    if (why !== undefined) throw new Error(`${event.type} ${event.version} does not follow: ${why}`)
  }
  return fold
}

/** One event a version, one leader a term, and one state of any prefix however it is folded. */
const checkLog = async (world: World, nodes: ReadonlyArray<SimNode>): Promise<void> => {
  const events = await eventsOf(world)
  const versions = new Map<string, number>()
  const terms = new Map<number, string>()
  for (const event of events) {
    const last = versions.get(event.subject) ?? 0
    if (event.version !== last + 1) throw new Error(`${event.subject} has ${event.version} after ${last}`)
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
    node.fault = "none"
    await node.sync()
    if (node.fold.toText() !== whole.toText()) throw new Error(`${node.name} knows another state`)
  }
  await checkKeys(world, nodes, whole)
}

/** A good leader tidies up: every live key opens on every node, and the shelf holds nothing of any that has ended. */
const checkKeys = async (world: World, nodes: ReadonlyArray<SimNode>, whole: ClusterFold): Promise<void> => {
  const [last] = nodes as [SimNode, ...ReadonlyArray<SimNode>]
  for (const node of nodes) node.believes = undefined
  last.believes = world.revisions += 1
  await Effect.runPromise(last.leader.step)
  for (const node of nodes) {
    await node.sync()
    for (const live of liveKeys(wantedKeys(node.fold, node.clock()))) await Effect.runPromise(node.custody.open(live))
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

it(
  "keeps its promises under random schedules of faults",
  async () => {
    const start = performance.now()
    let done = 0
    for (; done < SCHEDULES && performance.now() - start < TIME_LIMIT_MS; done++) {
      const seed = FIRST_SEED + done
      try {
        await runSchedule(seed)
      } catch (error) {
        throw new Error(`MERIDIAN_SEED=${seed} MERIDIAN_SCHEDULES=1: ${String(error)}`, { cause: error })
      }
    }
    process.stdout.write(`${done} of ${SCHEDULES} schedules in ${Math.round(performance.now() - start)} ms\n`)
    expect(done).toBeGreaterThan(0)
  },
  TIME_LIMIT_MS + 10_000
)
