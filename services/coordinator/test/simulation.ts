/**
 * Three nodes under random schedules of faults, over the log and the key store in memory, in simulated time: crashes, processes that
 * hang or cannot be started, lost acknowledgements, a log out of reach, full, purged or written to by others, leaders that do not
 * know they have been replaced, clocks stepped back and ahead, or lost. One seed gives one schedule.
 *
 * At each step: what a node that says it is ready serves with is what the cluster seals with; nothing that has ended is accepted.
 * After the last fault: all nodes know the same, hold every live key and are ready, and one leads within a bound.
 */
import { isDeepStrictEqual } from "node:util"
import * as Effect from "effect/Effect"
import { seeded } from "@meridian/testkit/sim-random"
import { openCommit } from "@meridian/event-log"
import type { AnyEvent } from "@meridian/events"
import { isRestoration, toIso, acceptedGenerations, activeGeneration, NTS_KEYS_SUBJECT } from "@meridian/events"
import { ClusterFold, keptAggregates } from "../src/cluster-fold.ts"
import { HISTORY_WAIT_MS } from "../src/lost-history.ts"
import { liveKeys, wantedKeys } from "../src/serving.ts"
import { type Fault, ROTATION_MS, SimNode, World } from "./simulated-node.ts"

const STEPS = 20
/** Of simulated time, in which after the last fault somebody leads: others are waited for so long at most. */
const LEADER_WITHIN_MS = HISTORY_WAIT_MS
const ROUND_MS = 1_000

const pick = <A>(from: ReadonlyArray<A>, chance: () => number): A => from[Math.floor(chance() * from.length)] as A

/** Back or ahead: by less than a rotation, by up to an hour, which is many, or by years. */
const stepClock = (node: SimNode, chance: () => number): void => {
  const most = pick([ROTATION_MS / 4, 3_600_000, 1e11], chance)
  node.skew = Math.floor((chance() - 0.5) * 2 * most)
}

const FAULTS: ReadonlyArray<Fault> = ["away", "answer-lost", "none", "full", "hung", "down"]

/** A node's fault ends, and another may begin. One that was down starts with nothing in memory. */
const changeFault = (node: SimNode, chance: () => number): void => {
  const wasDown = node.fault === "down"
  node.fault = pick(FAULTS, chance)
  if (wasDown && node.fault !== "down") node.boot()
}

/** Somebody with a node's nkey and no cluster key: a term after which none follows, an end to keys, at this version or the last. */
const forge = (world: World, chance: () => number): void => {
  const next = world.log.version(NTS_KEYS_SUBJECT) + 1
  const version = chance() < 0.7 ? next : Number.MAX_SAFE_INTEGER
  const id = `forged-${(world.ids += 1)}`
  const [type, data] = pick<readonly [string, unknown]>(
    [
      ["NtsLeaderTookOver", { term: Number.MAX_SAFE_INTEGER, leader: "a" }],
      ["NtsGenerationRevoked", { generation: 1 + Math.floor(chance() * 5), reason: "forged" }]
    ],
    chance
  )
  // Until the log is sealed, events without a MAC are believed: those of an older release.
  const mac = `${"0".repeat(16)}.${"A".repeat(43)}`
  const common = { schema: 1, id, time: toIso(world.now), node: "a", cause: "forged", subject: NTS_KEYS_SUBJECT }
  world.forged.add(id)
  world.log.forge({ ...common, type, version, data, mac } as AnyEvent)
}

/** Runs the schedule of a seed. @throws Error that says which promise was broken */
export const runSchedule = async (seed: number): Promise<void> => {
  const chance = seeded(seed)
  const world = new World()
  const nodes = ["a", "b", "c"].map((name) => new SimNode(world, name))
  /** Per node, generations it held when it was last in step with the log, and those it knew to have ended. */
  const heldAt = new Map<string, Set<number>>()
  const endedAt = new Map<string, Set<number>>()
  for (let step = 0; step < STEPS; step++) {
    const before = world.now
    const node = pick(nodes, chance)
    const dice = chance()
    if (dice < 0.25) world.now += Math.floor(chance() * ROTATION_MS * 0.6)
    else if (dice < 0.42) node.believes = world.revisions += 1
    else if (dice < 0.64) changeFault(node, chance)
    else if (dice < 0.69) {
      if (node.isRunning) node.boot()
    } else if (dice < 0.74) node.save()
    else if (dice < 0.78) stepClock(node, chance)
    else if (dice < 0.8) node.hasClock = !node.hasClock
    else if (dice < 0.83) forge(world, chance)
    // What nobody within reach knows any more cannot be laid in: then the log is left as it is.
    else if (dice < 0.85 && nodes.some((it) => it.isInStep)) world.log.purge()
    else if (node.isRunning)
      await node.attempt(
        dice < 0.93
          ? node.leader.rotateNts()
          : node.leader.revokeNts(Math.max(1, node.fold.nts.next - 1 - Math.floor(chance() * 3)), "seed")
      )
    if (step === 0) node.believes = world.revisions += 1
    for (const each of nodes.toSorted((a, b) => Number(b.isInStep) - Number(a.isInStep))) await each.layIn()
    for (const each of nodes) if (each.isRunning && each.believes !== undefined) await each.attempt(each.leader.step)
    for (const each of nodes) {
      await each.sync()
      checkNode(each, world, before, heldAt, endedAt)
    }
  }
  await checkEnd(world, nodes)
  if (world.broken[0] !== undefined) throw new Error(world.broken[0])
}

/**
 * No ended generation is accepted, none became active that the node, in step with the log, did not hold before, and one that says
 * it is ready serves with the key that is active.
 */
const checkNode = (
  node: SimNode,
  world: World,
  before: number,
  heldAt: Map<string, Set<number>>,
  endedAt: Map<string, Set<number>>
): void => {
  if (!node.isRunning) {
    heldAt.delete(node.name)
    endedAt.delete(node.name)
    return
  }
  const { nts } = node.fold
  const now = node.clock()
  const accepted = acceptedGenerations(nts, now).map(({ generation }) => generation)
  const ended = endedAt.get(node.name) ?? new Set<number>()
  for (const generation of accepted)
    if (ended.has(generation)) throw new Error(`${node.name} accepts ended ${generation}`)
  const active = activeGeneration(nts, now)
  if (node.reason === "") {
    if (!node.hasClock) throw new Error(`${node.name} says that it is ready, and has no time`)
    if (node.serves?.generations.some(({ id }) => id === active?.generation) !== true)
      throw new Error(`${node.name} says that it is ready, and does not serve with ${active?.generation}`)
  }
  // A node that starts again from an old snapshot without the log knows no better; its memory is what counts.
  const live = new Set(nts.live.map(({ generation }) => generation))
  if (node.fault !== "away") {
    for (let generation = 1; generation < nts.next; generation++) if (!live.has(generation)) ended.add(generation)
    endedAt.set(node.name, ended)
    const held = heldAt.get(node.name)
    const planned = active !== undefined && active.notBefore < before && active.activation > before
    if (held !== undefined && planned && active.activation <= world.now && !held.has(active.generation))
      throw new Error(`${node.name} did not hold ${active.generation} before it became active`)
    heldAt.set(node.name, live)
  } else {
    heldAt.delete(node.name)
    endedAt.delete(node.name)
  }
}

/** The last fault is over: what was said holds, and the cluster is whole again. */
const checkEnd = async (world: World, nodes: ReadonlyArray<SimNode>): Promise<void> => {
  for (const node of nodes) {
    if (node.fault === "down") node.boot()
    node.fault = "none"
    node.hasClock = true
    node.skew = 0
    await node.sync()
  }
  for (const node of nodes) {
    await node.layIn()
    for (const each of nodes) await each.sync()
  }
  checkLog(world, nodes)
  await checkLeader(world, nodes)
  await checkKeys(world, nodes)
}

/** As a node would read them from their text. */
const eventsOf = ({ log, forged }: World): ReadonlyArray<AnyEvent> =>
  log.commits.flatMap(({ subject, body, events }, index) => {
    if (index < log.purged || events.some(({ id }) => forged.has(id))) return []
    const opened = openCommit({ seq: index + 1, subject, body }, undefined)
    if (opened._tag === "Bad") throw new Error(`the commit at ${index + 1} cannot be read: ${opened.detail}`)
    if (JSON.stringify(opened.events) !== JSON.stringify(events)) throw new Error(`${index + 1} holds something else`)
    return opened.events
  })

/** Versions of a subject that a forged event has used up. */
const usedUp = ({ log, forged }: World): ReadonlySet<string> =>
  new Set(
    log.commits.flatMap(({ events }) =>
      events.filter(({ id }) => forged.has(id)).map((it) => `${it.subject} ${it.version}`)
    )
  )

const foldOf = (events: Iterable<AnyEvent>, fold = new ClusterFold()): ClusterFold => {
  for (const event of events) {
    const why = fold.fold(event)
    if (why !== undefined) throw new Error(`${event.type} ${event.version} does not follow: ${why}`)
  }
  return fold
}

/** A purged log may be told of the same cluster key anew by a node that knew nothing: the moment is another then, and means nothing. */
const stateOf = (fold: ClusterFold, { log }: World): unknown => {
  // Who has met a forged event at the end of a subject knows that its version is used up; who has not will.
  for (const { subject } of keptAggregates) fold.skipTo(subject, log.version(subject))
  const state = JSON.parse(fold.toText()) as { clusterKey: { latest?: number } }
  delete state.clusterKey.latest
  return state
}

/** One event a version, one leader a term, and one state of any prefix however it is folded. */
const checkLog = (world: World, nodes: ReadonlyArray<SimNode>): void => {
  const events = eventsOf(world)
  const forged = usedUp(world)
  const versions = new Map<string, number>()
  const terms = new Map<number, string>()
  for (const event of events) {
    let last = versions.get(event.subject) ?? 0
    while (last + 1 < event.version && forged.has(`${event.subject} ${last + 1}`)) last += 1
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
    if (!isDeepStrictEqual(stateOf(node.fold, world), stateOf(whole, world)))
      throw new Error(`${node.name} knows another state`)
  }
}

/** The last of them holds the lease: it leads within the bound, and no generation is lost for that. */
const checkLeader = async (world: World, nodes: ReadonlyArray<SimNode>): Promise<void> => {
  const before = Math.max(...nodes.map(({ fold }) => fold.nts.next))
  for (const node of nodes) node.believes = undefined
  const last = nodes.at(-1) as SimNode
  last.believes = world.revisions += 1
  const end = world.now + LEADER_WITHIN_MS
  for (; !last.leader.leading; world.now += ROUND_MS) {
    if (world.now > end) throw new Error(`nobody leads ${LEADER_WITHIN_MS} ms after the last fault`)
    await last.attempt(last.leader.step)
    for (const node of nodes) await node.sync()
  }
  await Effect.runPromise(last.leader.step)
  if (last.fold.nts.next < before) throw new Error("generations were lost")
}

/** A good leader tidies up: every live key opens on every node, all are ready, and the key store holds nothing of any that has ended. */
const checkKeys = async (world: World, nodes: ReadonlyArray<SimNode>): Promise<void> => {
  const last = nodes.at(-1) as SimNode
  for (const node of nodes) {
    await node.sync()
    for (const live of liveKeys(wantedKeys(node.fold, node.clock())))
      await Effect.runPromise(node.keyManager.open(live, false))
    if (node.reason !== "") throw new Error(`${node.name} is not ready after the last fault: ${node.reason}`)
  }
  const slots = new Set(last.fold.nts.live.map(({ sealed }) => sealed.slot))
  const storedKeys = (await Effect.runPromise(world.keyStore.list)).map(({ slot }) => slot)
  for (const slot of storedKeys) {
    // A key that was minted for a number not yet given out waits for it.
    const ended = Number(slot.split(".")[1]) < last.fold.nts.next
    if (ended && !slots.has(slot)) throw new Error(`slot ${slot} is in the key store and not live`)
  }
}
