/**
 * Symmetric MACs in the server's packet path. Verifying a request and sealing its reply are split in two, so that a batch of
 * packets costs two calls of the MAC implementation:
 *
 *     admit each request → verify → (the header of each verified reply is written) → reply for each → seal
 *
 * A request occupies a slot, a number the caller gives it, from admit to seal. Replies are written over their requests, have
 * a MAC as long as theirs, and are never longer. Nothing is allocated per packet.
 */
import { HEADER_BYTES, Offset } from "@meridian/wire/ntp"
import type { KeyTable } from "./key-table.ts"
import { CUT_DIGEST_BYTES, KEY_ID_BYTES, type MacVerdict } from "./mac.ts"
import { MAC_JOB_STRIDE, MAC_SEAL, type MacBatch, MacJob } from "./mac-batch.ts"

/** What {@link MacServer} needs to know of a key for each packet. */
interface ServedKey {
  /** Its place in the list that the batch implementation prepared. */
  readonly place: number
  readonly trusted: boolean
  readonly digestBytes: number
}

/** A time so long past that no stamp is moved. */
const NO_STAMPS = -Infinity

/** What became of a slot's request. */
const VACANT = 0
const PENDING = 1
const VERIFIED = 2
const REFUSED = 3

export class MacServer {
  private readonly batch: MacBatch
  private keys: ReadonlyMap<number, ServedKey> = new Map()
  private readonly jobs: Int32Array
  private jobCount = 0
  /** The slot that each job is for. */
  private readonly slotOf: Int32Array
  private readonly stateOf: Uint8Array
  private readonly keyOf: Int32Array
  private readonly keyIdOf: Int32Array
  private readonly macLengthOf: Int32Array
  /** Slots below this may have been admitted since seal; a batch is often one packet. */
  private used = 0

  /** @param slots requests between admit and seal: slots 0 … slots-1 */
  constructor(batch: MacBatch, slots: number) {
    this.batch = batch
    this.jobs = new Int32Array(slots * MAC_JOB_STRIDE)
    this.slotOf = new Int32Array(slots)
    this.stateOf = new Uint8Array(slots)
    this.keyOf = new Int32Array(slots)
    this.keyIdOf = new Int32Array(slots)
    this.macLengthOf = new Int32Array(slots)
  }

  /** Takes over a table; to be called between seal and admit. Keys of algorithms that this platform lacks are unknown. */
  useKeys(table: KeyTable): void {
    const keys = table.keys.filter(({ algorithm }) => this.batch.supports(algorithm.name))
    this.batch.useKeys(keys)
    this.keys = new Map(
      keys.map(({ id, algorithm }, place) => [
        id,
        { place, trusted: table.isTrusted(id), digestBytes: algorithm.digestBytes }
      ])
    )
  }

  /**
   * Takes in a request whose MAC, of `macLength` bytes with its key id, lies at `macOffset`. `pending` is decided by verify;
   * anything else is refused already and occupies no slot.
   */
  admit(
    slot: number,
    view: DataView,
    offset: number,
    macOffset: number,
    macLength: number
  ): Exclude<MacVerdict, "verified" | "wrong-digest"> | "pending" {
    if (macLength <= KEY_ID_BYTES || macOffset - offset < HEADER_BYTES) return "wrong-length"
    const id = view.getUint32(macOffset)
    const key = this.keys.get(id)
    if (key === undefined) return "unknown-key"
    if (!key.trusted) return "untrusted-key"
    const digestLength = macLength - KEY_ID_BYTES
    const { digestBytes } = key
    if (digestLength !== digestBytes && digestLength !== Math.min(digestBytes, CUT_DIGEST_BYTES)) return "wrong-length"
    this.stateOf[slot] = PENDING
    this.keyOf[slot] = key.place
    this.keyIdOf[slot] = id
    this.macLengthOf[slot] = macLength
    this.used = Math.max(this.used, slot + 1)
    this.add(slot, 0, offset, macOffset - offset, macOffset + KEY_ID_BYTES, 0)
    return "pending"
  }

  /** Whether the slot has a request that was admitted and is neither sealed nor forgotten. */
  holds(slot: number): boolean {
    return this.stateOf[slot] !== VACANT
  }

  /** Decides every pending request, in one call of the MAC implementation. */
  verify(packets: Uint8Array): void {
    const { jobs, slotOf, stateOf } = this
    const count = this.run(packets, NO_STAMPS)
    for (let job = 0; job < count; job += 1)
      stateOf[slotOf[job]!] = jobs[job * MAC_JOB_STRIDE + MacJob.status] === 1 ? VERIFIED : REFUSED
  }

  isVerified(slot: number): boolean {
    return this.stateOf[slot] === VERIFIED
  }

  /**
   * Puts the MAC of a verified request's reply behind its header, which the caller has written over the request's at `offset`.
   * Returns the reply's length. The digest is there after seal.
   */
  reply(slot: number, view: DataView, offset: number): number {
    const macOffset = offset + HEADER_BYTES
    view.setUint32(macOffset, this.keyIdOf[slot]!)
    this.add(slot, MAC_SEAL, offset, HEADER_BYTES, macOffset + KEY_ID_BYTES, offset + Offset.transmit)
    return HEADER_BYTES + this.macLengthOf[slot]!
  }

  /**
   * Seals the replies, in one call of the MAC implementation, and forgets every slot.
   * @param stampedAt CLOCK_MONOTONIC, seconds, of the reading that the replies' transmit timestamps were made of: each is moved
   *   on by the time since, just before its MAC is computed
   */
  seal(packets: Uint8Array, stampedAt: number): void {
    this.run(packets, stampedAt)
    this.stateOf.fill(VACANT, 0, this.used)
    this.used = 0
  }

  /** Runs the jobs that were added, of which it returns the number, and empties the list. */
  private run(packets: Uint8Array, stampedAt: number): number {
    const count = this.jobCount
    if (count > 0) this.batch.run(this.jobs, count, packets, stampedAt)
    this.jobCount = 0
    return count
  }

  private add(
    slot: number,
    flags: number,
    messageAt: number,
    messageLength: number,
    digestAt: number,
    stampAt: number
  ): void {
    const { jobs } = this
    const at = this.jobCount * MAC_JOB_STRIDE
    if (at >= jobs.length || slot >= this.stateOf.length)
      throw new RangeError(`expected at most ${this.stateOf.length} requests in slots below that, found slot ${slot}`)
    jobs[at + MacJob.flags] = flags
    jobs[at + MacJob.key] = this.keyOf[slot]!
    jobs[at + MacJob.messageAt] = messageAt
    jobs[at + MacJob.messageLength] = messageLength
    jobs[at + MacJob.digestAt] = digestAt
    jobs[at + MacJob.digestLength] = this.macLengthOf[slot]! - KEY_ID_BYTES
    jobs[at + MacJob.stampAt] = stampAt
    jobs[at + MacJob.status] = 0
    this.slotOf[this.jobCount] = slot
    this.jobCount += 1
  }
}
