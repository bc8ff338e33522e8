import { systemClock } from "@meridian/clocks/system-clock"

/**
 * Seals with a stamp of a quarter of a second ago. The machine may hold this process up for longer than a stamp is moved; then once more.
 * @returns seconds by which the stamp was moved on, and between which bounds that is right
 */
export const movedOn = (seal: (stampedAt: number) => number): { moved: number; least: number; most: number } => {
  const { monotonic } = systemClock()
  let moved = 0
  let between = 0
  for (let attempt = 0; attempt < 20 && moved === 0; attempt += 1) {
    const from = monotonic.seconds()
    moved = seal(from - 0.25)
    between = monotonic.seconds() - from
  }
  return { moved, least: 0.25 - 1e-6, most: 0.25 + between + 1e-6 }
}
