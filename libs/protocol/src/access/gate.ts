/**
 * What a packet passes before anything else looks at it, in ntpd's order: ignore, flake, noquery or noserve, version, the list
 * of clients with its rate limit, which under more requests than can be answered passes strangers over (docs/adr/020); and, when its authentication is known, notrust. No clock is read, and nothing is allocated for
 * a packet.
 */
import { Mode, modeOf, versionOf } from "@meridian/wire/ntp"
import { sourceAddressAt, sourcePort } from "@meridian/wire/source-address"
import type { Admission } from "../admission.ts"
import { type Ignore, ignore, kiss, type Kiss } from "../outcome.ts"
import { Crowd, noBatch, type RequestBatch } from "../request-batch.ts"
import { AccessFlag } from "./access-flags.ts"
import type { AccessList } from "./access-list.ts"
import * as layout from "./client-layout.ts"
import { type ClientTable, NO_RECORD } from "./client-table.ts"
import { type Chance, type RateLimiter, RateVerdict } from "./rate-limit.ts"

/* Bindings of this module, for the compiler: see client-table.ts. */
const { Field, Mark, TICKS_PER_SECOND, ticksAt } = layout

const ignored = ignore("access-ignored")
const flaked = ignore("access-flaked")
const refused = ignore("access-refused")
const wrongVersion = ignore("access-version")
const unproven = ignore("access-unproven")
const limited = ignore("rate-limited")
const crowdedOut = ignore("crowded-out")
/** The letters of the kiss codes (RFC 5905 §7.4). */
const kissRate = kiss("rate-kiss-sent", 0x52415445)
const kissDeny = kiss("deny-kiss-sent", 0x44454e59)
const kissRestrict = kiss("rstr-kiss-sent", 0x52535452)

/** Kisses a second in all. They answer unauthenticated packets: enough to tell those who listen, too few for a reflector. */
const KISSES_PER_SECOND = 1_000

/** Seconds between two kisses DENY or RSTR to one address. */
const REFUSAL_INTERVAL = 8

/** `flake` loses one packet in ten. */
const FLAKE = 0.1

/** Of strangers that would be passed over, so many are not: whoever is new comes through now and then. */
const SPARED = 1 / 16
/** And so many where requests are lost all the same: what a stranger's answer takes is missing for receiving those who are known. */
const SPARED_IN_NEED = 1 / 256

/** Of so many packets of a crowd it is looked whether most are regulars', in which case passing the others over gains too little. */
const CROWD_SAMPLE = 2 ** 16
/** Then nobody is passed over for so long. */
const FUTILE_SECONDS = 10

/** What holds for everybody, whatever the flags say. */
export interface GateManners {
  /** Everybody is limited: `ratelimit` names nobody. */
  readonly limited: boolean
  /** Everybody over the limit may get a kiss. */
  readonly kod: boolean
  /** `version` is not asked of queries, which ntpq sends in version 2: the classic ntpd lets them pass, NTPsec does not. */
  readonly queriesOfAnyVersion: boolean
}

export class AccessGate implements Admission {
  /** Who may; undefined: everybody. */
  private readonly list: AccessList | undefined
  /** Undefined: no list of clients is kept and nobody is limited. */
  private readonly table: ClientTable | undefined
  private readonly limiter: RateLimiter
  private readonly manners: GateManners
  private readonly chance: Chance
  private batch: RequestBatch = noBatch
  private now = 0
  /** Whether strangers are passed over in this batch. */
  private isShedding = false
  /** Of them, so many are not. */
  private spared = SPARED
  /** CLOCK_MONOTONIC of this batch, and until when it passes nobody over as there were few strangers; seconds. */
  private seconds = 0
  private shedsAgainAt = 0
  /** Packets in crowded batches, and how many of them were regulars'. */
  private crowdSeen = 0
  private crowdKnown = 0
  /** Datagrams of the batch that were looked at already. */
  private expected = 0
  private kisses = KISSES_PER_SECOND
  private kissesCountedAt = 0
  /** By slot: the flags that the sender met, and its record. */
  private readonly flags: Int32Array
  private readonly records: Int32Array

  /** @param slots most datagrams of a batch */
  constructor(
    list: AccessList | undefined,
    table: ClientTable | undefined,
    limiter: RateLimiter,
    manners: GateManners,
    chance: Chance,
    slots: number
  ) {
    this.list = list
    this.table = table
    this.limiter = limiter
    this.manners = manners
    this.chance = chance
    this.flags = new Int32Array(slots)
    this.records = new Int32Array(slots)
  }

  get sheds(): boolean {
    return this.table !== undefined && this.seconds >= this.shedsAgainAt
  }

  begin(batch: RequestBatch, monotonic: number, count = 1, crowd: number = Crowd.none): void {
    this.batch = batch
    this.isShedding = crowd === Crowd.sheds || crowd === Crowd.drowns
    this.spared = crowd === Crowd.drowns ? SPARED_IN_NEED : SPARED
    if (this.table !== undefined) this.table.isCrowded = crowd !== Crowd.none
    this.seconds = monotonic
    this.now = ticksAt(monotonic)
    if (monotonic - this.kissesCountedAt >= 1) {
      this.kissesCountedAt = monotonic
      this.kisses = KISSES_PER_SECOND
    }
    this.expected = count
    for (let slot = 0; slot < count; slot += 1) this.look(slot)
    // One alone waits for its own record and for no other.
    if (count > 1) this.table?.fetch(count, !this.isShedding)
  }

  judge(slot: number, firstByte: number, _length: number): Ignore | Kiss | undefined {
    if (slot >= this.expected) this.look(slot)
    const flags = this.flags[slot]!
    this.records[slot] = NO_RECORD
    const mode = modeOf(firstByte)
    const isQuery = mode === Mode.control || mode === Mode.private
    if ((flags & AccessFlag.ignore) !== 0) return ignored
    if ((flags & AccessFlag.flake) !== 0 && this.chance.next() < FLAKE) return flaked
    if (isQuery && (flags & AccessFlag.noquery) !== 0) return refused
    if (!isQuery && (flags & AccessFlag.noserve) !== 0) return this.refuse(slot, flags)
    if (
      (flags & AccessFlag.version) !== 0 &&
      versionOf(firstByte) !== 4 &&
      !(isQuery && this.manners.queriesOfAnyVersion)
    )
      return wrongVersion
    return this.monitor(slot, sourcePort(this.batch.addresses, slot), firstByte, isQuery)
  }

  judgeProof(slot: number, isAuthenticated: boolean): Ignore | undefined {
    if (!isAuthenticated) return (this.flags[slot]! & AccessFlag.notrust) === 0 ? undefined : unproven
    const record = this.records[slot]!
    if (record !== NO_RECORD) this.table?.mark(record, Mark.authenticated)
    return undefined
  }

  signsFor(slot: number): boolean {
    return (this.flags[slot]! & AccessFlag.mssntp) !== 0
  }

  mayPeer(slot: number): boolean {
    return (this.flags[slot]! & (AccessFlag.nopeer | AccessFlag.noepeer)) === 0
  }

  /** Reads a sender's address, looks up its flags, and has its record found. */
  private look(slot: number): void {
    const { batch, list, table } = this
    const bytes = batch.addresses
    const at = sourceAddressAt(slot, batch.family)
    const port = sourcePort(bytes, slot)
    if (batch.family === 4) {
      const word = wordAt(bytes, at)
      if (list !== undefined) this.flags[slot] = list.ipv4(word, port)
      if (table !== undefined) table.expect(slot, 0, 0, 0xffff, word)
      return
    }
    const [a, b] = [wordAt(bytes, at), wordAt(bytes, at + 4)]
    const [c, d] = [wordAt(bytes, at + 8), wordAt(bytes, at + 12)]
    if (list !== undefined) this.flags[slot] = list.ipv6(a, b, c, d, port)
    if (table !== undefined) table.expect(slot, a, b, c, d)
  }

  /** Counts the packet for its sender, and holds that to its limit. */
  private monitor(slot: number, port: number, firstByte: number, isQuery: boolean): Ignore | Kiss | undefined {
    const { table, limiter, now } = this
    if (table === undefined) return undefined
    if (this.isShedding && this.crowdsOut(slot, table)) return crowdedOut
    const record = table.find(slot, now)
    this.records[slot] = record
    if (record === NO_RECORD) return undefined
    const flags = this.flags[slot]!
    const marks = (firstByte & Mark.versionAndMode) | (flags << Mark.flagsShift)
    if (table.get(record, Field.count) === 0) {
      limiter.begin()
      table.setLevel(record, limiter.level)
      table.note(record, now, port, marks)
      return undefined
    }
    const elapsed = ((now - table.get(record, Field.last)) >>> 0) / TICKS_PER_SECOND
    const verdict = limiter.judge(table.level(record), elapsed)
    table.setLevel(record, limiter.level)
    const isOver = verdict !== RateVerdict.pass && (this.manners.limited || (flags & AccessFlag.limited) !== 0)
    table.note(record, now, port, isOver ? marks | Mark.over : marks)
    if (!isOver) return undefined
    const mayKiss = this.manners.kod || (flags & AccessFlag.kod) !== 0
    // As in ntpd: a query has no kiss, and who might get one is answered.
    if (isQuery && mayKiss) return undefined
    table.noteDrop(record)
    return mayKiss && verdict === RateVerdict.kiss && !isQuery && this.kiss(record) ? kissRate : limited
  }

  /** Whether a packet is passed over for those who are known. */
  private crowdsOut(slot: number, table: ClientTable): boolean {
    const isRegular = table.isRegular(slot)
    this.crowdSeen += 1
    if (isRegular) this.crowdKnown += 1
    if (this.crowdSeen === CROWD_SAMPLE) {
      if (this.crowdKnown > CROWD_SAMPLE / 2) this.shedsAgainAt = this.seconds + FUTILE_SECONDS
      this.crowdSeen = this.crowdKnown = 0
    }
    return !isRegular && this.chance.next() >= this.spared
  }

  /** A refused sender hears why where that is wished, seldom enough. */
  private refuse(slot: number, flags: number): Ignore | Kiss {
    if ((flags & (AccessFlag.kodDeny | AccessFlag.kodRstr)) === 0) return refused
    const answer = (flags & AccessFlag.kodDeny) !== 0 ? kissDeny : kissRestrict
    const { table, now } = this
    const record = table === undefined ? NO_RECORD : table.find(slot, now)
    if (table === undefined || record === NO_RECORD) return this.kiss(NO_RECORD) ? answer : refused
    const isFirst = (table.get(record, Field.kissesAndPort) & 0xffff) === 0
    const since = ((now - table.lastKiss(record)) >>> 0) / TICKS_PER_SECOND
    table.set(record, Field.last, now)
    return (isFirst || since >= REFUSAL_INTERVAL) && this.kiss(record) ? answer : refused
  }

  /** Takes a kiss out of the second's, if one is left. */
  private kiss(record: number): boolean {
    if (this.kisses === 0) return false
    this.kisses -= 1
    if (record !== NO_RECORD) this.table?.noteKiss(record, this.now)
    return true
  }
}

const wordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
