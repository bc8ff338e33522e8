/** The gate of a process beside the workers, by the access part of its plan: their own lists and limits, a table of its own. */
import { gateOf } from "@meridian/protocol/access/access-plan"
import type { Admission } from "@meridian/protocol"
import { decodeAccessPlan } from "./access-plan.ts"

/** Of a table of clients: about 20,000 addresses. */
const CLIENTS_BYTES = 2 ** 20

export class PlannedAdmission {
  private readonly memory = new ArrayBuffer(CLIENTS_BYTES)
  private readonly seed: () => number
  private readonly slots: number
  private bytes: Uint8Array | undefined
  private gate: Admission | undefined

  /** @param seed a random number below 2^31 @param slots most datagrams of a batch */
  constructor(seed: () => number, slots: number) {
    this.seed = seed
    this.slots = slots
  }

  /** The admission by this plan; the same as before where nothing in it changed. Undefined without a plan. */
  by(access: Uint8Array | undefined): Admission | undefined {
    if (access === undefined) return undefined
    if (this.bytes === undefined || Buffer.compare(this.bytes, access) !== 0) {
      this.gate = gateOf(decodeAccessPlan(access), this.memory, this.seed(), this.slots)
      this.bytes = access
    }
    return this.gate
  }
}
