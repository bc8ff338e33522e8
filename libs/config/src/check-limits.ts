/** What `--check` takes: limits that a monitor holds a server or a node to. */
import { accepted, decimalNumber, type Parsed, refused, type ValueType, wholeNumber } from "./value-types.ts"

/** Undefined: not asked for. */
export interface CheckLimits {
  /** Seconds, at most, in either direction. */
  readonly offset?: number
  /** Seconds, at most. */
  readonly "root-distance"?: number
  readonly stratum?: number
  /** Days that the certificate must be valid for, at least. */
  readonly "certificate-days"?: number
}

type LimitName = keyof CheckLimits

const TYPES: Readonly<Record<LimitName, ValueType<number>>> = {
  offset: decimalNumber("SECONDS", "seconds", 0),
  "root-distance": decimalNumber("SECONDS", "seconds", 0),
  stratum: wholeNumber("N", 1, 15),
  "certificate-days": decimalNumber("DAYS", "days", 0)
}

const isLimitName = (name: string): name is LimitName => Object.hasOwn(TYPES, name)

/** `offset=0.1,stratum=4`: each name once, at least one. */
export const checkLimits: ValueType<CheckLimits> = {
  syntax: "LIMIT=VALUE,...",
  expected: "limits with commas between them, such as offset=0.1,root-distance=1,stratum=4,certificate-days=14",
  parse: (text): Parsed<CheckLimits> => {
    const limits: Partial<Record<LimitName, number>> = {}
    for (const part of text.split(",")) {
      const [name = "", written = "", ...more] = part.split("=")
      if (!isLimitName(name) || limits[name] !== undefined || more.length > 0) return refused
      const value = TYPES[name].parse(written)
      if (!value.ok) return { ok: false, advice: `${name} takes ${TYPES[name].expected}` }
      limits[name] = value.value
    }
    return accepted(limits)
  },
  write: (value) =>
    Object.entries(value as CheckLimits)
      .map((pair) => pair.join("="))
      .join(",")
}
