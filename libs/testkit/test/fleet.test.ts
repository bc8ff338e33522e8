/** What a fleet of tests ends: processes that run in its networks, and no other. */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { once } from "node:events"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Fleet } from "../src/fleet.ts"
import { PATIENCE_MS } from "../src/patience.ts"
import { canMakeNamespaces } from "../src/network-namespace.ts"

const LONGER_THAN_THE_TEST = "600"

describe.runIf(canMakeNamespaces("a fleet's processes"))("a fleet", () => {
  let fleet: Fleet
  let outside: ChildProcessWithoutNullStreams
  beforeAll(() => {
    fleet = new Fleet()
    outside = spawn("cat")
  })
  afterAll(async () => {
    outside.kill("SIGKILL")
    await fleet.end()
  })

  const start = async (): Promise<ChildProcess> => {
    const child = fleet.start(fleet.network(1), ["sleep", LONGER_THAN_THE_TEST])
    // `ip netns exec` becomes the program.
    await expect
      .poll(() => fleet.processes(1).map(({ command }) => command), { timeout: PATIENCE_MS })
      .toContain(`sleep ${LONGER_THAN_THE_TEST} `)
    return child
  }

  it("ends what runs in a node's network", async () => {
    const child = await start()
    const ended = once(child, "exit")
    fleet.kill(1, "something else")
    expect(await ended).toEqual([null, "SIGKILL"])
  })

  it("spares what is named", async () => {
    const child = await start()
    fleet.kill(1, "sleep")
    expect(fleet.processes(1).map(({ pid }) => pid)).toEqual([child.pid])
    fleet.kill(1)
  })

  it("leaves alone what has ended by itself, and whoever has its number now", async () => {
    const child = await start()
    const ended = once(child, "exit")
    fleet.killProcess(1, child.pid!)
    await ended
    fleet.killProcess(1, child.pid!)
    fleet.killProcess(1, outside.pid!)
    outside.stdin.write("still here")
    expect(String(await once(outside.stdout, "data"))).toBe("still here")
  })
})
