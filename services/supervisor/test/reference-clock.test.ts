/** From a line of ntp.conf to a packet: what a client sees of a node that follows a reference clock. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { ClockFeeder } from "@meridian/testkit/clock-feeder"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { meridian, startNode } from "@meridian/testkit/running-node"
import { describe, expect, it } from "vitest"

interface Answer {
  readonly stratum: number
  readonly leap: number
  readonly referenceId: string
  readonly synchronised: boolean
  readonly offset: number
}

/** Undefined while the node answers nobody, since it has no time yet. */
const ask = async (port: number): Promise<Answer | undefined> => {
  const { stdout } = await meridian(["query", `127.0.0.1:${port}`, "--json"])
  return (JSON.parse(stdout) as { answers: readonly Answer[] }).answers[0]
}

describe("a node with a reference clock", () => {
  it("serves its time at its stratum and under its reference id", async () => {
    const folder = mkdtempSync(join(tmpdir(), "meridian-conf-"))
    const file = join(folder, "ntp.conf")
    const feeder = ClockFeeder.start()
    try {
      const unit = await feeder.createSegment()
      await feeder.ask("run 1.25 50 1 1")
      const clock = `127.127.28.${unit}`
      const lines = [`server ${clock} minpoll 0 maxpoll 0`, `fudge ${clock} refid GPS time1 0.5 stratum 0`]
      writeFileSync(file, `listen 127.0.0.1\nworkers 1\n${lines.join("\n")}\n`)
      const node = await startNode({ args: ["--config", file] })
      try {
        expect(node.stdout()).toContain(`asking SHM(${unit})`)
        let answer = await ask(node.port)
        for (let waited = 0; waited < PATIENCE_MS && answer?.synchronised !== true; waited += 200) {
          await setTimeout(200)
          answer = await ask(node.port)
        }
        expect(answer).toMatchObject({ synchronised: true, stratum: 1, referenceId: "GPS" })
        // The feeder's 1.25 s and time1.
        expect(Math.abs((answer?.offset ?? 0) - 1.75)).toBeLessThan(0.05)
        // The clock's process reports once a second.
        const followed = new RegExp(String.raw`#\*  SHM\(${unit}\) +0 +0 `)
        let sources = ""
        for (let tries = 0; tries < 50 && !followed.test(sources); tries += 1)
          sources = (await meridian(["sources", "--state", node.state])).stdout
        expect(sources).toMatch(followed)
      } finally {
        await node.stop()
      }
    } finally {
      await feeder.end()
      rmSync(folder, { recursive: true })
    }
  })
})
