/** Shared memory of reference clocks over the C addon. */
import type { ShmTime } from "@meridian/wire/shm-time"
import { errnoWords } from "@meridian/system/errno-words"
import { errnoName, loadNative, type NativeAddon, type NativeShmSegment } from "@meridian/system/native"
import { ReferenceClockError, type ShmPort } from "./reference-clock-ports.ts"

/** Sizes of the layouts of 64-bit and 32-bit writers, bytes. */
const SIZES: readonly number[] = [96, 80]
const NUMBERS = 11
const TAKEN = 1
const TORN = 2
const WRITABLE_BY_OTHERS = 0o022

/** The addon, which reference clocks cannot do without. Throws {@link ReferenceClockError}. */
export const addonForClocks = (): NativeAddon => {
  const { addon, reason } = loadNative()
  if (addon === undefined) throw new ReferenceClockError("no-addon", `reference clocks need the C addon: ${reason}`)
  return addon
}

/** The System V key of a unit, as ipcs shows it. */
const shmKeyText = (unit: number): string => `0x${(0x4e545030 + unit).toString(16)}`

/**
 * Attaches the segment of a unit, and makes it where it is not there yet, as ntpd does.
 * @param isPrivate whether nobody else may write it: then it must be ours or root's (ntpd: units 0 and 1, and `mode 1`)
 * @throws ReferenceClockError
 */
export const openShmSegment = (unit: number, isPrivate: boolean): ShmPort => {
  const addon = addonForClocks()
  const name = `shared memory segment ${shmKeyText(unit)} (unit ${unit})`
  let segment: NativeShmSegment
  try {
    segment = new addon.ShmSegment(unit, isPrivate)
  } catch (error) {
    const reason = errnoName(error)
    const advice =
      reason === "EACCES" && isPrivate
        ? "it is for root alone; use unit 2 or above, which anybody may use, or run as its owner"
        : `${errnoWords(reason)}; see \`ipcs -m\``
    throw new ReferenceClockError(reason, `${name} cannot be attached: ${advice}`)
  }
  try {
    judge(segment, name, isPrivate)
  } catch (error) {
    segment.close()
    throw error
  }
  const numbers = new Float64Array(NUMBERS)
  return {
    take: () => {
      const outcome = segment.take(numbers)
      if (outcome === TAKEN) return fieldsOf(numbers)
      if (outcome === TORN) return "torn"
      return segment.isCurrent() ? "nothing" : "replaced"
    },
    close: () => segment.close()
  }
}

const judge = ({ size, owner, permissions }: NativeShmSegment, name: string, isPrivate: boolean): void => {
  if (!SIZES.includes(size))
    throw new ReferenceClockError(
      "size",
      `${name} has ${size} bytes, expected ${SIZES.join(" or ")}: another program made it; stop that, and remove it with ipcrm`
    )
  if (!isPrivate) return
  const own = process.geteuid?.() ?? -1
  if (owner !== 0 && owner !== own)
    throw new ReferenceClockError(
      "owner",
      `${name} belongs to user ${owner}, expected root or ${own}: whoever that is could set this clock; remove it with ipcrm`
    )
  if ((permissions & WRITABLE_BY_OTHERS) !== 0)
    throw new ReferenceClockError(
      "permissions",
      `${name} has permissions ${permissions.toString(8)}, expected 600: others could set this clock; remove it with ipcrm, or use unit 2 or above`
    )
}

const fieldsOf = (numbers: Float64Array): ShmTime => ({
  mode: numbers[0]!,
  count: numbers[1]!,
  clockSeconds: numbers[2]!,
  clockMicroseconds: numbers[3]!,
  clockNanoseconds: numbers[4]!,
  receiveSeconds: numbers[5]!,
  receiveMicroseconds: numbers[6]!,
  receiveNanoseconds: numbers[7]!,
  leap: numbers[8]!,
  precision: numbers[9]!,
  samples: numbers[10]!
})
