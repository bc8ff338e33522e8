/**
 * What is known of each client: the recency list and the rate limits in one table of bounded size (client-layout.ts). An
 * address has its place in one set of eight records. When the set is full, a newcomer may take the record of an address
 * that was seen once or is gone for long, never of one that is over its limit: a flood of new addresses only washes out
 * itself, and a newcomer that finds no place is served and not remembered.
 */
import {
  clientMemory,
  type ClientMemory,
  Field,
  Header,
  Mark,
  RECORD_WORDS,
  recordAt,
  TABLE_MAGIC,
  tagAt,
  TICKS_PER_SECOND,
  WAYS
} from "./client-layout.ts"
import type { Chance, RateLimiter } from "./rate-limit.ts"

export interface ClientTablePlan {
  /** IPv6 addresses share a record by their first bits, 1 … 128. */
  readonly ipv6Prefix: number
  /** A record is worth nothing any more when its address was silent for so long, in seconds (`mru maxage`). */
  readonly maxAge: number
  /** A full set gives up an address that came more than once only when it was silent for so long (`mru minage`). */
  readonly minAge: number
}

/** No record. */
export const NO_RECORD = -1

export class ClientTable {
  private readonly memory: ClientMemory
  private readonly plan: ClientTablePlan
  private readonly limiter: RateLimiter
  private readonly chance: Chance
  private readonly masks: readonly [number, number, number, number]
  private a = 0
  private b = 0
  private c = 0
  private d = 0
  private ipv6 = false

  /**
   * @param buffer zeros, or a table that another process keeps or kept
   * @param limiter says which addresses are over their limit
   * @param chance its first two draws are the secret of a table that is new
   */
  constructor(buffer: ArrayBuffer, plan: ClientTablePlan, limiter: RateLimiter, chance: Chance) {
    this.memory = clientMemory(buffer)
    this.plan = plan
    this.limiter = limiter
    this.chance = chance
    this.masks = prefixMasks(plan.ipv6Prefix)
    const { header, sets } = this.memory
    if (header[Header.magic] === TABLE_MAGIC && header[Header.sets] === sets) return
    new Uint8Array(buffer).fill(0)
    header[Header.seed] = chance.next() * 2 ** 32
    header[Header.seed + 1] = chance.next() * 2 ** 32
    header[Header.sets] = sets
    header[Header.magic] = TABLE_MAGIC
  }

  /**
   * The record of an address, made where there is none; {@link NO_RECORD} where no place is to be had. A new record's count is 0.
   * @param now ticks
   */
  find(a: number, b: number, c: number, d: number, now: number): number {
    const { header, tags, sets } = this.memory
    this.take(a, b, c, d)
    const first = this.hash(header[Header.seed]! | 0)
    const tag = (mix(first ^ header[Header.seed + 1]!) & 0xffff) | 1
    const set = Math.floor(((first >>> 0) * sets) / 2 ** 32) * WAYS
    const tagsAt = tagAt(set)
    let free = NO_RECORD
    for (let way = 0; way < WAYS; way += 1) {
      const own = tags[tagsAt + way]!
      if (own === tag && this.holds(set + way)) {
        header[Header.known]! += 1
        return set + way
      }
      if (own === 0 && free === NO_RECORD) free = set + way
    }
    return free === NO_RECORD ? this.replace(set, tag, now) : this.settle(free, tag, now, Header.fresh)
  }

  /** Of the words of a record. */
  get(record: number, field: number): number {
    return this.memory.words[recordAt(record) + field]!
  }

  set(record: number, field: number, value: number): void {
    this.memory.words[recordAt(record) + field] = value
  }

  level(record: number): number {
    return this.memory.levels[recordAt(record) + Field.level]!
  }

  setLevel(record: number, level: number): void {
    this.memory.levels[recordAt(record) + Field.level] = level
  }

  /** Notes a packet: its time, its port and the rest; the limit is the caller's. */
  note(record: number, now: number, port: number, marks: number): void {
    const { words } = this.memory
    const at = recordAt(record)
    words[at + Field.last] = now
    words[at + Field.count]! += 1
    words[at + Field.kissesAndPort] = (words[at + Field.kissesAndPort]! & 0xffff) | (port << 16)
    words[at + Field.marks] = marks | (words[at + Field.marks]! & Mark.ipv6)
    if (this.ipv6) {
      words[at + 2] = this.c
      words[at + 3] = this.d
    }
  }

  /** Adds to the last packet's marks. */
  mark(record: number, marks: number): void {
    this.memory.words[recordAt(record) + Field.marks]! |= marks
  }

  noteKiss(record: number, now: number): void {
    const { words } = this.memory
    const at = recordAt(record)
    if ((words[at + Field.kissesAndPort]! & 0xffff) !== 0xffff) words[at + Field.kissesAndPort]! += 1
    words[at + Field.lastKiss] = now
  }

  private take(a: number, b: number, c: number, d: number): void {
    this.a = a
    this.b = b
    this.c = c
    this.d = d
    this.ipv6 = a !== 0 || b !== 0 || c !== 0xffff
  }

  /** Mixes what identifies the address with a secret, so that nobody can aim at a set. */
  private hash(seed: number): number {
    const [m0, m1, m2, m3] = this.masks
    const { ipv6 } = this
    let mixed = seed ^ (ipv6 ? 0x9e3779b9 : 0)
    if (ipv6) mixed = mix(mix(mixed ^ (this.a & m0)) ^ (this.b & m1))
    if (ipv6 && m2 !== 0) mixed = mix(mixed ^ (this.c & m2))
    return mix(mixed ^ (ipv6 ? this.d & m3 : this.d))
  }

  private holds(record: number): boolean {
    const { words } = this.memory
    const at = recordAt(record)
    const isIpv6 = (words[at + Field.marks]! & Mark.ipv6) !== 0
    if (isIpv6 !== this.ipv6) return false
    if (!isIpv6) return words[at + 3] === this.d
    const [m0, m1, m2, m3] = this.masks
    const differs =
      ((words[at]! ^ this.a) & m0) |
      ((words[at + 1]! ^ this.b) & m1) |
      ((words[at + 2]! ^ this.c) & m2) |
      ((words[at + 3]! ^ this.d) & m3)
    return differs === 0
  }

  /**
   * Gives the newcomer the place that is worth least, if any may go. The younger that place's address, the less likely: under
   * a flood the addresses seen once stay for a while, and one that means it comes back before it is gone.
   */
  private replace(set: number, tag: number, now: number): number {
    const { words } = this.memory
    let victim = NO_RECORD
    let least = Infinity
    let age = 0
    for (let record = set; record < set + WAYS; record += 1) {
      const at = recordAt(record)
      const idle = ((now - words[at + Field.last]!) >>> 0) / TICKS_PER_SECOND
      const worth = this.worth(record, idle)
      if (worth < least) {
        least = worth
        victim = record
        age = idle
      }
    }
    if (least === Infinity || this.chance.next() * this.plan.minAge > age) {
      this.memory.header[Header.refused]! += 1
      return NO_RECORD
    }
    return this.settle(victim, tag, now, Header.replaced)
  }

  /** The longer silent the less; addresses seen once before others; Infinity for what stays. */
  private worth(record: number, idle: number): number {
    const { words } = this.memory
    const at = recordAt(record)
    const isOver = (words[at + Field.marks]! & Mark.over) !== 0 && this.limiter.isOver(this.level(record), idle)
    if (isOver) return Infinity
    if (words[at + Field.count]! <= 1 || idle > this.plan.maxAge) return -idle - 2 ** 32
    return idle > this.plan.minAge ? -idle : Infinity
  }

  private settle(record: number, tag: number, now: number, counter: number): number {
    const { header, tags, words } = this.memory
    const at = recordAt(record)
    words.fill(0, at, at + RECORD_WORDS)
    words[at] = this.a
    words[at + 1] = this.b
    words[at + 2] = this.c
    words[at + 3] = this.d
    words[at + Field.first] = now
    words[at + Field.marks] = this.ipv6 ? Mark.ipv6 : 0
    if (tags[tagAt(record)] === 0) header[Header.used]! += 1
    tags[tagAt(record)] = tag
    header[counter]! += 1
    return record
  }
}

/** The finaliser of MurmurHash3: every bit of the word moves every bit of the result. */
const mix = (word: number): number => {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

/** The bits of each word that a prefix covers. */
const prefixMasks = (length: number): readonly [number, number, number, number] => {
  const word = (at: number): number => {
    const bits = Math.min(32, Math.max(0, length - at * 32))
    return bits === 0 ? 0 : -1 << (32 - bits)
  }
  return [word(0), word(1), word(2), word(3)]
}
