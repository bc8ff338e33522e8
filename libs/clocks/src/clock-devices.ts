/** Reference clocks that are devices, over the C addon: pulses per second and PTP hardware clocks. */
import { closeSync, openSync } from "@meridian/system/files"
import type { UnixTime } from "@meridian/time/timestamp"
import { errnoAdvice } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import { type PhcPort, type PhcReading, type PpsPort, ReferenceClockError } from "./reference-clock-ports.ts"
import { addonForClocks } from "./shm-segment.ts"

const PULSE_NUMBERS = 6
const CLEAR_EDGE = 3
const PHC_NUMBERS = 48
const READING_NUMBERS = 6

const failed = (error: unknown, path: string, what: string): ReferenceClockError => {
  const reason = errnoName(error)
  return new ReferenceClockError(reason, `${path} cannot be used as ${what}: ${errnoAdvice("clock", reason)}`)
}

/** Opens a device for reading, which is all that takes, and has a first use of it; what fails closes it again. */
const openDevice = (path: string, what: string, use: (descriptor: number) => void): number => {
  let descriptor = -1
  try {
    descriptor = openSync(path, "r")
    use(descriptor)
    return descriptor
  } catch (error) {
    if (descriptor >= 0) closeSync(descriptor)
    throw failed(error, path, what)
  }
}

const timeAt = (numbers: Float64Array, index: number): UnixTime => ({
  seconds: numbers[index]!,
  nanoseconds: numbers[index + 1]!
})

/**
 * Pulses of /dev/ppsN.
 * @param clear whether the clearing edge is the second's beginning, and not the asserting one
 * @throws ReferenceClockError
 */
export const openPpsDevice = (path: string, clear: boolean): PpsPort => {
  const addon = addonForClocks()
  const what = "pulses per second"
  const descriptor = openDevice(path, what, (opened) => addon.ppsCapture(opened, clear))
  const numbers = new Float64Array(PULSE_NUMBERS)
  const edge = clear ? CLEAR_EDGE : 0
  return {
    fetch: () => {
      try {
        addon.ppsFetch(descriptor, numbers)
      } catch (error) {
        throw failed(error, path, what)
      }
      return { sequence: numbers[edge]!, at: timeAt(numbers, edge + 1) }
    },
    close: () => closeSync(descriptor)
  }
}

/**
 * The hardware clock /dev/ptpN.
 * @throws ReferenceClockError
 */
export const openPhcDevice = (path: string): PhcPort => {
  const addon = addonForClocks()
  const what = "a hardware clock"
  const numbers = new Float64Array(PHC_NUMBERS)
  const descriptor = openDevice(path, what, (opened) => void addon.phcRead(opened, numbers))
  return {
    read: () => {
      try {
        const count = addon.phcRead(descriptor, numbers)
        return Array.from({ length: count }, (_, index): PhcReading => ({
          before: timeAt(numbers, READING_NUMBERS * index),
          device: timeAt(numbers, READING_NUMBERS * index + 2),
          after: timeAt(numbers, READING_NUMBERS * index + 4)
        }))
      } catch (error) {
        throw failed(error, path, what)
      }
    },
    close: () => closeSync(descriptor)
  }
}
