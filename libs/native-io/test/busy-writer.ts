/** Child of clock-page.test.ts: writes curves as fast as it can, every field of which holds the same number. */
import { unsynchronisedCurve } from "@meridian/time/clock-curve"
import { ClockPageWriter, type PageKind } from "../src/clock-page.ts"

const [path = "", kind = "auto", milliseconds = "0"] = process.argv.slice(2)
const writer = new ClockPageWriter(path, kind as PageKind)
const curve = unsynchronisedCurve()
const end = performance.now() + Number(milliseconds)
for (let count = 1; performance.now() < end; count++) {
  curve.baseSeconds = curve.referenceSeconds = curve.deadline = curve.referenceId = curve.baseMonotonic = count
  writer.write(curve)
}
writer.close()
