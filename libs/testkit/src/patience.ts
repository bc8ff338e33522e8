import { setTimeout as sleep } from "node:timers/promises"

/**
 * How long a suite waits for what must come, milliseconds: many times what it takes on two cores that others load as well.
 * Whoever waits looks for a condition and goes on as soon as it holds, so only a failure takes this long.
 */
export const PATIENCE_MS = 60_000

/** Looks until it holds; what was seen last, where it never does. */
export const eventually = async <A>(
  what: () => A | Promise<A>,
  holds: (value: A) => boolean,
  limitMs = PATIENCE_MS
): Promise<A> => {
  for (const until = performance.now() + limitMs; ; await sleep(50)) {
    const value = await what()
    if (holds(value) || performance.now() > until) return value
  }
}
