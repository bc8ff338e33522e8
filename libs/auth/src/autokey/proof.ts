/** A client's challenge and the judgement of its answer, whichever scheme the server and the group's parameters have in common. */
import { AutokeyOperation } from "@meridian/wire/autokey-fields"
import type { DigestPort } from "../symmetric/mac.ts"
import { provesGq } from "./gq.ts"
import type { GroupParameters } from "./group-parameters.ts"
import { encodeChallenge, type RandomBelow } from "./identity.ts"
import { provesIff } from "./iff.ts"
import { provesMv } from "./mv.ts"
import { StatusFlag } from "./status-word.ts"

export interface Challenge {
  readonly operation: number
  readonly value: Uint8Array
  /** Of the group's parameters. */
  readonly filestamp: number
  /** Whether an answer with this filestamp can be one. */
  readonly fitsFilestamp: (filestamp: number) => boolean
  readonly isProvedBy: (answer: Uint8Array, gqPublic: bigint | undefined) => boolean
}

/**
 * A challenge in the first scheme of IFF, GQ and MV that the server's status word names and the parameters are there for;
 * undefined where there is none: the server's identity cannot be proved.
 */
export const challengeFor = (
  status: number,
  { iff, gq, mv }: GroupParameters,
  digests: DigestPort,
  randomBelow: RandomBelow
): Challenge | undefined => {
  if ((status & StatusFlag.iff) !== 0 && iff !== undefined) {
    const { value: parameters, filestamp } = iff
    const r = randomBelow(parameters.q)
    return {
      operation: AutokeyOperation.iff,
      value: encodeChallenge(r, parameters.q),
      filestamp,
      fitsFilestamp: (of) => of === filestamp,
      isProvedBy: (answer) => provesIff(parameters, r, answer, digests)
    }
  }
  if ((status & StatusFlag.gq) !== 0 && gq !== undefined) {
    const { value: parameters, filestamp } = gq
    const r = randomBelow(parameters.n)
    return {
      operation: AutokeyOperation.gq,
      value: encodeChallenge(r, parameters.n),
      filestamp,
      // A server may have made itself a new u since.
      fitsFilestamp: (of) => ((of - filestamp) | 0) >= 0,
      isProvedBy: (answer, gqPublic) => gqPublic !== undefined && provesGq(parameters, gqPublic, r, answer, digests)
    }
  }
  if ((status & StatusFlag.mv) !== 0 && mv !== undefined) {
    const { value: parameters, filestamp } = mv
    const r = randomBelow(parameters.p)
    return {
      operation: AutokeyOperation.mv,
      value: encodeChallenge(r, parameters.p),
      filestamp,
      fitsFilestamp: (of) => of === filestamp,
      isProvedBy: (answer) => provesMv(parameters, r, answer)
    }
  }
  return undefined
}
