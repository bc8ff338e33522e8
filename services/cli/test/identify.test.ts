/** Which node answered: asked by `meridian query --identify` of a real node, and what `meridian explain` makes of the decision. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, expect, it } from "vitest"

const patient = { timeout: PATIENCE_MS, interval: 200 }
const folder = mkdtempSync(join(tmpdir(), "meridian-identify-"))
const configuration = join(folder, "ntp.conf")
let source: RunningNode
let node: RunningNode

const write = (identify: string): void =>
  writeFileSync(
    configuration,
    [
      "listen 127.0.0.1",
      "workers 1",
      "node here",
      "control http off",
      `server 127.0.0.1:${source.port} iburst minpoll 0 maxpoll 0`,
      `identify ${identify}`
    ].join("\n") + "\n"
  )

beforeAll(async () => {
  source = await startNode({ args: ["--listen", "127.0.0.1", "--workers", "1"] })
  write("on")
  node = await startNode({ args: ["--config", configuration, "--nts"] })
})
afterAll(async () => {
  await node?.stop()
  await source?.stop()
  rmSync(folder, { recursive: true, force: true })
})

interface Answered {
  readonly answers: readonly {
    readonly identity?: { readonly node: string; readonly generation: number; readonly decision: string } | null
  }[]
}
const ask = async (port: number): Promise<Answered["answers"][number]["identity"]> => {
  const { stdout } = await meridian(["query", "--identify", "--json", `127.0.0.1:${port}`])
  return (JSON.parse(stdout) as Answered).answers[0]?.identity
}

it("says which node, key generation and decision, which explain knows; and nothing where it is off", async () => {
  await expect.poll(async () => (await ask(node.port))?.decision, patient).toMatch(/^[0-9a-f-]{36}\.\d+$/)
  const identity = (await ask(node.port))!
  expect(identity).toMatchObject({
    node: "here",
    version: expect.stringMatching(/^\d/),
    generation: expect.any(Number)
  })
  await expect.poll(async () => (await ask(node.port))?.generation, patient).toBe(1)
  const { stdout: screen } = await meridian(["query", "--identify", `127.0.0.1:${node.port}`])
  expect(screen).toContain("node here  version")

  const explained = await meridian(["explain", "--event", identity.decision, "--json", "--state", node.state])
  expect(JSON.parse(explained.stdout)).toMatchObject({ clocks: [{ node: "here", event: identity.decision }] })
  const unknown = await meridian(["explain", "--event", "never-there.0", "--state", node.state])
  expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining("no event never-there.0 is in the log")])
  const both = await meridian(["explain", "--event", identity.decision, "--at", "2026-01-01T00:00:00Z"])
  expect([both.code, both.stderr]).toEqual([2, expect.stringContaining("give one of them")])

  // Off by default, and off at a reload.
  expect(await ask(source.port)).toBeNull()
  write("off")
  expect((await meridian(["reload", "--state", node.state])).code).toBe(0)
  await expect.poll(() => ask(node.port), patient).toBeNull()
  expect((await meridian(["query", "--identify", "--nts", "127.0.0.1"])).code).toBe(2)
})
