/** Keys by the thousand: they travel over the message channel, and no command line has to hold them. */
import { createHash } from "node:crypto"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { NodeStatus } from "@meridian/ipc"
import { type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, expect, it } from "vitest"

const KEYS = 6_500
const folder = mkdtempSync(join(tmpdir(), "meridian-many-keys-"))
const keyFile = join(folder, "ntp.keys")
let node: RunningNode

const secret = (id: number): string => id.toString(16).padStart(40, "0")

/** The reply to a client's request under a key. */
const ask = async (id: number): Promise<Buffer> => {
  const header = Buffer.alloc(48)
  header[0] = 0x23
  const mac = createHash("sha1")
    .update(Buffer.from(secret(id), "hex"))
    .update(header)
    .digest()
  const keyId = Buffer.alloc(4)
  keyId.writeUInt32BE(id)
  const socket = createSocket("udp4")
  const answered = once(socket, "message")
  const asking = setInterval(() => socket.send(Buffer.concat([header, keyId, mac]), node.port, "127.0.0.1"), 200)
  const [reply] = (await answered) as [Buffer]
  clearInterval(asking)
  socket.close()
  return reply
}

beforeAll(async () => {
  const ids = Array.from({ length: KEYS }, (_, at) => 2 * at + 1)
  const lines = ids.map((id) => `${id} SHA1 ${secret(id)}`)
  writeFileSync(keyFile, `${lines.join("\n")}\n`, { mode: 0o600 })
  // No two stand together, so that no range spares the list.
  const trusted = ids.map((id) => `trustedkey ${id}\n`)
  const config = join(folder, "node.conf")
  writeFileSync(config, `keys ${keyFile}\n${trusted.join("")}server 192.0.2.1 key 1\n`)
  node = await startNode({ args: ["--config", config, "--listen", "127.0.0.1", "--workers", "1"] })
})
afterAll(async () => {
  await node.stop()
  rmSync(folder, { recursive: true, force: true })
})

it(`starts with ${KEYS} trusted keys, and answers under the last of them`, async () => {
  const status = (await node.status()) as unknown as NodeStatus
  expect(status.keys.symmetricKeyIds).toHaveLength(KEYS)
  const reply = await ask(2 * KEYS - 1)
  expect(reply).toHaveLength(48 + 4 + 20)
  expect(reply.readUInt32BE(48)).toBe(2 * KEYS - 1)
})

it("shows no source, key or setting in any process's command line", () => {
  const lines = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const parent = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
        return parent === String(node.process.pid) ? [readFileSync(`/proc/${pid}/cmdline`, "utf8")] : []
      } catch {
        return []
      }
    })
  expect(lines.length).toBeGreaterThanOrEqual(4)
  for (const line of lines) expect(line).not.toMatch(/192\.0\.2\.1|ntp\.keys|SHA1/)
})
