/** The gate in front of the server, by the access part of the plan. */
import { decodeAccessPlan } from "@meridian/ipc/access-plan"
import { gateOf } from "@meridian/protocol/access/access-plan"
import type { Admission } from "@meridian/protocol"
import { mapSharedMemory } from "@meridian/system/shared-memory"
import { BATCH_CAPACITY } from "@meridian/udp/udp"

/** Of a table of clients that cannot be shared with a successor: about 20,000 addresses. */
const UNSHARED_BYTES = 2 ** 20

export class AdmissionDesk {
  private readonly memory: ArrayBuffer
  private bytes: Uint8Array | undefined
  private gate: Admission | undefined

  /** @param descriptor of the memory that this place keeps its clients in; undefined where none could be made */
  constructor(descriptor: number | undefined) {
    const shared = descriptor === undefined ? undefined : mapSharedMemory(descriptor)
    this.memory = shared ?? new ArrayBuffer(UNSHARED_BYTES)
  }

  /** The admission by this plan; the same as before where nothing in it changed. */
  by(access: Uint8Array | undefined): Admission | undefined {
    if (access === undefined) return undefined
    if (this.bytes === undefined || Buffer.compare(this.bytes, access) !== 0) {
      // Of V8's generator, which Node has seeded by the system's: all of node:crypto is a fifth of a worker's start.
      const seed = Math.floor(Math.random() * 2 ** 31)
      this.gate = gateOf(decodeAccessPlan(access), this.memory, seed, BATCH_CAPACITY)
      this.bytes = access
    }
    return this.gate
  }
}
