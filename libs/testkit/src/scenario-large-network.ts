/**
 * A tree of servers: four at each of strata 1 to 3, each following all four above it. Nothing flows back up a tree, so the
 * nodes are simulated one after another, each served by the records of those above it.
 */
import { changedPath, type PathModel } from "./sim-network.ts"
import { meridianClient } from "./sim-client-meridian.ts"
import type { OscillatorModel } from "./sim-oscillator.ts"
import { emptyRecord, type SimulationRecord } from "./sim-record.ts"
import { runSimulation } from "./sim-run.ts"
import { goodServer, recordedServer, type ServerModel } from "./sim-server.ts"
import type { ScenarioSource } from "./scenario.ts"

const DURATION = 10_000
const PRECISION = 1e-7
/** When the client at the bottom starts, seconds. */
const CLIENT_START = 2000

/** The four servers of stratum 3, as sources of a client that starts after 2000 s. */
export const largeNetwork = (seed: number, oscillator: OscillatorModel, path: PathModel): readonly ScenarioSource[] => {
  let above: readonly ServerModel[] = Array.from({ length: 4 }, () => goodServer())
  for (let stratum = 2; stratum <= 3; stratum += 1) {
    const sources = above.map((server) => ({ server, path }))
    const records = above.map((_, i): SimulationRecord => {
      const record = emptyRecord(DURATION)
      runSimulation(
        {
          seed: seed * 100 + stratum * 10 + i,
          duration: DURATION,
          oscillator,
          sources,
          precision: PRECISION,
          settling: 0,
          syncLimit: 1e-3
        },
        meridianClient({ sources: sources.map(() => ({})), precision: PRECISION }),
        { record }
      )
      return record
    })
    above = records.map(recordedServer)
  }
  return above.map((server) => ({ server, path: changedPath(path, (t) => (t < CLIENT_START ? undefined : 0)) }))
}
