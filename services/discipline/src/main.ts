/**
 * The one writer of the clock page. Today it knows one source: the system's own clock as a local reference, for nodes
 * whose clock somebody else keeps. It steers nothing.
 *
 * Arguments: --clock-page PATH --stratum N
 */
import { parseArgs } from "node:util"
import { openClockPageWriter } from "@meridian/native-io/clock-page"
import { disableNative } from "@meridian/native-io/native"
import { systemClock } from "@meridian/native-io/system-clock"
import { localReferenceCurve } from "./local-reference.ts"

const PUBLISH_INTERVAL_MS = 250

const { values } = parseArgs({
  options: {
    help: { type: "boolean", default: false },
    "clock-page": { type: "string" },
    stratum: { type: "string", default: "10" }
  }
})
if (values.help || values["clock-page"] === undefined) {
  process.stderr.write("meridian discipline: started by the supervisor (`meridian up`), which names the clock page\n")
  process.exit(2)
}

if (process.env["MERIDIAN_NATIVE"] === "off") disableNative("MERIDIAN_NATIVE=off")

const page = openClockPageWriter(values["clock-page"])
const stratum = Number(values.stratum)
const clock = systemClock()
const time = { seconds: 0, nanoseconds: 0 }

const publish = (): void => {
  clock.wall.read(time)
  page.write(localReferenceCurve(stratum, time.seconds, time.nanoseconds, clock.monotonic.seconds()))
}

publish()
setInterval(publish, PUBLISH_INTERVAL_MS)
process.send?.({ type: "ready" })
process.on("disconnect", () => process.exit(0))
process.on("SIGTERM", () => process.exit(0))
process.on("SIGINT", () => {})
process.on("SIGHUP", () => {})
