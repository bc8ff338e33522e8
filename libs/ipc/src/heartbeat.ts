/**
 * Loaded before anything else of a process (`node --import`): says that its event loop turns, from its first
 * moment on and at regular intervals, also while the rest is still being read and compiled. Whoever supervises it notices within seconds when it does not.
 * The variable MERIDIAN_HEARTBEAT says how often, in milliseconds, and where: `every=2000&memory=7` counts turns in the first four bytes of what
 * descriptor 7 is open for, which wakes nobody, not even this process's JavaScript; without `memory` a message says it. Not the module's address:
 * under one that differs by what follows it, Node would strip and compile this file anew in each process, and the stripper is 17 MB.
 */
import { countTurns } from "@meridian/system/turn-count"
import { everyTurn } from "./turns.ts"

const settings = new URLSearchParams(process.env["MERIDIAN_HEARTBEAT"])
delete process.env["MERIDIAN_HEARTBEAT"]
const INTERVAL_MS = Number(settings.get("every") ?? 1_000)
const MEMORY = settings.get("memory")

interface AliveMessage {
  readonly type: "alive"
}

const say = (): void => {
  // A supervisor that dies at this moment is the disconnect handler's matter.
  if (process.connected) process.send?.({ type: "alive" } satisfies AliveMessage, undefined, undefined, () => {})
}

// Node would open its inspector on this signal, to whoever may connect to this machine.
process.on("SIGUSR1", () => {})
// A terminal's signals reach the whole process group; only the supervisor decides what they mean.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {})
if (MEMORY === null || !countTurns(Number(MEMORY), INTERVAL_MS)) {
  say()
  everyTurn(INTERVAL_MS, say)
}
