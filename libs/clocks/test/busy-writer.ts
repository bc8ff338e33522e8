/**
 * Child of clock-page.test.ts: writes curves to descriptor 4 as fast as it can, every field of which holds the same number,
 * until its parent disconnects.
 */
import { setImmediate as nextTurn } from "node:timers/promises"
import { unsynchronisedCurve } from "@meridian/time/clock-curve"
import { ClockPageWriter, type PageKind } from "../src/clock-page.ts"

const WRITES_BETWEEN_LOOKS = 500
const [kind = "auto"] = process.argv.slice(2)
const writer = new ClockPageWriter(4, kind as PageKind)
const curve = unsynchronisedCurve()
let count = 0
while (process.connected) {
  for (const end = count + WRITES_BETWEEN_LOOKS; count < end;) {
    count += 1
    curve.referenceSeconds = curve.deadline = curve.referenceId = curve.baseMonotonic = curve.rootDelay = count
    writer.write(curve)
  }
  await nextTurn()
}
writer.close()
