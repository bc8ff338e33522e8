/** `meridian waitsync [TIMEOUT]`: returns when the node is synchronised. Exit codes: 0 it is, 1 it was not in time, 2 wrong flag. */
import { setTimeout } from "node:timers/promises"
import { defineFlags, valueFlag } from "@meridian/config/flags"
import { wholeNumber } from "@meridian/config/value-types"
import type { NodeStatus } from "@meridian/ipc"
import { stateDirectoryOf } from "./coordinator-client.ts"
import { askNode, nodeFlags, NodeUnreachable } from "./node-client.ts"
import { OperatorProblem, runCommand } from "./run-command.ts"

const TRY_AGAIN_MS = 250
const GREATEST_MICROSECONDS = 16_000_000

export const waitsyncCommand = defineFlags({
  command: "meridian waitsync",
  meaning: "Waits until the node is synchronised, for scripts and units that need the right time.",
  flags: {
    state: nodeFlags.state,
    "max-error": valueFlag(
      wholeNumber("MICROSECONDS", 1, GREATEST_MICROSECONDS),
      "Also waits until the error bound (root distance) is at most this. Default: any."
    )
  },
  positional: { name: "TIMEOUT", meaning: "Seconds to wait. Default: for ever.", least: 0, most: 1 }
})

/** Asks the node until it is synchronised or the time is over; a node that is not there yet may come. */
export const runWaitsync = (args: readonly string[]): Promise<number> =>
  runCommand(waitsyncCommand, args, async ({ values, positionals: [timeout] }) => {
    const seconds = timeout === undefined ? Infinity : Number(timeout)
    if (!(seconds >= 0)) throw new OperatorProblem(2, `found ${JSON.stringify(timeout)}, expected seconds to wait`)
    const most = (values["max-error"] ?? Infinity) / 1e6
    const directory = stateDirectoryOf(values.state)
    const until = performance.now() + seconds * 1e3
    for (;;) {
      const lacking = await lackingOf(directory, most)
      if (lacking === undefined) return 0
      if (performance.now() >= until) throw new OperatorProblem(1, `${lacking}, after ${seconds} s`)
      await setTimeout(TRY_AGAIN_MS)
    }
  })

/** What is not as it is waited for; undefined: nothing. @param most the claimed error, seconds */
const lackingOf = async (directory: string, most: number): Promise<string | undefined> => {
  try {
    const { synchronised, rootDelay, rootDispersion } = (await askNode<NodeStatus>(directory, "/status")).clock
    const error = rootDelay / 2 + rootDispersion
    if (!synchronised) return "not synchronised yet"
    return error <= most ? undefined : `synchronised, but the claimed error is ${(error * 1e6).toFixed(0)} µs`
  } catch (error) {
    if (error instanceof NodeUnreachable) return error.message
    throw error
  }
}
