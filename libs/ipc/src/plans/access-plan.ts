/** The access plan on its way from the supervisor to those who ask it, as bytes: lists of 100,000 prefixes are a few megabytes. */
import { deserialize, serialize } from "node:v8"
import type { AccessPlan } from "@meridian/protocol/access/access-plan"

export const encodeAccessPlan = (plan: AccessPlan): Uint8Array => serialize(plan)

/** Reads what {@link encodeAccessPlan} of the same version wrote. @throws for what it did not */
export const decodeAccessPlan = (bytes: Uint8Array): AccessPlan => deserialize(bytes) as AccessPlan
