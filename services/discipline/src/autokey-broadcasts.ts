/**
 * What this node tells to many by Autokey: a key list for each line, and the lists' signed values, which its Autokey server
 * gives to whoever heard a broadcast and asks.
 */
import { randomInt } from "node:crypto"
import { AutokeyBroadcaster } from "@meridian/auth/autokey/broadcaster"
import type { AutokeyHost } from "@meridian/auth/autokey/host"
import type { DigestPort } from "@meridian/auth/mac"
import type { BroadcastLists } from "@meridian/ipc/autokey-plan"
import { addressOctets } from "@meridian/udp/socket-address"
import { HEADER_BYTES } from "@meridian/wire/ntp"

interface AutokeyBroadcastsSurroundings {
  readonly digests: DigestPort
  /** This host's credentials; undefined where there are none. */
  readonly host: () => AutokeyHost | undefined
  /** Served time, Unix seconds; undefined where this node is not synchronised. */
  readonly now: () => number | undefined
  /** Whether leap seconds are given to who asks. */
  readonly hasLeapTable: () => boolean
}

/** The longest packet: a field with a signature of 4096 bits. */
const LONGEST_PACKET = 1_024

interface Line {
  readonly host: AutokeyHost
  readonly from: string
  readonly associationId: number
  readonly broadcaster: AutokeyBroadcaster
}

export class AutokeyBroadcasts {
  private readonly surroundings: AutokeyBroadcastsSurroundings
  /** By the address of all. */
  private readonly lines = new Map<string, Line>()
  private told: BroadcastLists = []

  constructor(surroundings: AutokeyBroadcastsSurroundings) {
    this.surroundings = surroundings
  }

  /**
   * Seals the next packet from an address of ours to many. What costs time is done at once, and the rest when the header is
   * there; undefined without credentials, or where this node is not synchronised.
   */
  begin(told: string, from: string, pollSeconds: number): ((header: Uint8Array) => Uint8Array) | undefined {
    const { host, now, hasLeapTable } = this.surroundings
    const [ours, time] = [host(), now()]
    if (ours === undefined || time === undefined) return undefined
    const { broadcaster } = this.lineOf(told, from, ours)
    const prepared = broadcaster.prepare(time, pollSeconds, hasLeapTable())
    return (header) => {
      const packet = new Uint8Array(LONGEST_PACKET)
      packet.set(header)
      return packet.subarray(0, broadcaster.write(packet, HEADER_BYTES, prepared))
    }
  }

  /** The values of the lists in use, where they are others than at the call before. */
  newLists(): BroadcastLists | undefined {
    const lists = [...this.lines.values()].flatMap(({ associationId, broadcaster: { values } }) =>
      values === undefined ? [] : [{ associationId, ...values }]
    )
    const isKnown =
      lists.length === this.told.length && lists.every(({ value }, index) => value === this.told[index]?.value)
    if (isKnown) return undefined
    this.told = lists
    return lists
  }

  /** Addresses and keys are part of every list: with others, another begins. */
  private lineOf(told: string, from: string, host: AutokeyHost): Line {
    const before = this.lines.get(told)
    if (before?.host === host && before.from === from) return before
    const associationId = before?.associationId ?? randomInt(1, 65_536)
    const broadcaster = new AutokeyBroadcaster({
      host,
      digests: this.surroundings.digests,
      randomWord: () => randomInt(2 ** 32),
      associationId,
      pair: { source: addressOctets(from), destination: addressOctets(told) }
    })
    const line = { host, from, associationId, broadcaster }
    this.lines.set(told, line)
    return line
  }
}
