/**
 * Checks by hand for the events that a log holds by the million, a tenth of what their schemas take. A check that says
 * true is right; one that says false says nothing, and the schema decides. That both agree is a property test.
 */
import type {
  ClockStepped,
  HoldoverEntered,
  LeapArmed,
  PassivePeerChanged,
  SourceReachabilityChanged,
  SystemPeerChosen
} from "./clock.ts"
import { type EventOf, isInstant } from "./event.ts"
import type { MemberHeartbeat } from "./members.ts"

type DataOf<D> = EventOf<D> extends { readonly data: infer Data } ? Data : never

/** The fields of data as they come, of any type each. */
type Loose<Data> = { readonly [Name in keyof Data]?: unknown }

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isText = (value: unknown, longest: number): value is string =>
  typeof value === "string" && value.length >= 1 && value.length <= longest

const isWhole = (value: unknown, most: number): boolean =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most

const isSource = (value: unknown): boolean => isText(value, 128)
const isReason = (value: unknown): boolean => isText(value, 256)

const areMeasurements = (value: unknown): boolean => {
  if (!Array.isArray(value) || value.length > 64) return false
  for (let index = 0; index < value.length; index++) {
    const it: unknown = value[index]
    if (!isObject(it)) return false
    const { source, stratum, reach, offset, delay, dispersion, jitter } = it as Loose<
      DataOf<typeof SystemPeerChosen>["measurements"][number]
    >
    if (!isSource(source) || !isWhole(stratum, 16) || !isWhole(reach, 255)) return false
    if (!Number.isFinite(offset) || !Number.isFinite(delay)) return false
    if (!Number.isFinite(dispersion) || !Number.isFinite(jitter)) return false
  }
  return true
}

/** By type of event, for the newest version of its data. */
export const quickChecks: Readonly<Record<string, (data: object) => boolean>> = {
  SystemPeerChosen: ({ peer, previous, reason, measurements }: Loose<DataOf<typeof SystemPeerChosen>>) =>
    isSource(peer) && (previous === null || isSource(previous)) && isReason(reason) && areMeasurements(measurements),
  SourceReachabilityChanged: ({ source, reachable, reach }: Loose<DataOf<typeof SourceReachabilityChanged>>) =>
    isSource(source) && typeof reachable === "boolean" && isWhole(reach, 255),
  PassivePeerChanged: ({ source, key, taken, reason }: Loose<DataOf<typeof PassivePeerChanged>>) =>
    isSource(source) && key !== 0 && isWhole(key, 65_535) && typeof taken === "boolean" && isReason(reason),
  ClockStepped: ({ offset, reason, measurements }: Loose<DataOf<typeof ClockStepped>>) =>
    Number.isFinite(offset) && isReason(reason) && areMeasurements(measurements),
  LeapArmed: ({ leap, at, source }: Loose<DataOf<typeof LeapArmed>>) =>
    (leap === "none" || leap === "insert" || leap === "delete") &&
    (at === null || (typeof at === "string" && isInstant(at))) &&
    isSource(source),
  HoldoverEntered: ({ lastPeer, rootDispersion, reason, measurements }: Loose<DataOf<typeof HoldoverEntered>>) =>
    (lastPeer === null || isSource(lastPeer)) &&
    Number.isFinite(rootDispersion) &&
    isReason(reason) &&
    areMeasurements(measurements),
  MemberHeartbeat: ({ health }: Loose<DataOf<typeof MemberHeartbeat>>) => {
    if (!isObject(health)) return false
    const { workers, synchronised, ntsGeneration, symmetricSet } = health as Loose<
      DataOf<typeof MemberHeartbeat>["health"]
    >
    return (
      isWhole(workers, 65_535) &&
      typeof synchronised === "boolean" &&
      isWhole(ntsGeneration, Number.MAX_SAFE_INTEGER) &&
      isWhole(symmetricSet, Number.MAX_SAFE_INTEGER)
    )
  }
}

/** Characters of an id, see the catalogue: digits, letters, `_ . : -`. */
const ID_CHARACTERS = Uint8Array.from({ length: 128 }, (_, code) =>
  /[0-9A-Za-z_.:-]/.test(String.fromCharCode(code)) ? 1 : 0
)

/** Whether text is an id of at most 128 characters. */
export const isQuickId = (value: unknown): boolean => {
  if (!isText(value, 128)) return false
  for (let at = 0; at < value.length; at++) if (ID_CHARACTERS[value.charCodeAt(at)] !== 1) return false
  return true
}
