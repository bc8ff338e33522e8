/** Scenarios: a world for the client to live in, and what is asked of it there. */
import type { DisciplineOptions } from "@meridian/algorithms"
import type { SimulatedSourceOptions } from "./sim-client.ts"
import type { PathModel } from "./sim-network.ts"
import type { OscillatorModel } from "./sim-oscillator.ts"
import type { ServerModel } from "./sim-server.ts"

export interface ScenarioSource extends SimulatedSourceOptions {
  readonly server: ServerModel
  readonly path: PathModel
  /** Options of chronyd's server line, for when it is run through the same world. */
  readonly chrony?: readonly string[]
}

interface ScenarioWorld {
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
 * - `ugly`: networks and servers as they are found: queues, radio, near liars; compared with the RFC's discipline and chronyd
 * - `attack`: falsetickers and failing servers
 */
export type ScenarioGroup = "chrony" | "settled" | "ugly" | "attack"

export interface Scenario {
  readonly name: string
  /** What happens, for people. */
  readonly title: string
  readonly group: ScenarioGroup
  /** Seconds. */
  readonly duration: number
  readonly settling: number
  readonly limits?: ScenarioLimits
  /** From when on claims are judged, seconds: where nobody can know of a lie before it has shown once. 0 if undefined. */
  readonly claimsFrom?: number
  /** The client must never claim to know the time. */
  readonly mustNotSynchronise?: boolean
  /** Whether it counts in the comparison with the RFC's discipline: not where the RFC's cannot work at all. */
  readonly compared: boolean
  /** Where it is known that the goals are not met in it: why, a sentence for people. */
  readonly why?: string
  readonly options?: Partial<DisciplineOptions>
  /** Lines of chrony.conf, for when chronyd is run through the same world. */
  readonly chrony?: readonly string[]
  readonly world: (seed: number) => ScenarioWorld
}
