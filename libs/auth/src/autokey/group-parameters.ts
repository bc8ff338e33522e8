/** What a client has of a group (`ntpkey_iffpar_GROUP` and its like), by which a server proves that it belongs to it. */
import type { GqParameters } from "./gq.ts"
import { gqParametersFrom, iffParametersFrom, mvParametersFrom } from "./identity-files.ts"
import type { IdentityScheme, StampedKey } from "./credentials.ts"
import { BadCredentials, identityFaultText, type Stamped } from "./host.ts"
import type { IffParameters } from "./iff.ts"
import type { MvParameters } from "./mv.ts"
import { readDsa, readRsa } from "./private-keys.ts"

/** Parameters in a message, with the group's name. */
export interface StampedParameters extends StampedKey {
  readonly group: string
}

export interface GroupParameters {
  readonly iff: Stamped<IffParameters> | undefined
  readonly gq: Stamped<GqParameters> | undefined
  readonly mv: Stamped<MvParameters> | undefined
}

export const noParameters: GroupParameters = { iff: undefined, gq: undefined, mv: undefined }

/** The parameters of one group. Never throws. */
export const openParameters = (
  files: readonly StampedParameters[],
  group: string
): GroupParameters | BadCredentials => {
  const found: { -readonly [Scheme in IdentityScheme]: GroupParameters[Scheme] } = { ...noParameters }
  for (const { scheme, key, filestamp, group: owner } of files) {
    if (owner !== group) continue
    const numbers = scheme === "gq" ? readRsa(key) : readDsa(key)
    if (numbers === undefined) return new BadCredentials(identityFaultText(`${scheme}par`, "kind"))
    switch (scheme) {
      case "iff": {
        const value = iffParametersFrom(numbers)
        if (typeof value === "string") return new BadCredentials(identityFaultText("iffpar", value))
        found.iff = { value, filestamp }
        break
      }
      case "gq": {
        const value = gqParametersFrom(numbers)
        if (typeof value === "string") return new BadCredentials(identityFaultText("gqpar", value))
        found.gq = { value, filestamp }
        break
      }
      case "mv": {
        const value = mvParametersFrom(numbers)
        if (typeof value === "string") return new BadCredentials(identityFaultText("mvpar", value))
        found.mv = { value, filestamp }
        break
      }
    }
  }
  return found
}
