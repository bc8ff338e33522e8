/**
 * Session-keyed requests without fields in the server's packet path: everything is computed from the packet's addresses, its key id and the
 * server secret. Verifying and sealing are split in two as in mac-server.ts, slots are the batch's, and each half is one call.
 * Nothing is kept about who asks, and nothing allocated for a packet.
 */
import { HEADER_BYTES } from "@meridian/wire/ntp"
import type { SecretRing } from "./server-secret.ts"
import {
  SESSION_ADDRESS_STRIDE,
  SESSION_IPV6,
  SESSION_JOB_ADDRESSES_AT,
  SESSION_JOB_COOKIE,
  SESSION_JOB_FLAGS,
  SESSION_JOB_PACKET_AT,
  SESSION_JOB_STATUS,
  SESSION_JOB_STRIDE,
  SESSION_SEAL,
  type SessionBatch
} from "./session-batch.ts"

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

/** A time so long past that no stamp is moved. */
const NO_STAMPS = -Infinity

export class SessionServer {
  /** Octets of a request of this kind, and of its reply. */
  readonly packetBytes: number
  private readonly batch: SessionBatch
  private readonly addresses: Uint8Array
  private readonly jobs: Int32Array
  private jobCount = 0
  /** The slot that each job is for. */
  private readonly slotOf: Int32Array
  private readonly states: Uint8Array
  private readonly flags: Uint8Array
  private readonly keyIds: Uint32Array
  private readonly cookies: Int32Array
  private used = 0

  /** @param slots requests between admit and seal: slots 0 … slots-1 */
  constructor(batch: SessionBatch, slots: number) {
    this.batch = batch
    this.packetBytes = HEADER_BYTES + batch.macBytes
    this.addresses = new Uint8Array(slots * 2 * SESSION_ADDRESS_STRIDE)
    this.jobs = new Int32Array(slots * SESSION_JOB_STRIDE)
    this.slotOf = new Int32Array(slots)
    this.states = new Uint8Array(slots)
    this.flags = new Uint8Array(slots)
    this.keyIds = new Uint32Array(slots)
    this.cookies = new Int32Array(slots)
  }

  /** Takes in a request of {@link packetBytes} at `offset`; verify decides it. */
  admit(slot: number, view: DataView, offset: number, from: RequestAddresses): void {
    const { length, sources, sourceAt, destinations, destinationAt } = from
    const client = slot * 2 * SESSION_ADDRESS_STRIDE
    const server = client + SESSION_ADDRESS_STRIDE
    for (let index = 0; index < length; index += 1) {
      this.addresses[client + index] = sources[sourceAt + index]!
      this.addresses[server + index] = destinations[destinationAt + index]!
    }
    this.flags[slot] = length === 4 ? 0 : SESSION_IPV6
    this.keyIds[slot] = view.getUint32(offset + HEADER_BYTES)
    this.states[slot] = PENDING
    this.used = Math.max(this.used, slot + 1)
    this.add(slot, this.flags[slot]!, offset)
  }

  holds(slot: number): boolean {
    return this.states[slot] !== VACANT
  }

  isVerified(slot: number): boolean {
    return this.states[slot] === VERIFIED
  }

  /** Decides every pending request by the secrets of the moment, in one call. */
  verify(packets: Uint8Array, { current, previous }: SecretRing): void {
    const { jobs, slotOf, states, cookies } = this
    const count = this.run(packets, current, previous, NO_STAMPS)
    for (let job = 0; job < count; job += 1) {
      const at = job * SESSION_JOB_STRIDE
      const slot = slotOf[job]!
      states[slot] = jobs[at + SESSION_JOB_STATUS] === 1 ? VERIFIED : REFUSED
      cookies[slot] = jobs[at + SESSION_JOB_COOKIE]!
    }
  }

  /** Notes that the slot's reply stands in its place, and writes its key id. Returns its length; the MAC is there after seal. */
  reply(slot: number, view: DataView, offset: number): number {
    view.setUint32(offset + HEADER_BYTES, this.keyIds[slot]!)
    this.add(slot, this.flags[slot]! | SESSION_SEAL, offset)
    return this.packetBytes
  }

  /**
   * Writes the MACs of the replies, in one call, and forgets every slot.
   * @param stampedAt CLOCK_MONOTONIC, seconds, of the reading that the replies' transmit timestamps were made of
   */
  seal(packets: Uint8Array, stampedAt: number): void {
    this.run(packets, undefined, undefined, stampedAt)
    this.states.fill(VACANT, 0, this.used)
    this.used = 0
  }

  /** Runs the jobs that were added, of which it returns the number, and empties the list. */
  private run(
    packets: Uint8Array,
    current: number | undefined,
    previous: number | undefined,
    stampedAt: number
  ): number {
    const count = this.jobCount
    if (count > 0) this.batch.run(this.jobs, count, packets, this.addresses, current, previous, stampedAt)
    this.jobCount = 0
    return count
  }

  private add(slot: number, flags: number, offset: number): void {
    const { jobs } = this
    const at = this.jobCount * SESSION_JOB_STRIDE
    if (at >= jobs.length || slot >= this.states.length)
      throw new RangeError(`expected at most ${this.states.length} requests in slots below that, found slot ${slot}`)
    jobs[at + SESSION_JOB_FLAGS] = flags
    jobs[at + SESSION_JOB_ADDRESSES_AT] = slot * 2 * SESSION_ADDRESS_STRIDE
    jobs[at + SESSION_JOB_PACKET_AT] = offset
    jobs[at + SESSION_JOB_COOKIE] = this.cookies[slot]!
    jobs[at + SESSION_JOB_STATUS] = 0
    this.slotOf[this.jobCount] = slot
    this.jobCount += 1
  }
}
