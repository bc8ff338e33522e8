/** `meridian tracking [--state DIR] [--json]`: what is served and how well it is known. Exit codes as `meridian sources`. */
import { defineFlags } from "@meridian/config/flags"
import type { KernelReport, PassivePeersReport, TrackingReport } from "@meridian/ipc/discipline-report"
import { stateDirectoryOf } from "./coordinator-client.ts"
import { askNode, nodeFlags } from "./node-client.ts"
import { print, runCommand } from "./run-command.ts"
import { shortSeconds } from "./sources-command.ts"
import { nameValues } from "./text-table.ts"

export const trackingCommand = defineFlags({
  command: "meridian tracking",
  meaning: "Shows which source the clock follows, its estimated error, and what the node is waiting for.",
  flags: nodeFlags
})

const states: Readonly<Record<TrackingReport["state"], string>> = {
  unset: "not set yet",
  synchronised: "synchronised",
  spike: "synchronised, a step is in question",
  holdover: "holdover: nothing to follow",
  local: "this machine's own clock, which nobody checked"
}

const RESUMED = "kept from before the start: nobody is followed yet"

const leaps = ["none", "a second will be inserted", "a second will be deleted", "unsynchronised"] as const

const moment = (unix: number): string => new Date(unix * 1e3).toISOString()

/** An estimate with its standard deviation. */
const estimate = (value: number | null, deviation: number | null, text: (value: number) => string): string =>
  value === null ? "unknown" : deviation === null ? text(value) : `${text(value)} +/- ${text(Math.abs(deviation))}`

const ppm = (value: number): string => `${value.toFixed(3)} ppm`

const steered = ({ state, frequency, tick, steps }: KernelReport): string =>
  `${state}, ${ppm(frequency)}${tick === 10_000 ? "" : ` and tick ${tick}`}, stepped ${steps} times`

const passive = ({ now, most, refused }: PassivePeersReport): string => {
  const reasons = Object.entries(refused).map(([reason, count]) => `${reason} ${count}`)
  return `${now} of at most ${most}${reasons.length === 0 ? "" : `; refused: ${reasons.join(", ")}`}`
}

/** The tracking as lines of name and value. */
export const formatTracking = (tracking: TrackingReport): string => {
  const { leapArmed, referenceTime, holdoverSince, kernel, passivePeers } = tracking
  const rows: readonly (readonly [string, string])[] = [
    ["state", tracking.resumed === true ? RESUMED : states[tracking.state]],
    ["system peer", tracking.systemPeer ?? "none"],
    ["stratum", tracking.stratum >= 16 ? "unsynchronised" : String(tracking.stratum)],
    ["reference id", tracking.referenceId === "" ? "none" : tracking.referenceId],
    ["last update", referenceTime === null ? "never" : moment(referenceTime)],
    ["leap", leaps[tracking.leap] ?? String(tracking.leap)],
    ...(leapArmed === null
      ? []
      : [["leap second", `${leapArmed.leap} before ${moment(leapArmed.at)}, by ${leapArmed.origin}`] as const]),
    ["offset", estimate(tracking.offset, tracking.offsetDeviation, (value) => shortSeconds(value))],
    ["frequency", estimate(tracking.frequency, tracking.frequencyDeviation, ppm)],
    ["served correction", `${shortSeconds(tracking.servedOffset, true)}, slope ${ppm(tracking.servedFrequency)}`],
    ["root delay", shortSeconds(tracking.rootDelay)],
    ["root dispersion", shortSeconds(tracking.rootDispersion)],
    ["poll interval", `${2 ** tracking.poll} s`],
    [
      "mode",
      tracking.mode === "virtual" ? "virtual: the system's clock is left alone" : "kernel: steers the system's clock"
    ],
    ...(kernel === null || kernel === undefined ? [] : [["system clock", steered(kernel)] as const]),
    ...(holdoverSince === null ? [] : [["holdover since", moment(holdoverSince)] as const]),
    ...(passivePeers === undefined ? [] : [["passive peers", passive(passivePeers)] as const]),
    ["steps", `${tracking.steps} of served time, ${tracking.foreignSteps} of the system's clock by others`]
  ]
  const waiting = tracking.waitingFor.map((sentence) => `waiting for ${sentence}`)
  return `${[...nameValues(rows), ...waiting].join("\n")}\n`
}

export const runTracking = (args: readonly string[]): Promise<number> =>
  runCommand(trackingCommand, args, async ({ values: { state, json } }) => {
    const tracking = await askNode<TrackingReport>(stateDirectoryOf(state), "/tracking")
    print(json, tracking, formatTracking)
  })
