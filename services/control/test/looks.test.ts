/** Whoever looks at a node sees what it has counted by then, though its processes tell of it only now and then. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort, meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const folder = mkdtempSync(join(tmpdir(), "meridian-looks-"))
let node: RunningNode
let site: string

beforeAll(async () => {
  const file = join(folder, "ntp.conf")
  const port = await freePort()
  writeFileSync(file, `listen 127.0.0.1\nserver 127.127.1.0\ncontrol http 127.0.0.1:${port}\n`)
  site = `http://127.0.0.1:${port}`
  node = await startNode({ args: ["--config", file] })
})
afterAll(async () => {
  await node.stop()
  rmSync(folder, { recursive: true })
})

const ask = async (count: number): Promise<void> => {
  const { code, stderr } = await meridian(["query", "--count", String(count), `127.0.0.1:${node.port}`])
  if (code !== 0) throw new Error(stderr)
}

const received = async (): Promise<number> => {
  const { stdout } = await meridian(["status", "--json", "--state", node.state])
  const { workers } = JSON.parse(stdout) as { readonly workers: readonly { readonly received: number }[] }
  return workers.reduce((sum, worker) => sum + worker.received, 0)
}

const scraped = async (): Promise<number> => {
  const text = await (await fetch(`${site}/metrics`)).text()
  const counts = text.matchAll(/^meridian_requests_total\{.*\} (\d+)$/gm)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

describe("a node that is asked", () => {
  it("is shown with each request that came before the look, by status and metrics", async () => {
    const begun = await received()
    for (let round = 1; round <= 3; round += 1) {
      await ask(2)
      expect(await received()).toBe(begun + 2 * round)
    }
    await new Promise((done) => setTimeout(done, 1_100))
    expect(await scraped()).toBe(begun + 6)
  })

  it("tells whoever listens each second, of clients too", async () => {
    const stop = new AbortController()
    const { body } = await fetch(`${site}/api/v1/events`, { signal: stop.signal })
    const reader = body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ""
    const seen = (): number => text.match(/^data: .*\n\n/gm)?.length ?? 0
    // The list of clients is read each ten seconds.
    const isWhole = (): boolean => seen() >= 4 && text.includes('"address":"127.0.0.1"')
    while (!isWhole()) text += (await reader.read()).value ?? ""
    stop.abort()
    const moments = [...text.matchAll(/"at":([\d.]+),"monotonic"/g)].map(([, at]) => Number(at))
    // While nobody listens one comes each four seconds.
    expect(moments[3]! - moments[0]!).toBeLessThan(9)
  })
})
