/**
 * Session-keyed requests without fields in the server's packet path: everything is computed from the packet's addresses, its key id and the
 * server secret. Verifying and sealing are split in two as in mac-server.ts, and slots are the batch's. Nothing is kept about
 * who asks.
 */
import { HEADER_BYTES, Offset } from "@meridian/wire/ntp"
import { moveTimestamp } from "@meridian/time/timestamp"
import type { DigestPort } from "../mac.ts"
import { equalRange, KEY_ID_BYTES, MAXIMUM_DIGEST_BYTES } from "../mac.ts"
import type { MacAlgorithmName } from "../mac-algorithms.ts"
import type { SecretRing } from "./server-secret.ts"
import { SessionKeys } from "./session-key.ts"

const VACANT = 0
const PENDING = 1
const VERIFIED = 2
const REFUSED = 3

/** Where a request's two addresses lie. */
export interface RequestAddresses {
  readonly sources: Uint8Array
  readonly sourceAt: number
  readonly destinations: Uint8Array
  readonly destinationAt: number
  /** Octets of an address: 4 or 16. */
  readonly length: number
}

/** The client's address and the server's. */
type AddressViews = readonly [Uint8Array, Uint8Array]

interface Pair {
  source: Uint8Array
  destination: Uint8Array
}

export class SessionServer {
  /** Octets of a request of this kind, and of its reply. */
  readonly packetBytes: number
  private readonly keys: SessionKeys
  private readonly port: DigestPort
  private readonly algorithm: MacAlgorithmName
  private readonly digestBytes: number
  private readonly digest = new Uint8Array(MAXIMUM_DIGEST_BYTES)
  private readonly forward: Pair = { source: new Uint8Array(0), destination: new Uint8Array(0) }
  private readonly backward: Pair = { source: new Uint8Array(0), destination: new Uint8Array(0) }
  private readonly addresses: Uint8Array
  /** Each slot's addresses as they lie in `addresses`, of IPv4 and of IPv6: made once, not for each packet. */
  private readonly short: readonly AddressViews[]
  private readonly long: readonly AddressViews[]
  private readonly lengths: Uint8Array
  private readonly states: Uint8Array
  private readonly offsets: Int32Array
  private readonly keyIds: Uint32Array
  private readonly cookies: Uint32Array
  private readonly replies: Uint8Array
  private used = 0

  /**
   * @param slots requests between admit and seal
   * @throws RangeError for a digest that this platform lacks
   */
  constructor(port: DigestPort, algorithm: MacAlgorithmName, slots: number) {
    this.keys = new SessionKeys(port, algorithm)
    this.port = port
    this.algorithm = algorithm
    this.digestBytes = this.keys.macBytes - KEY_ID_BYTES
    this.packetBytes = HEADER_BYTES + this.keys.macBytes
    this.addresses = new Uint8Array(slots * 32)
    this.lengths = new Uint8Array(slots)
    this.short = this.pairsOf(slots, 4)
    this.long = this.pairsOf(slots, 16)
    this.states = new Uint8Array(slots)
    this.offsets = new Int32Array(slots)
    this.keyIds = new Uint32Array(slots)
    this.cookies = new Uint32Array(slots)
    this.replies = new Uint8Array(slots)
  }

  /** Takes in a request of {@link packetBytes} at `offset`; verify decides it. */
  admit(slot: number, view: DataView, offset: number, from: RequestAddresses): void {
    const { length } = from
    for (let index = 0; index < length; index += 1) {
      this.addresses[slot * 32 + index] = from.sources[from.sourceAt + index]!
      this.addresses[slot * 32 + 16 + index] = from.destinations[from.destinationAt + index]!
    }
    this.lengths[slot] = length
    this.offsets[slot] = offset
    this.keyIds[slot] = view.getUint32(offset + HEADER_BYTES)
    this.states[slot] = PENDING
    this.replies[slot] = 0
    this.used = Math.max(this.used, slot + 1)
  }

  holds(slot: number): boolean {
    return this.states[slot] !== VACANT
  }

  isVerified(slot: number): boolean {
    return this.states[slot] === VERIFIED
  }

  /** Decides every pending request by the secrets of the moment. */
  verify(packets: Uint8Array, { current, previous }: SecretRing): void {
    for (let slot = 0; slot < this.used; slot += 1) {
      if (this.states[slot] !== PENDING) continue
      const good =
        (current !== undefined && this.matches(packets, slot, current)) ||
        (previous !== undefined && this.matches(packets, slot, previous))
      this.states[slot] = good ? VERIFIED : REFUSED
    }
  }

  /** Notes that the slot's reply stands in its place, and writes its key id. Returns its length; the MAC is there after seal. */
  reply(slot: number, view: DataView, offset: number): number {
    view.setUint32(offset + HEADER_BYTES, this.keyIds[slot]!)
    this.replies[slot] = 1
    return this.packetBytes
  }

  /**
   * Writes the MACs of the replies and forgets every slot.
   * @param monotonic CLOCK_MONOTONIC, seconds, read before each reply is sealed
   */
  seal(packets: Uint8Array, view: DataView, stampedAt: number, monotonic: () => number): void {
    for (let slot = 0; slot < this.used; slot += 1) {
      if (this.replies[slot] === 1) {
        const offset = this.offsets[slot]!
        this.pairOf(slot)
        const key = this.keys.sessionKey(this.backward, this.keyIds[slot]!, this.cookies[slot]!)
        moveTimestamp(view, offset + Offset.transmit, stampedAt, monotonic())
        this.port.digest(this.algorithm, key, packets, offset, HEADER_BYTES, this.digest)
        for (let index = 0; index < this.digestBytes; index += 1)
          packets[offset + HEADER_BYTES + KEY_ID_BYTES + index] = this.digest[index]!
      }
      this.states[slot] = VACANT
      this.replies[slot] = 0
    }
    this.used = 0
  }

  private pairsOf(slots: number, length: number): readonly AddressViews[] {
    return Array.from({ length: slots }, (_, slot) => [
      this.addresses.subarray(slot * 32, slot * 32 + length),
      this.addresses.subarray(slot * 32 + 16, slot * 32 + 16 + length)
    ])
  }

  private pairOf(slot: number): void {
    const [client, server] = (this.lengths[slot] === 4 ? this.short : this.long)[slot]!
    this.forward.source = client
    this.forward.destination = server
    this.backward.source = server
    this.backward.destination = client
  }

  private matches(packets: Uint8Array, slot: number, secret: number): boolean {
    const offset = this.offsets[slot]!
    this.pairOf(slot)
    const cookie = this.keys.cookie(this.forward, secret)
    const key = this.keys.sessionKey(this.forward, this.keyIds[slot]!, cookie)
    this.port.digest(this.algorithm, key, packets, offset, HEADER_BYTES, this.digest)
    this.cookies[slot] = cookie
    return equalRange(packets, offset + HEADER_BYTES + KEY_ID_BYTES, this.digest, this.digestBytes)
  }
}
