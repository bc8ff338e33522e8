/**
 * Turns of event loops: a process counts its own in memory of its supervisor's, which looks at all counts; see native/turn-count.c.
 * Neither wakes JavaScript while all is well.
 */
import { loadNative, type NativeAddon } from "./native.ts"

type TurnWatch = InstanceType<NativeAddon["TurnWatch"]>

/**
 * Counts at once and then at each whole multiple of so many milliseconds, in the first four bytes of what a descriptor is open for,
 * while the event loop turns. False where it cannot: without the addon, or in that memory.
 */
export const countTurns = (descriptor: number, milliseconds: number): boolean => {
  try {
    const { addon } = loadNative()
    addon?.countTurns(descriptor, milliseconds)
    return addon !== undefined
  } catch {
    return false
  }
}

/**
 * A watch over counts; undefined without the addon. It lives as long as it is held.
 * @param after milliseconds after each whole multiple
 * @param onLook called where a count stands still or each look is wanted, with the number of looks until then
 */
export const watchTurns = (
  milliseconds: number,
  after: number,
  onLook: (looks: number) => void
): TurnWatch | undefined => {
  const { addon } = loadNative()
  return addon && new addon.TurnWatch(milliseconds, after, onLook)
}
