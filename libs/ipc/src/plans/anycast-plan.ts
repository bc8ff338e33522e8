/** What the process that announces the node's routes works by. */
import { finite, flag, list, nullable, record, text, type TypeOf, whole } from "../channel/shape.ts"

const path = text(1, 4_096)
const seconds = finite(0, 3_600)

const anycastSettings = {
  /** Addresses that clients ask, and the prefixes announced for them (ADDRESS/LENGTH, host bits cleared). */
  addresses: list(record({ address: text(2, 45), prefix: text(4, 49) }), 64),
  /** Where its own probes go. */
  probes: list(text(2, 45), 64),
  port: whole(1, 65_535),
  /** Whether it is for key exchange alone that clients come. */
  exchangeOnly: flag,
  bird: nullable(record({ socket: path, protocols: list(text(1, 64), 64) })),
  exabgp: nullable(record({ socket: path })),
  frr: nullable(record({ as: whole(1, 0xffffffff), vtysh: path })),
  script: nullable(path),
  /** Seconds of good health before the route comes, and of bad before it goes. */
  rise: seconds,
  fall: seconds,
  /** Seconds that served time may be off, at most. */
  maximumError: finite(0, 16),
  /** Requests a second that the node may get; null: no bound. */
  maximumRate: nullable(finite(0))
}
const anycastSettingsShape = record(anycastSettings)
export type AnycastSettings = TypeOf<typeof anycastSettingsShape>

export const anycastPlan = record({
  ...anycastSettings,
  /** Whether the node may be announced at all: a drained one is not. */
  announces: flag,
  /** When the NTS keys that the node holds are used, Unix seconds; null where NTS is not served. */
  generations: nullable(list(record({ id: whole(0, 0xffffffff), activation: finite(), retirement: finite(0) }), 1_024))
})
export type AnycastPlan = TypeOf<typeof anycastPlan>
