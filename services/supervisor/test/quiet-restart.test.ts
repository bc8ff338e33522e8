/** A start that nobody notices from outside: the clock goes on as it was known, or nobody is answered until there is time. */
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { afterAll, describe, expect, it } from "vitest"
import { freePort, startNode, type RunningNode } from "@meridian/testkit/running-node"

const folder = mkdtempSync(join(tmpdir(), "meridian-quiet-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Asks ten times a second until it is closed; every answer, in order. */
class Asker {
  readonly replies: { readonly leap: number; readonly stratum: number }[] = []
  private readonly socket: Socket = createSocket("udp4")
  private readonly timer: NodeJS.Timeout

  constructor(port: number) {
    const request = Buffer.alloc(48)
    request[0] = 0x23
    this.socket.on("message", (reply) => this.replies.push({ leap: reply[0]! >> 6, stratum: reply[1]! }))
    this.socket.on("error", () => {})
    this.timer = setInterval(() => this.socket.send(request, port, "127.0.0.1"), 100)
  }

  async answered(count: number): Promise<void> {
    while (this.replies.length < count) await once(this.socket, "message")
  }

  close(): void {
    clearInterval(this.timer)
    this.socket.close()
  }
}

/** A configuration with these lines. */
const file = (name: string, ...lines: readonly string[]): string => {
  const path = join(folder, name)
  writeFileSync(path, `${lines.join("\n")}\n`)
  return path
}

const following = (name: string, upstream: number, ...lines: readonly string[]): readonly string[] => [
  "--config",
  file(name, `server 127.0.0.1:${upstream} iburst minpoll 0 maxpoll 0`, ...lines),
  "--workers",
  "1"
]

const standing = async (node: RunningNode): Promise<string | null> =>
  ((await node.status()) as unknown as { starting: string | null }).starting

describe("a node that starts", () => {
  it("with a clock that it knew is never seen without time, though its source is gone", async () => {
    const source = await startNode({ args: ["--config", file("source.conf", "server 127.127.1.0"), "--workers", "1"] })
    const state = join(folder, "state")
    const args = following("restarted.conf", source.port)
    const first = await startNode({ args, state })
    const asker = new Asker(first.port)
    await expect
      .poll(async () => (await first.status())["clock"], { timeout: PATIENCE_MS })
      .toMatchObject({ synchronised: true })
    // Stopping removes the state of a node that a test started.
    const kept = join(folder, "kept")
    first.process.kill("SIGTERM")
    await once(first.process, "exit")
    cpSync(state, kept, { recursive: true })
    await source.stop()
    const before = asker.replies.length
    const second = await startNode({ args, state: kept, port: first.port })
    await asker.answered(before + 5)
    const after = asker.replies.slice(before)
    expect(after.every(({ leap, stratum }) => leap === 0 && stratum > 0)).toBe(true)
    await expect
      .poll(() => standing(second), { timeout: PATIENCE_MS })
      .toBe("serves the clock as it was known before the start, and follows nobody yet")
    asker.close()
    await first.stop()
    await second.stop()
  })

  it("without one answers nobody, counts whom it did not, and tells them after silentstart that it has no time", async () => {
    const silent = async (seconds: number): Promise<{ readonly node: RunningNode; readonly said: string | null }> => {
      const started = await startNode({ args: following("silent.conf", await freePort(), `silentstart ${seconds}`) })
      const said = await standing(started)
      // On a machine with much else to do it may be over before anybody could look.
      if (said !== null || seconds >= 100) return { node: started, said }
      await started.stop()
      return silent(4 * seconds)
    }
    const { node, said } = await silent(8)
    const asker = new Asker(node.port)
    expect(said).toMatch(/^answers nobody until it has time, for at most \d+ s more \(silentstart\)$/)
    await asker.answered(1)
    expect((await node.status())["uptime"]).toBeGreaterThan(8)
    expect(asker.replies[0]).toEqual({ leap: 3, stratum: 0 })
    asker.close()
    expect(await standing(node)).toBeNull()
    // Workers report once a second.
    await expect
      .poll(async () => (await node.status()).workers[0]?.dropped["starting"], { timeout: PATIENCE_MS })
      .toBeGreaterThan(0)
    await node.stop()
  })

  it("without a source says at once that it has none", async () => {
    const node = await startNode({ args: ["--config", file("none.conf", "disable ntp"), "--workers", "1"] })
    expect(await standing(node)).toBeNull()
    await node.stop()
  })
})
