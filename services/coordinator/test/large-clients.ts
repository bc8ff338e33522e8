/**
 * A million clients with NTS on paper time, each with eight cookies of which it uses the oldest, and gets one for each reply, under
 * the key that the node that answers seals with at that moment. Routes send a client to some node of its region, now to this and
 * now to that, and to another region's where its own has none.
 */
import { acceptedGenerations } from "@meridian/events"
import type { LargeNode, LargeWorld } from "./large-cluster.ts"
import { START } from "./simulated-node.ts"

const COOKIES = 8
/** Slots of the wheel, a second each: longer than any poll interval. */
const WHEEL = 512
const LEAST_POLL = 64
const MOST_POLL = 256
const MOST_GENERATIONS = 4_096
/** A cookie that ends within this, by any clock, is nobody's fault. */
const CLOCK_SLACK_MS = 2_000
/** No reply, or no NTS-KE: a client asks again after so many seconds. */
const RETRY_SECONDS = 4

export class ManyClients {
  readonly counts = { requests: 0, answered: 0, unreachable: 0, refusedEnded: 0, refusedLive: 0, exchanges: 0 }
  /** Milliseconds after a revocation at which a node last took a cookie of that generation, counted from when it was in reach. */
  acceptedRevokedMs = 0
  /** The first broken promises, in words. */
  readonly broken: string[] = []
  readonly #world: LargeWorld
  readonly #cookies: Uint16Array
  readonly #polls: Uint16Array
  /** The wheel: the first client of each second, and the next after each. */
  readonly #first = new Int32Array(WHEEL).fill(-1)
  readonly #next: Int32Array
  /** Of each node: its generations by number (1 accepted), and the one that it seals with; made anew each second. */
  readonly #accepts: Uint8Array[]
  readonly #active: Uint16Array

  constructor(world: LargeWorld, count: number, chance: () => number) {
    this.#world = world
    this.#cookies = new Uint16Array(count * COOKIES)
    this.#polls = new Uint16Array(count)
    this.#next = new Int32Array(count).fill(-1)
    this.#accepts = world.nodes.map(() => new Uint8Array(MOST_GENERATIONS))
    this.#active = new Uint16Array(world.nodes.length)
    for (let client = 0; client < count; client++) {
      this.#polls[client] = LEAST_POLL * 2 ** Math.floor(chance() * (Math.log2(MOST_POLL / LEAST_POLL) + 1))
      this.#hang(client, Math.floor(chance() * LEAST_POLL))
    }
  }

  /** Everybody whose time it is asks. `routed`: nodes that clients of each region are sent to, in order of preference. */
  second(routed: ReadonlyArray<ReadonlyArray<number>>): void {
    const { time } = this.#world
    const second = Math.floor((time.now - START) / 1e3)
    this.#world.nodes.forEach((node, index) => this.#look(node, index))
    const live = this.#live()
    let client = this.#first[second % WHEEL]!
    this.#first[second % WHEEL] = -1
    while (client !== -1) {
      const following = this.#next[client]!
      const isAnswered = this.#ask(client, routed[client % routed.length]!, second, live)
      this.#hang(client, second + (isAnswered ? this.#polls[client]! : RETRY_SECONDS))
      client = following
    }
  }

  #hang(client: number, second: number): void {
    this.#next[client] = this.#first[second % WHEEL]!
    this.#first[second % WHEEL] = client
  }

  /** By the node's own time, as its workers do. */
  #look({ keys, own }: LargeNode, index: number): void {
    const accepts = this.#accepts[index]!
    accepts.fill(0)
    let active = 0
    for (const { id, activation, retirement } of keys?.generations ?? []) {
      if (own < retirement * 1e3) accepts[id] = 1
      if (activation * 1e3 <= own) active = Math.max(active, id)
    }
    if (active !== 0) accepts[active] = 1
    this.#active[index] = active
  }

  /** Generations that are live by the log, whichever of the clocks is asked. */
  #live(): ReadonlySet<number> {
    const { truth, time } = this.#world
    const later = new Set(acceptedGenerations(truth.nts, time.now + CLOCK_SLACK_MS).map(({ generation }) => generation))
    const now = acceptedGenerations(truth.nts, time.now - CLOCK_SLACK_MS).map(({ generation }) => generation)
    return new Set(now.filter((generation) => later.has(generation)))
  }

  #ask(client: number, routed: ReadonlyArray<number>, second: number, live: ReadonlySet<number>): boolean {
    const { counts } = this
    counts.requests += 1
    const node = routed[(client + second) % Math.max(1, routed.length)]
    const active = node === undefined ? 0 : this.#active[node]!
    if (node === undefined || active === 0) {
      counts.unreachable += 1
      return false
    }
    const from = client * COOKIES
    const cookie = this.#cookies[from]!
    if (cookie === 0) {
      this.#cookies.fill(active, from, from + COOKIES)
      counts.exchanges += 1
      return true
    }
    const isAccepted = this.#accepts[node]![cookie] === 1
    if (isAccepted) {
      this.#judgeAccepted(cookie, this.#world.nodes[node]!)
      this.#cookies.copyWithin(from, from + 1, from + COOKIES)
      this.#cookies[from + COOKIES - 1] = active
      counts.answered += 1
      return true
    }
    if (live.has(cookie)) {
      counts.refusedLive += 1
      const { name } = this.#world.nodes[node]!
      if (this.broken.length < 5) this.broken.push(`${name} refuses live generation ${cookie} after ${second} s`)
    } else counts.refusedEnded += 1
    // A NAK: keys are exchanged anew with whom the route leads to.
    this.#cookies.fill(active, from, from + COOKIES)
    counts.exchanges += 1
    return true
  }

  #judgeAccepted(cookie: number, node: LargeNode): void {
    const revokedAt = this.#world.revokedAt.get(cookie)
    if (revokedAt === undefined || node.isAway) return
    const since = Math.max(revokedAt, node.reachableSince)
    this.acceptedRevokedMs = Math.max(this.acceptedRevokedMs, this.#world.time.now - since)
  }
}
