/**
 * The one writer of the clock page. Today it knows one source: the system's own clock as a local reference, for nodes
 * whose clock somebody else keeps. It steers nothing.
 *
 * Arguments: --clock-page PATH --stratum N
 */
import { parseArgs } from "node:util"
import { openClockPageWriter } from "@meridian/native-io/clock-page"
import { readClocks } from "@meridian/native-io/system-clock"
import { localReferenceCurve } from "./local-reference.ts"

const PUBLISH_INTERVAL_MS = 250

const { values } = parseArgs({ options: { "clock-page": { type: "string" }, stratum: { type: "string", default: "10" } } })

const page = openClockPageWriter(values["clock-page"] ?? "")
const stratum = Number(values.stratum)
const clocks = new Float64Array(3)

const publish = (): void => {
  readClocks(clocks)
  page.write(localReferenceCurve(stratum, clocks[0]!, clocks[1]!, clocks[2]!))
}

publish()
setInterval(publish, PUBLISH_INTERVAL_MS)
process.send?.({ type: "ready" })
process.on("disconnect", () => process.exit(0))
process.on("SIGTERM", () => process.exit(0))
process.on("SIGINT", () => {})
process.on("SIGHUP", () => {})
