/** sysstats from the workers' counters: the sums by themselves, and a line of a whole node. */
import { createSocket } from "node:dgram"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { addCounters, noCounters, type WorkerCounters } from "@meridian/ipc/worker-report"
import { ignoreReasons, respondReasons } from "@meridian/protocol"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { startNode } from "@meridian/testkit/running-node"
import { expect, it } from "vitest"
import { systemCounters } from "@meridian/ipc/system-counters"

const counters = (change: Partial<WorkerCounters>): WorkerCounters => ({ ...noCounters, ...change })

it("every outcome is in a column, and answered and dropped add up to what came", () => {
  const counts = (names: readonly string[]): Record<string, number> =>
    Object.fromEntries(names.map((name) => [name, 1]))
  const all = counters({
    received: respondReasons.length + ignoreReasons.length,
    served: counts(respondReasons),
    dropped: counts(ignoreReasons),
    oldVersion: 2
  })
  const { received, currentVersion, oldVersion, processed, ...rest } = systemCounters(all)
  expect(currentVersion + oldVersion).toBe(respondReasons.length)
  const { restricted, badLength, declined, rateLimited, badAuthentication } = rest
  // Two NAKs, two kisses to those who may not ask, one to who asks too often: counted, and answered.
  const answered = 5
  const dropped = restricted + badLength + declined + rateLimited + badAuthentication - answered
  expect(dropped).toBe(ignoreReasons.length)
  expect(processed).toBe(received - 6)
  expect(rest).toMatchObject({ badLength: 4, badAuthentication: 7, declined: 7, kissesSent: 4 })
})

it("adds up over workers", () => {
  const one = counters({ received: 5, served: { served: 3 }, dropped: { mode: 2 }, oldVersion: 1 })
  expect(systemCounters(addCounters(one, one))).toMatchObject({
    received: 10,
    processed: 6,
    currentVersion: 4,
    oldVersion: 2,
    declined: 4
  })
})

it("of a node are in a line of sysstats", async () => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-sysstats-"))
  const file = join(folder, "ntp.conf")
  writeFileSync(file, `statsdir ${folder}/\nstatistics sysstats\nfilegen sysstats type none nolink\n`)
  const node = await startNode({ args: ["--workers", "2", "--listen", "127.0.0.1", "--config", file] })
  try {
    const socket = createSocket("udp4")
    const send = (first: number, bytes: number): Promise<void> =>
      new Promise((sent) => {
        const packet = new Uint8Array(bytes)
        packet[0] = first
        socket.send(packet, node.port, "127.0.0.1", () => sent())
      })
    // Version 4 three times, version 3 twice, one cut short, one from a server.
    for (const [first, bytes] of [
      [0x23, 48],
      [0x23, 48],
      [0x23, 48],
      [0x1b, 48],
      [0x1b, 48],
      [0x23, 47],
      [0x24, 48]
    ] as const)
      await send(first, bytes)
    for (let waited = 0; waited < PATIENCE_MS; waited += 100) {
      const { totals } = (await node.status()) as unknown as { totals: { received: number } }
      if (totals.received >= 7) break
      await sleep(100)
    }
    socket.close()
    expect(await node.stop()).toBe(0)
    const lines = readFileSync(join(folder, "sysstats"), "utf8").trimEnd().split("\n")
    expect(lines).toHaveLength(1)
    expect(lines[0]?.split(" ").slice(3)).toEqual(["7", "5", "3", "2", "0", "1", "0", "1", "0", "0"])
  } finally {
    await node.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})
