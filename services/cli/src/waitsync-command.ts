/** `meridian waitsync [TIMEOUT]`: returns when the node is synchronised. Exit codes: 0 it is, 1 it was not in time, 2 wrong flag. */
import { setTimeout } from "node:timers/promises"
import { defineFlags, parseFlags, renderHelp, valueFlag } from "@meridian/config/flags"
import { wholeNumber } from "@meridian/config/value-types"
import { nodeFlags, stateDirectoryOf } from "./sources-command.ts"
import { fetchStatus, NodeUnreachable } from "./status.ts"

const TRY_AGAIN_MS = 250
const GREATEST_MICROSECONDS = 16_000_000

export const waitsyncCommand = defineFlags({
  command: "meridian waitsync",
  meaning: "Waits until the node is synchronised: for scripts and units that need the right time.",
  flags: {
    state: nodeFlags.state,
    "max-error": valueFlag(
      wholeNumber("MICROSECONDS", 1, GREATEST_MICROSECONDS),
      "Waits until the claimed error (root distance) is at most this. Default: any."
    )
  },
  positional: { name: "TIMEOUT", meaning: "Seconds to wait; without it, for ever.", least: 0, most: 1 }
})

/** Asks the node until it is synchronised or the time is over; a node that is not there yet may come. */
export const runWaitsync = async (programRoot: string, args: readonly string[]): Promise<number> => {
  const parsed = parseFlags(waitsyncCommand, args)
  if (!parsed.ok) {
    process.stderr.write(`meridian waitsync: ${parsed.error.message}\n`)
    return 2
  }
  if (parsed.value.help) {
    process.stdout.write(renderHelp(waitsyncCommand))
    return 0
  }
  const [timeout] = parsed.value.positionals
  const seconds = timeout === undefined ? Infinity : Number(timeout)
  if (!(seconds >= 0)) {
    process.stderr.write(`meridian waitsync: found ${JSON.stringify(timeout)}, expected seconds to wait\n`)
    return 2
  }
  const most = (parsed.value.values["max-error"] ?? Infinity) / 1e6
  const directory = stateDirectoryOf(parsed.value.values.state, programRoot)
  const until = performance.now() + seconds * 1e3
  let last = ""
  for (;;) {
    const status = await fetchStatus(directory)
    if (status instanceof NodeUnreachable) last = status.message
    else {
      const { synchronised, rootDelay, rootDispersion } = status.clock
      const error = rootDelay / 2 + rootDispersion
      if (synchronised && error <= most) return 0
      last = synchronised
        ? `synchronised, but the claimed error is ${(error * 1e6).toFixed(0)} µs`
        : "not synchronised yet"
    }
    if (performance.now() >= until) {
      process.stderr.write(`meridian waitsync: ${last}, after ${seconds} s\n`)
      return 1
    }
    await setTimeout(TRY_AGAIN_MS)
  }
}
