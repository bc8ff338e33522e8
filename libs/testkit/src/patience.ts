/**
 * How long a suite waits for what must come, milliseconds: many times what it takes on two cores that others load as well.
 * Whoever waits looks for a condition and goes on as soon as it holds, so only a failure takes this long.
 */
export const PATIENCE_MS = 60_000
