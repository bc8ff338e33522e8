/**
 * Loaded before anything else of a process (`node --import`): says that its event loop turns, from its first
 * moment on and at regular intervals, also while the rest is still being read and compiled. Whoever supervises it notices within seconds when it does not. Its address says how often, in milliseconds: `?every=2000`.
 */
import { everyTurn } from "./turns.ts"

const INTERVAL_MS = Number(new URL(import.meta.url).searchParams.get("every") ?? 1_000)

interface AliveMessage {
  readonly type: "alive"
}

const beat = (): void => {
  // A supervisor that dies at this moment is the disconnect handler's matter.
  if (process.connected) process.send?.({ type: "alive" } satisfies AliveMessage, undefined, undefined, () => {})
}

// Node would open its inspector on this signal, to whoever may connect to this machine.
process.on("SIGUSR1", () => {})
// A terminal's signals reach the whole process group; only the supervisor decides what they mean.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {})
beat()
everyTurn(INTERVAL_MS, beat)
