/** One course of a large cluster under a million clients: what befalls it by chance, and what was found. */
import { activeGeneration } from "@meridian/events"
import { LargeNode, LargeWorld } from "./large-cluster.ts"
import { ManyClients } from "./large-clients.ts"
import { START } from "./simulated-node.ts"
import { seeded } from "@meridian/testkit/sim-random"

const REGIONS = 8
const SECOND_MS = 1_000
/** Milliseconds from a region to NATS and back, the farthest 200. */
const ROUND_TRIPS = [2, 10, 25, 40, 80, 120, 160, 200]
const DISK_MS = 20
const SLOW_DISK_MS = 2_500
const SLOW_SHARE = 0.1
/** Most that a clock is off at the start, and what it gains or loses each second, milliseconds. */
const OFFSET_MS = 200
const DRIFT_MS = 0.05
/** A clock that goes wrong is off by more than the limit up to a minute. */
const WRONG_MS = [12_000, 60_000] as const
const MINUTES = { revocation: 13, cut: 9, wrong: 11, crash: 4, lossOfLeader: 7 }

export interface CourseOptions {
  readonly seed: number
  readonly nodes: number
  readonly clients: number
  readonly seconds: number
  /** Longest that a region is cut off from NATS, seconds. */
  readonly longestCut: number
}

export interface Course {
  readonly broken: readonly string[]
  readonly figures: {
    readonly requests: number
    readonly exchanges: number
    readonly refusedLive: number
    readonly unreachable: number
    readonly terms: number
    readonly leaderlessMs: number
    readonly publishedMs: number
    readonly revokedMs: number
    readonly acceptedRevokedMs: number
    readonly logBytes: number
    readonly commits: number
    readonly deliveries: number
    readonly leaseMessages: number
    readonly foldBytes: number
    readonly generations: number
    readonly revocations: number
  }
}

const between = (chance: () => number, least: number, most: number): number => least + chance() * (most - least)

export const runCourse = async ({ seed, nodes, clients, seconds, longestCut }: CourseOptions): Promise<Course> => {
  const chance = seeded(seed)
  const world = new LargeWorld()
  for (let index = 0; index < nodes; index++) {
    const region = index % REGIONS
    const place = {
      region,
      roundTrip: ROUND_TRIPS[region]!,
      disk: chance() < SLOW_SHARE ? SLOW_DISK_MS : DISK_MS,
      offset: between(chance, -OFFSET_MS, OFFSET_MS),
      drift: between(chance, -DRIFT_MS, DRIFT_MS)
    }
    world.nodes.push(new LargeNode(world, `n${index + 1}`, place))
  }
  const many = new ManyClients(world, clients, chance)
  const broken: string[] = []
  const flapping = new Set<number>()
  const found = { leaderlessMs: 0, leaderlessSince: START }
  const { time } = world
  await time.runUntil(START + 30 * SECOND_MS)
  for (let second = 30; second < seconds; second++) {
    befall(world, chance, second, longestCut)
    await time.runUntil(START + (second + 1) * SECOND_MS)
    flap(world, chance, flapping)
    many.second(routes(world, flapping))
    watch(world, found, broken)
  }
  const byTerm = new Map<number, string>()
  for (const { term, leader } of world.terms) {
    if ((byTerm.get(term) ?? leader) !== leader)
      broken.push(`term ${term} was led by ${byTerm.get(term)} and ${leader}`)
    byTerm.set(term, leader)
  }
  const inStep = world.nodes.filter((node) => node.folded === world.log.commits.length)
  return {
    broken: [...broken, ...many.broken],
    figures: {
      requests: many.counts.requests,
      exchanges: many.counts.exchanges,
      refusedLive: many.counts.refusedLive,
      unreachable: many.counts.unreachable,
      terms: world.terms.length,
      leaderlessMs: found.leaderlessMs,
      publishedMs: world.converged.publishedMs,
      revokedMs: world.converged.revokedMs,
      acceptedRevokedMs: many.acceptedRevokedMs,
      logBytes: world.counts.logBytes,
      commits: world.log.commits.length,
      deliveries: world.counts.deliveries,
      leaseMessages: world.counts.leaseMessages,
      foldBytes: Math.max(0, ...inStep.map(({ fold }) => fold.toText().length)),
      generations: world.truth.nts.next - 1,
      revocations: world.revokedAt.size
    }
  }
}

/** A sixth of all routes are gone at any moment, each for some seconds. */
const flap = ({ nodes, time }: LargeWorld, chance: () => number, flapping: Set<number>): void => {
  if (chance() > nodes.length / 64) return
  const node = Math.floor(chance() * nodes.length)
  flapping.add(node)
  time.at(time.now + between(chance, 1, 20) * SECOND_MS, () => void flapping.delete(node))
}

const isTime = (second: number, minutes: number): boolean => second % (minutes * 60) === minutes * 30

/** What goes wrong in this second, and when it is right again. */
const befall = (world: LargeWorld, chance: () => number, second: number, longestCut: number): void => {
  const { time, nodes } = world
  const someone = (): LargeNode => nodes[Math.floor(chance() * nodes.length)]!
  const later = (least: number, most: number, run: () => void): void =>
    time.at(time.now + between(chance, least, most) * SECOND_MS, run)
  if (isTime(second, MINUTES.cut)) {
    const region = Math.floor(chance() * REGIONS)
    const cut = nodes.filter((node) => node.place.region === region)
    for (const node of cut) node.isAway = true
    later(5, longestCut, () => cut.forEach((node) => node.comeBack()))
  }
  if (isTime(second, MINUTES.wrong)) {
    const node = someone()
    node.step = between(chance, ...WRONG_MS) * (chance() < 0.5 ? -1 : 1)
    later(20, 120, () => void (node.step = 0))
  }
  if (isTime(second, MINUTES.crash)) {
    const node = someone()
    node.isDown = true
    later(2, 60, () => node.boot())
  }
  const leader = nodes.find((node) => node.leading)
  if (isTime(second, MINUTES.lossOfLeader) && leader !== undefined) {
    leader.isDown = true
    later(2, 60, () => leader.boot())
  }
  if (isTime(second, MINUTES.revocation)) {
    const { live } = world.truth.nts
    const active = activeGeneration(world.truth.nts, time.now)
    // Clients use their oldest cookie: what is in use now is of a generation some way back.
    const chosen = chance() < 0.3 ? active : live[Math.floor((chance() * live.length) / 2)]
    if (chosen !== undefined) leader?.revoke(chosen.generation)
  }
}

/** For each region: its own nodes that are announced, else everybody's. */
const routes = (world: LargeWorld, flapping: ReadonlySet<number>): ReadonlyArray<ReadonlyArray<number>> => {
  const announced = world.nodes.flatMap((node, index) =>
    node.isDown || node.isDoubted || node.keys === undefined || flapping.has(index) ? [] : [index]
  )
  return Array.from({ length: REGIONS }, (_, region) => {
    const own = announced.filter((index) => world.nodes[index]!.place.region === region)
    return own.length > 0 ? own : announced
  })
}

/** Whether one node leads. */
const watch = (world: LargeWorld, found: { leaderlessMs: number; leaderlessSince: number }, broken: string[]): void => {
  const { now } = world.time
  const leaders = world.nodes.filter((node) => node.leading)
  if (leaders.length > 1) broken.push(`${leaders.map(({ name }) => name).join(" and ")} lead at once`)
  if (leaders.length > 0) found.leaderlessSince = now
  else found.leaderlessMs = Math.max(found.leaderlessMs, now - found.leaderlessSince)
}
