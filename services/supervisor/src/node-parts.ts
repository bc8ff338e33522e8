/** What a node is made of, for those who look at the whole. */
import type { ClockPageDescriptors, ClockPageReader } from "@meridian/clocks/clock-page"
import type { SystemClock } from "@meridian/clocks/system-clock"
import type { AccessPlanner } from "./access-planner.ts"
import type { AddressWatch } from "./address-watch.ts"
import type { AnycastSlot } from "./anycast-slot.ts"
import type { AutokeySlot } from "./autokey-slot.ts"
import type { ClientMemory } from "./client-memory.ts"
import type { ClockSlot } from "./clock-slot.ts"
import type { ControlSlot } from "./control-slot.ts"
import type { CoordinatorSlot } from "./coordinator-slot.ts"
import type { ServedKeys } from "./served-keys.ts"
import type { Listening } from "./listening.ts"
import type { NodeDrain } from "./node-drain.ts"
import type { NodePlan } from "./node-plan.ts"
import type { NtsKeSlot } from "./nts-ke-slot.ts"
import type { LivePlan } from "./live-plan.ts"
import type { PortWatch } from "./port-watch.ts"
import type { SigndSlot } from "./signd-slot.ts"
import type { WorkerSlot } from "./worker-slot.ts"
import type { XdpSlot } from "./xdp-slot.ts"

export interface NodeParts {
  readonly plan: NodePlan
  readonly live: LivePlan
  readonly access: AccessPlanner
  readonly servedKeys: ServedKeys
  /** Reads Autokey's files again; what went wrong. */
  readonly readAutokeyFiles: () => readonly string[]
  readonly sockets: Listening
  readonly commandSockets: readonly number[]
  readonly page: ClockPageDescriptors
  readonly clients: ClientMemory
  readonly reader: ClockPageReader
  readonly system: SystemClock
  /** CLOCK_MONOTONIC, seconds; nobody is answered without time before `silentUntil`. */
  readonly startedAt: number
  readonly silentUntil: number
  /** What it could not have when it started. */
  readonly lacking: readonly string[]
  readonly clock: ClockSlot
  readonly coordinator: CoordinatorSlot
  readonly shown: ControlSlot
  readonly workers: readonly WorkerSlot[]
  readonly ntsKe: readonly NtsKeSlot[]
  readonly signd: SigndSlot | undefined
  readonly autokey: AutokeySlot | undefined
  readonly anycast: AnycastSlot | undefined
  readonly xdp: XdpSlot | undefined
  readonly drain: NodeDrain
  readonly network: AddressWatch
  readonly ports: PortWatch
}
