/**
 * What a packet passes before anything else looks at it, in ntpd's order: ignore, flake, noquery or noserve, version, the list
 * of clients with its rate limit. No clock is read, no chance is drawn outside, nothing is allocated for a packet.
 */
import { AccessFlag } from "./access-flags.ts"
import type { AccessList } from "./access-list.ts"
import { Field, Mark, TICKS_PER_SECOND, ticksAt } from "./client-layout.ts"
import { type ClientTable, NO_RECORD } from "./client-table.ts"
import { type Chance, type RateLimiter, RateVerdict } from "./rate-limit.ts"

/** What the gate says; one outcome each. */
export const GateVerdict = {
  admit: 0,
  /** `ignore`, or a source address that cannot ask */
  ignored: 1,
  flaked: 2,
  /** `noserve`, `deny`; of queries `noquery` */
  refused: 3,
  version: 4,
  limited: 5,
  /** the same three, and the sender is to be told by a kiss */
  kissDeny: 6,
  kissRestrict: 7,
  kissRate: 8
} as const
export type GateVerdict = (typeof GateVerdict)[keyof typeof GateVerdict]

/** Kisses a second in all. They answer unauthenticated packets: enough to tell those who listen, too few for a reflector. */
const KISSES_PER_SECOND = 1_000

/** Seconds between two kisses DENY or RSTR to one address. */
const REFUSAL_INTERVAL = 8

/** `flake` loses one packet in ten. */
const FLAKE = 0.1

export class AccessGate {
  /** Who may; undefined: everybody. */
  private readonly list: AccessList | undefined
  /** Undefined: no list of clients is kept and nobody is limited. */
  private readonly table: ClientTable | undefined
  private readonly limiter: RateLimiter
  /** Every client is limited, whatever its flags. */
  private readonly limitsAll: boolean
  /** Kisses RATE go to everybody who is limited, whatever their flags. */
  private readonly kissesAll: boolean

  /** The flags of the last packet's sender. */
  flags = 0
  /** The last packet's record. */
  record: number = NO_RECORD

  private readonly chance: Chance
  private now = 0
  private kisses = KISSES_PER_SECOND
  private kissesCountedAt = 0
  private a = 0
  private b = 0
  private c = 0
  private d = 0

  constructor(
    list: AccessList | undefined,
    table: ClientTable | undefined,
    limiter: RateLimiter,
    all: { readonly limited: boolean; readonly kod: boolean },
    chance: Chance
  ) {
    this.list = list
    this.table = table
    this.limiter = limiter
    this.limitsAll = all.limited
    this.kissesAll = all.kod
    this.chance = chance
  }

  /** To be called before the packets of a batch. @param monotonic CLOCK_MONOTONIC, seconds */
  begin(monotonic: number): void {
    this.now = ticksAt(monotonic)
    if (monotonic - this.kissesCountedAt >= 1) {
      this.kissesCountedAt = monotonic
      this.kisses = KISSES_PER_SECOND
    }
  }

  /**
   * Judges a packet.
   * @param bytes where its sender's address lies in network order, 4 or 16 bytes from `at`
   * @param isIpv6 which
   * @param port the sender's
   * @param version of the packet, and its mode: bits 3 … 5 and 0 … 2 of its first byte
   * @param isQuery mode 6 or 7
   */
  judge(
    bytes: Uint8Array,
    at: number,
    isIpv6: boolean,
    port: number,
    versionAndMode: number,
    isQuery: boolean
  ): GateVerdict {
    this.takeAddress(bytes, at, isIpv6)
    this.record = NO_RECORD
    const flags =
      this.list === undefined
        ? 0
        : isIpv6
          ? this.list.ipv6(this.a, this.b, this.c, this.d, port)
          : this.list.ipv4(this.d, port)
    this.flags = flags
    if ((flags & AccessFlag.ignore) !== 0) return GateVerdict.ignored
    if ((flags & AccessFlag.flake) !== 0 && this.chance.next() < FLAKE) return GateVerdict.flaked
    if ((flags & (isQuery ? AccessFlag.noquery : AccessFlag.noserve)) !== 0)
      return isQuery ? GateVerdict.refused : this.refuse()
    if ((flags & AccessFlag.version) !== 0 && versionAndMode >> 3 !== 4) return GateVerdict.version
    return this.monitor(port, versionAndMode)
  }

  /** Marks the last judged packet, or that of an earlier `record`, as one that proved who it is from. */
  noteAuthenticated(record: number): void {
    if (record !== NO_RECORD && this.table !== undefined)
      this.table.set(record, Field.marks, this.table.get(record, Field.marks) | Mark.authenticated)
  }

  private takeAddress(bytes: Uint8Array, at: number, isIpv6: boolean): void {
    if (!isIpv6) {
      this.a = 0
      this.b = 0
      this.c = 0xffff
      this.d = wordAt(bytes, at)
      return
    }
    this.a = wordAt(bytes, at)
    this.b = wordAt(bytes, at + 4)
    this.c = wordAt(bytes, at + 8)
    this.d = wordAt(bytes, at + 12)
  }

  private monitor(port: number, versionAndMode: number): GateVerdict {
    const { table, limiter, now } = this
    if (table === undefined) return GateVerdict.admit
    const record = table.find(this.a, this.b, this.c, this.d, now)
    this.record = record
    if (record === NO_RECORD) return GateVerdict.admit
    const marks = (versionAndMode & Mark.versionAndMode) | (this.flags << Mark.flagsShift)
    if (table.get(record, Field.count) === 0) {
      limiter.begin()
      table.setLevel(record, limiter.level)
      table.note(record, now, port, marks)
      return GateVerdict.admit
    }
    const elapsed = ((now - table.get(record, Field.last)) >>> 0) / TICKS_PER_SECOND
    const isLimited = this.limitsAll || (this.flags & AccessFlag.limited) !== 0
    const verdict = limiter.judge(table.level(record), elapsed)
    table.setLevel(record, limiter.level)
    const isOver = isLimited && verdict !== RateVerdict.pass
    table.note(record, now, port, isOver ? marks | Mark.over : marks)
    if (!isOver) return GateVerdict.admit
    table.set(record, Field.dropped, table.get(record, Field.dropped) + 1)
    if (verdict === RateVerdict.drop || (!this.kissesAll && (this.flags & AccessFlag.kod) === 0))
      return GateVerdict.limited
    return this.kiss(record) ? GateVerdict.kissRate : GateVerdict.limited
  }

  /** A refused sender hears why where that is wished, seldom enough. */
  private refuse(): GateVerdict {
    const { table, now } = this
    const verdict =
      (this.flags & AccessFlag.kodDeny) !== 0
        ? GateVerdict.kissDeny
        : (this.flags & AccessFlag.kodRstr) !== 0
          ? GateVerdict.kissRestrict
          : GateVerdict.refused
    if (verdict === GateVerdict.refused) return verdict
    const record = table === undefined ? NO_RECORD : table.find(this.a, this.b, this.c, this.d, now)
    if (table === undefined || record === NO_RECORD)
      return this.kisses > 0 && this.kiss(NO_RECORD) ? verdict : GateVerdict.refused
    const isFirst = (table.get(record, Field.kissesAndPort) & 0xffff) === 0
    const isDue = isFirst || ((now - table.get(record, Field.lastKiss)) >>> 0) / TICKS_PER_SECOND >= REFUSAL_INTERVAL
    table.set(record, Field.last, now)
    return isDue && this.kiss(record) ? verdict : GateVerdict.refused
  }

  private kiss(record: number): boolean {
    if (this.kisses === 0) return false
    this.kisses -= 1
    const { table } = this
    if (record !== NO_RECORD && table !== undefined) {
      const both = table.get(record, Field.kissesAndPort)
      if ((both & 0xffff) !== 0xffff) table.set(record, Field.kissesAndPort, both + 1)
      table.set(record, Field.lastKiss, this.now)
    }
    return true
  }
}

const wordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
