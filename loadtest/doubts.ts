/** What the reader must know before trusting the rounds. */
import type { Sample } from "./measure.ts"
import type { RunningServer } from "./servers.ts"
import { median } from "./statistics.ts"

type Samples = ReadonlyMap<RunningServer, readonly Sample[]>

/** A share of the time that something else had the server's core, above which the reader is warned. */
const DISTURBED = 0.05
const SATURATED = 0.9

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

/** Servers that something else kept from their core. */
export const disturbed = (when: string, results: Samples): readonly string[] =>
  [...results].flatMap(([{ label }, samples]) => {
    const share = median(samples.map((each) => each.disturbed))
    return share > DISTURBED
      ? [`${label} waited ${percent(share)} of the time for its core ${when}: something else ran there`]
      : []
  })

/** Servers that a closed loop did not keep busy. */
export const idle = (results: Samples): readonly string[] =>
  [...results].flatMap(([{ label }, samples]) => {
    const busy = median(samples.map((each) => each.busy))
    return busy < SATURATED
      ? [`${label} used ${percent(busy)} of its core in the closed loop: the generator, or who else ran, was the limit`]
      : []
  })
