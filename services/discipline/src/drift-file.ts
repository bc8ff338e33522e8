/** ntp.conf `driftfile`: the frequency correction in ppm as one number of text, replaced as a whole. */
import { renameSync, writeFileSync } from "@meridian/system/files"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"
import type { KnownFrequency } from "./upstream.ts"

/** One number, and what older programs wrote after it. */
const LONGEST_FILE = 65_536

/** No oscillator in use is worse; what is over it is no drift. ppm, as NTPsec's MAXFREQ. */
const GREATEST_PPM = 500
/** How far an oscillator may have moved since its frequency was written down, seconds per second. */
export const FREQUENCY_DEVIATION = 5e-6
/** Changes below this are not worth a write, ppm. */
const WORTH_WRITING_PPM = 1e-4

export class DriftFile {
  private readonly path: string
  private written: number | undefined

  constructor(path: string) {
    this.path = path
  }

  /** What the file says; undefined when there is none. A sentence when it is not a drift file, which is then ignored. */
  read(): KnownFrequency | string | undefined {
    let text: string
    try {
      text = readRegularFile(this.path, LONGEST_FILE).toString("utf8")
    } catch (error) {
      if (error instanceof FileNotRead && error.reason === "ENOENT") return undefined
      const reason = error instanceof FileNotRead ? error.why : String(error)
      return `drift file ${this.path} cannot be read (${reason}): it is ignored`
    }
    const [word = ""] = text.trim().split(/\s+/)
    const ppm = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(word) ? Number(word) : NaN
    if (!(Math.abs(ppm) <= GREATEST_PPM))
      return `drift file ${this.path} is ignored: expected one number from -${GREATEST_PPM} to ${GREATEST_PPM} (ppm), found ${JSON.stringify(text.slice(0, 40))}`
    this.written = ppm
    return { value: ppm * 1e-6, deviation: FREQUENCY_DEVIATION }
  }

  /** Writes a frequency (seconds per second) when it differs from what stands there. Throws the file system's error. */
  save(frequency: number): void {
    const ppm = frequency * 1e6
    if (!(Math.abs(ppm) <= GREATEST_PPM)) return
    if (this.written !== undefined && Math.abs(ppm - this.written) < WORTH_WRITING_PPM) return
    const fresh = `${this.path}.TEMP`
    writeFileSync(fresh, `${ppm.toFixed(6)}\n`)
    renameSync(fresh, this.path)
    this.written = ppm
  }
}
