/**
 * What is known of each client: the recency list and the rate limits in one table of bounded size (client-layout.ts). An
 * address has its place in one set of eight records. When the set is full, a newcomer may take the record of an address
 * that was seen once or is gone for long, never of one that is over its limit: a flood of new addresses only washes out
 * itself, and a newcomer that finds no place is served and not remembered.
 *
 * An address that came several times over seconds is a regular, and stays known as one for as long as its record is there. While requests stand in
 * the queue nobody becomes a regular, and no regular makes way.
 */
import * as layout from "./client-layout.ts"
import type { Chance, RateLimiter } from "./rate-limit.ts"

/*
 * Bindings of this module: a compiler takes them for what they are, where it looks up an imported one at each use, and asks each time whether it is there yet.
 */
const { clientMemory, noteWritten, writtenParts, TABLE_MAGIC, TICKS_PER_SECOND, WAYS } = layout
const { Field, Header, Mark, Rest, RECORD_WORDS, REST_WORDS, recordAt, restAt } = layout

export interface ClientTablePlan {
  /** IPv6 addresses share a record by their first bits, 1 … 128. */
  readonly ipv6Prefix: number
  /** A record is worth nothing any more when its address was silent for so long, in seconds (`mru maxage`). */
  readonly maxAge: number
  /** A full set gives up an address that came more than once only when it was silent for so long (`mru minage`). */
  readonly minAge: number
}

/** A regular has sent so many packets at least, over so long. Longer than it takes to notice that requests stand in the queue (two seconds), so that no flood makes any. */
const REGULAR_PACKETS = 3
const REGULAR_TICKS = 3 * TICKS_PER_SECOND

/** What stays of a record's marks when its next packet comes. */
const LASTING_MARKS = Mark.ipv6 | Mark.regular

/** No record. */
export const NO_RECORD = -1

export class ClientTable {
  private readonly memory: layout.ClientMemory
  private readonly plan: ClientTablePlan
  private readonly limiter: RateLimiter
  private readonly chance: Chance
  private readonly masks: readonly [number, number, number, number]
  /** By packet of a batch: its address in four words, the set and the tag that it has, and the record that is likely its own. */
  private readonly addresses: Int32Array
  private readonly sets: Int32Array
  private readonly tags: Int32Array
  private readonly records: Int32Array
  /** The sets of those that are likely not known. */
  private readonly strangers: Int32Array
  /** Of the packet that {@link find} was asked for last. */
  private a = 0
  private b = 0
  private c = 0
  private d = 0
  private ipv6 = false
  /** Whether requests stand in the queue. */
  isCrowded = false
  /** Of what was read for nothing but to have it near: kept, so that no compiler leaves the reading out. */
  private readonly near = new Int32Array(1)

  /**
   * @param buffer zeros, or a table that another process keeps or kept
   * @param limiter says which addresses are over their limit
   * @param chance its first two draws are the secret of a table that is new
   * @param batch most packets of a batch
   */
  constructor(buffer: ArrayBuffer, plan: ClientTablePlan, limiter: RateLimiter, chance: Chance, batch = 1) {
    this.memory = clientMemory(buffer)
    this.plan = plan
    this.limiter = limiter
    this.chance = chance
    this.masks = prefixMasks(plan.ipv6Prefix)
    this.addresses = new Int32Array(4 * batch)
    this.sets = new Int32Array(batch)
    this.tags = new Int32Array(batch)
    this.records = new Int32Array(batch)
    this.strangers = new Int32Array(batch)
    const { header, sets } = this.memory
    if (header[Header.magic] === TABLE_MAGIC && header[Header.sets] === sets) return
    if (header.some((word) => word !== 0)) new Uint8Array(buffer).fill(0)
    header[Header.seed] = chance.next() * 2 ** 32
    header[Header.seed + 1] = chance.next() * 2 ** 32
    header[Header.sets] = sets
    header[Header.magic] = TABLE_MAGIC
  }

  /**
   * Says whose record will be asked for.
   * @param packet its number in the batch, from 0 on
   */
  expect(packet: number, a: number, b: number, c: number, d: number): void {
    const { header, sets } = this.memory
    const { addresses } = this
    const at = 4 * packet
    addresses[at] = a
    addresses[at + 1] = b
    addresses[at + 2] = c
    addresses[at + 3] = d
    const first = this.hash(a, b, c, d, header[Header.seed]! | 0)
    const set = Math.floor(((first >>> 0) * sets) / 2 ** 32) * WAYS
    const tag = (mix(first ^ header[Header.seed + 1]!) & 0xffff) | 1
    this.tags[packet] = tag | (tag << 16)
    this.sets[packet] = set
    this.records[packet] = set
  }

  /**
   * Fetches the records of the addresses that were {@link expect}ed. A table of a million addresses lies in no cache, and a processor
   * waits for a dozen places of memory at once where no step depends on what is read: so each loop here reads one thing of each address.
   * @param count how many they are
   * @param takesIn whether those who have no record are likely to get one
   */
  fetch(count: number, takesIn: boolean): void {
    const { sets, tags: wanted, records, strangers: unknown } = this
    const { tagPairs, words } = this.memory
    let near = 0
    let strangers = 0
    for (let packet = 0; packet < count; packet += 1) near ^= tagPairs[sets[packet]! >> 1]!
    for (let packet = 0; packet < count; packet += 1) {
      const set = sets[packet]!
      const tag = wanted[packet]!
      const at = set >> 1
      const a = tagPairs[at]! ^ tag
      const b = tagPairs[at + 1]! ^ tag
      const c = tagPairs[at + 2]! ^ tag
      const d = tagPairs[at + 3]! ^ tag
      // Without a branch, which would be guessed wrong.
      const way =
        (isLow(b) & 2) |
        (isLow(c) & 4) |
        (isLow(d) & 6) |
        (isHigh(a) & 1) |
        (isHigh(b) & 3) |
        (isHigh(c) & 5) |
        (isHigh(d) & 7)
      records[packet] = set + way
      unknown[strangers] = set
      strangers += 1 + (isLow(a) | (-way >> 31))
    }
    for (let packet = 0; packet < count; packet += 1) near ^= words[recordAt(records[packet]!)]!
    // A stranger may take anybody's place in its set, so all of them are looked at.
    for (let each = 0; takesIn && each < strangers; each += 1)
      for (let way = 0; way < WAYS; way += 1) near ^= words[recordAt(unknown[each]! + way) + Field.last]!
    this.near[0] = near
  }

  /**
   * The record of a packet's address, made where there is none; {@link NO_RECORD} where no place is to be had. A new record's count is 0.
   * @param packet as it was {@link expect}ed
   * @param now ticks
   */
  find(packet: number, now: number): number {
    const { header, tags } = this.memory
    this.takeUp(packet)
    const likely = this.records[packet]!
    if (tags[likely] !== (this.tags[packet]! & 0xffff) || !this.holds(likely)) return this.search(packet, now)
    header[Header.known]! += 1
    return likely
  }

  /**
   * Whether a packet's address is a regular. Nothing is noted.
   * @param packet as it was {@link expect}ed
   */
  isRegular(packet: number): boolean {
    const { tags, words } = this.memory
    const set = this.sets[packet]!
    const tag = this.tags[packet]! & 0xffff
    for (let record = set; record < set + WAYS; record += 1) {
      if (tags[record] !== tag || (words[recordAt(record) + Field.marks]! & Mark.regular) === 0) continue
      this.takeUp(packet)
      if (this.holds(record)) return true
    }
    return false
  }

  /**
   * Takes over what another table knows, those over their limit first; who finds no place is forgotten.
   * @param other another table's memory, which nobody else may write to meanwhile
   * @param now ticks
   */
  inherit(other: ArrayBuffer, now: number): void {
    const old = clientMemory(other)
    if (old.header[Header.magic] !== TABLE_MAGIC) return
    for (const over of [Mark.over, 0])
      for (const [from, to] of writtenParts(old))
        for (let record = from; record < to; record += 1) {
          const at = recordAt(record)
          if (old.tags[record] === 0 || (old.words[at + Field.marks]! & Mark.over) !== over) continue
          const restFrom = restAt(record)
          this.expect(0, old.words[restFrom]!, old.words[restFrom + 1]!, old.words[at]!, old.words[at + 1]!)
          const own = this.find(0, now)
          if (own === NO_RECORD) continue
          this.memory.words.set(old.words.subarray(at, at + RECORD_WORDS), recordAt(own))
          this.memory.words.set(old.words.subarray(restFrom, restFrom + REST_WORDS), restAt(own))
        }
    const counted = [Header.known, Header.fresh, Header.replaced, Header.refused]
    for (const field of counted) this.memory.header[field] = old.header[field]!
  }

  private takeUp(packet: number): void {
    const { addresses } = this
    const at = 4 * packet
    this.a = addresses[at]!
    this.b = addresses[at + 1]!
    this.c = addresses[at + 2]!
    this.d = addresses[at + 3]!
    this.ipv6 = isIpv6(this.a, this.b, this.c)
  }

  private search(packet: number, now: number): number {
    const { header, tags } = this.memory
    const set = this.sets[packet]!
    const tag = this.tags[packet]! & 0xffff
    const tagsAt = set
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
    const count = words[at + Field.count]! + 1
    words[at + Field.last] = now
    words[at + Field.count] = count
    words[at + Field.kissesAndPort] = (words[at + Field.kissesAndPort]! & 0xffff) | (port << 16)
    const isLasting = count >= REGULAR_PACKETS && (now - words[at + Field.first]!) >>> 0 >= REGULAR_TICKS
    const lasting = isLasting && !this.isCrowded ? Mark.regular : 0
    words[at + Field.marks] = marks | lasting | (words[at + Field.marks]! & LASTING_MARKS)
    if (this.ipv6) {
      words[at + Field.address] = this.c
      words[at + Field.address + 1] = this.d
    }
  }

  /** Adds to the last packet's marks. */
  mark(record: number, marks: number): void {
    this.memory.words[recordAt(record) + Field.marks]! |= marks
  }

  /** Ticks; 0 where it had none. */
  lastKiss(record: number): number {
    return this.memory.words[restAt(record) + Rest.lastKiss]!
  }

  noteDrop(record: number): void {
    this.memory.words[restAt(record) + Rest.dropped]! += 1
  }

  noteKiss(record: number, now: number): void {
    const { words } = this.memory
    const at = recordAt(record)
    if ((words[at + Field.kissesAndPort]! & 0xffff) !== 0xffff) words[at + Field.kissesAndPort]! += 1
    words[restAt(record) + Rest.lastKiss] = now
  }

  /** Mixes what identifies the address with a secret, so that nobody can aim at a set. */
  private hash(a: number, b: number, c: number, d: number, seed: number): number {
    if (!isIpv6(a, b, c)) return mix(seed ^ d)
    const [m0, m1, m2, m3] = this.masks
    let mixed = mix(mix(seed ^ 0x9e3779b9 ^ (a & m0)) ^ (b & m1))
    if (m2 !== 0) mixed = mix(mixed ^ (c & m2))
    return mix(mixed ^ (d & m3))
  }

  private holds(record: number): boolean {
    const { words } = this.memory
    const at = recordAt(record)
    const marked = (words[at + Field.marks]! & Mark.ipv6) !== 0
    if (marked !== this.ipv6) return false
    if (!marked) return words[at + Field.address + 1] === this.d
    const [m0, m1, m2, m3] = this.masks
    const restFrom = restAt(record)
    const differs =
      ((words[restFrom]! ^ this.a) & m0) |
      ((words[restFrom + 1]! ^ this.b) & m1) |
      ((words[at + Field.address]! ^ this.c) & m2) |
      ((words[at + Field.address + 1]! ^ this.d) & m3)
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

  /** The longer silent the less; addresses seen once before others, regulars after them; Infinity for what stays. */
  private worth(record: number, idle: number): number {
    const { words } = this.memory
    const { minAge, maxAge } = this.plan
    const at = recordAt(record)
    const marks = words[at + Field.marks]!
    const isOver = (marks & Mark.over) !== 0 && this.limiter.isOver(this.level(record), idle)
    if (isOver) return Infinity
    if (words[at + Field.count]! <= 1 || idle > maxAge) return -idle - 2 ** 32
    if ((marks & Mark.regular) !== 0) return this.isCrowded || idle <= minAge ? Infinity : maxAge - idle
    return idle > minAge ? -idle : Infinity
  }

  private settle(record: number, tag: number, now: number, counter: number): number {
    const { header, tags, words } = this.memory
    const at = recordAt(record)
    const restFrom = restAt(record)
    words.fill(0, at, at + RECORD_WORDS)
    words[restFrom] = this.a
    words[restFrom + 1] = this.b
    words[restFrom + Rest.lastKiss] = words[restFrom + Rest.dropped] = 0
    words[at + Field.address] = this.c
    words[at + Field.address + 1] = this.d
    words[at + Field.first] = now
    words[at + Field.marks] = this.ipv6 ? Mark.ipv6 : 0
    if (tags[record] === 0) {
      header[Header.used]! += 1
      noteWritten(this.memory, record)
    }
    tags[record] = tag
    header[counter]! += 1
    return record
  }
}

/** Whether four words are no IPv4 address in IPv6's clothes. */
const isIpv6 = (a: number, b: number, c: number): boolean => a !== 0 || b !== 0 || c !== 0xffff

/** All ones where the lower tag of a pair is the wanted one, and so the pair's difference from that is 0 there. */
const isLow = (difference: number): number => ((difference & 0xffff) - 1) >> 31

/** The same of the upper one. */
const isHigh = (difference: number): number => ((difference >>> 16) - 1) >> 31

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
