/** Scenarios: a world for the client to live in, and what is asked of it there. */
import type { DisciplineOptions } from "@meridian/algorithms/discipline"
import type { SimulatedSourceOptions } from "./sim-client.ts"
import type { PathModel } from "./sim-network.ts"
import type { OscillatorModel } from "./sim-oscillator.ts"
import type { ServerModel } from "./sim-server.ts"

export interface ScenarioSource extends SimulatedSourceOptions {
  readonly server: ServerModel
  readonly path: PathModel
}

export interface ScenarioWorld {
  readonly oscillator: OscillatorModel
  readonly sources: readonly ScenarioSource[]
  /** What a drift file says: seconds per second. */
  readonly frequency?: { readonly value: number; readonly deviation: number }
}

/** Limits after settling, as chrony's test.common names them. Seconds, seconds per second. */
export interface ScenarioLimits {
  readonly timeMax: number
  readonly timeRms: number
  readonly frequencyMax: number
  readonly frequencyRms: number
  /** From when on the error must be within timeMax and frequencyMax, seconds from the start. */
  readonly synchronisedBy: number
}

/**
 * - `chrony`: reproduces a published simulation test and its limits
 * - `settled`: a clock that has found its frequency; compared with the RFC's discipline
 * - `attack`: falsetickers and failing servers
 */
export type ScenarioGroup = "chrony" | "settled" | "attack"

export interface Scenario {
  readonly name: string
  /** What happens, for people. */
  readonly title: string
  readonly group: ScenarioGroup
  /** Seconds. */
  readonly duration: number
  readonly settling: number
  readonly limits?: ScenarioLimits
  /** The client must never claim to know the time. */
  readonly mustNotSynchronise?: boolean
  /** Whether it counts in the comparison with the RFC's discipline: not where the RFC's cannot work at all. */
  readonly compared: boolean
  readonly options?: Partial<DisciplineOptions>
  readonly world: (seed: number) => ScenarioWorld
}
