/** The gate before the signing daemon, by the access part of the plan: the workers' own lists and limits. */
import { randomInt } from "node:crypto"
import { decodeAccessPlan } from "@meridian/ipc/access-plan"
import { gateOf } from "@meridian/protocol/access/access-plan"
import type { Admission } from "@meridian/protocol/admission"
import { BATCH_CAPACITY } from "@meridian/udp/udp"

/** Of a table of clients of its own: about 20,000 addresses. */
const CLIENTS_BYTES = 2 ** 20

export class SigningAdmission {
  private readonly memory = new ArrayBuffer(CLIENTS_BYTES)
  private bytes: Uint8Array | undefined
  private gate: Admission | undefined

  /** The admission by this plan; the same as before where nothing in it changed. Without a plan nobody is signed for. */
  by(access: Uint8Array | undefined): Admission | undefined {
    if (access === undefined) return undefined
    if (this.bytes === undefined || Buffer.compare(this.bytes, access) !== 0) {
      this.gate = gateOf(decodeAccessPlan(access), this.memory, randomInt(2 ** 31), BATCH_CAPACITY)
      this.bytes = access
    }
    return this.gate
  }
}
