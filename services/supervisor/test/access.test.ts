/** Access and limits on a real node of two workers: by address, whatever the port, and over the replacement of every worker. */
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterAll, describe, expect, it, vi } from "vitest"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { PATIENCE_MS } from "@meridian/testkit/patience"

interface Heard {
  readonly sent: number
  readonly times: number
  readonly kisses: number
}

const folder = mkdtempSync(join(tmpdir(), "meridian-access-"))
const nodes: RunningNode[] = []

const write = (config: string, lines: readonly string[]): void => writeFileSync(config, [...lines, ""].join("\n"))

/** A node of two workers on these lines; its file is the one of its number. */
const nodeWith = async (...lines: readonly string[]): Promise<RunningNode> => {
  const config = join(folder, `${nodes.length}.conf`)
  write(config, lines)
  const node = await startNode({ args: ["--workers", "2", "--config", config] })
  nodes.push(node)
  return node
}

const patient = { timeout: PATIENCE_MS, interval: 20 }

/** Octets that wait in sockets of a port. */
const waitingAt = (port: number): number =>
  readFileSync("/proc/net/udp", "utf8")
    .split("\n")
    .flatMap((line) => {
      const found = /^\s*\d+: [0-9A-F]{8}:([0-9A-F]{4}) \S+ \S+ [0-9A-F]{8}:([0-9A-F]{8}) /.exec(line)
      return found !== null && Number.parseInt(found[1]!, 16) === port ? [Number.parseInt(found[2]!, 16)] : []
    })
    .reduce((sum, octets) => sum + octets, 0)

const workersOf = (node: RunningNode): readonly string[] =>
  readFileSync(`/proc/${node.process.pid}/task/${node.process.pid}/children`, "utf8")
    .trim()
    .split(" ")
    .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("services/worker/"))

/** A worker takes, decides and answers in one go: nothing waits any more, and it sleeps, so all that was to be answered has been. */
const allDecided = (node: RunningNode): Promise<boolean> =>
  vi.waitUntil(
    () =>
      waitingAt(node.port) === 0 &&
      workersOf(node).every((pid) => /\) S /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))),
    patient
  )

/** Requests from one address, each from the next of eight ports. */
const ask = async (node: RunningNode, from: string, packets: number, everyMs: number): Promise<Heard> => {
  const sockets: Socket[] = []
  let times = 0
  let kisses = 0
  for (let index = 0; index < 8; index += 1) {
    const socket = createSocket("udp4")
    socket.bind(0, from)
    await once(socket, "listening")
    socket.on("message", (reply) => {
      if (reply[1] === 0 && reply.toString("latin1", 12, 16) === "RATE") kisses += 1
      else times += 1
    })
    sockets.push(socket)
  }
  const request = Buffer.alloc(48)
  request[0] = (4 << 3) | 3
  for (let packet = 0; packet < packets; packet += 1) {
    request.writeUInt32BE(packet + 1, 40)
    sockets[packet % sockets.length]!.send(request, node.port, "127.0.0.1")
    await setTimeout(everyMs)
  }
  await allDecided(node)
  // The answers lie in these sockets by now.
  await setTimeout(100)
  for (const socket of sockets) socket.close()
  return { sent: packets, times, kisses }
}

interface Listed {
  readonly bytes: number
  readonly entries: readonly { readonly address: string; readonly packets: number; readonly dropped: number }[]
}

const clientsOf = async (node: RunningNode): Promise<Listed> => {
  const { code, stdout, stderr } = await meridian(["clients", "--state", node.state, "--json"])
  if (code !== 0) throw new Error(stderr)
  return JSON.parse(stdout) as Listed
}

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()))
  rmSync(folder, { recursive: true, force: true })
})

describe("a node of two workers", () => {
  it("holds one address to one limit from any port, and does not forget it when its workers are replaced", async () => {
    // A burst of eight, then a token each 2^12 seconds: whatever a machine's speed, the ninth has none.
    const node = await nodeWith("ratelimit interval 12 burst 8 leak 0")
    expect(await ask(node, "127.0.0.21", 40, 1)).toEqual({ sent: 40, times: 8, kisses: 0 })
    expect(await ask(node, "127.0.0.22", 40, 1)).toEqual({ sent: 40, times: 8, kisses: 0 })
    const before = (await node.status()).workers.map(({ pid }) => pid)
    node.process.kill("SIGHUP")
    const replaced = async () =>
      (await node.status()).workers.every(({ pid, state }) => state === "running" && !before.includes(pid))
    for (let waited = 0; !(await replaced()); waited += 200) {
      expect(waited).toBeLessThan(PATIENCE_MS)
      await setTimeout(200)
    }
    expect(await ask(node, "127.0.0.21", 20, 1)).toEqual({ sent: 20, times: 0, kisses: 0 })
    expect(await ask(node, "127.0.0.23", 20, 1)).toEqual({ sent: 20, times: 8, kisses: 0 })
    const { entries } = await clientsOf(node)
    const counts = new Map(entries.map((one) => [one.address, [one.packets, one.dropped]]))
    expect([counts.get("127.0.0.21"), counts.get("127.0.0.22"), counts.get("127.0.0.23")]).toEqual([
      [60, 52],
      [40, 32],
      [20, 12]
    ])
  })

  it("gives its list of clients other memory at a reload, and forgets nobody who is over the limit", async () => {
    const limit = "ratelimit interval 12 burst 8 leak 0"
    const config = join(folder, `${nodes.length}.conf`)
    const node = await nodeWith(limit, "mru maxmem 1024")
    expect(await ask(node, "127.0.0.41", 40, 1)).toMatchObject({ times: 8 })
    for (const kilobytes of [4096, 512]) {
      write(config, [limit, `mru maxmem ${kilobytes}`])
      const { code, stdout } = await meridian(["reload", "--state", node.state])
      expect([code, stdout]).toEqual([0, expect.stringContaining(`-> mru maxmem ${kilobytes} (${config}:2:1)`)])
      expect(await ask(node, "127.0.0.41", 10, 1)).toMatchObject({ times: 0 })
      const { bytes, entries } = await clientsOf(node)
      expect(bytes).toBe(kilobytes * 1024)
      expect(entries.map(({ address }) => address)).toContain("127.0.0.41")
    }
    const [known] = (await clientsOf(node)).entries.filter(({ address }) => address === "127.0.0.41")
    expect(known).toMatchObject({ packets: 60, dropped: 52 })
    expect(await ask(node, "127.0.0.42", 20, 1)).toMatchObject({ times: 8 })
  })

  it("does with each address what the lines say, and counts it by name", async () => {
    const node = await nodeWith(
      "restrict default kod limited noquery",
      // Five at once, and what they count is forgotten in thousands of seconds: whatever a machine's speed.
      "limit average 0.001 burst 5000 kod 0.0005",
      "restrict 127.0.0.1",
      "restrict 127.0.0.32 ignore",
      "restrict 127.0.0.33 noserve kod-deny",
      "restrict 127.0.0.34 notrust"
    )
    const limited = await ask(node, "127.0.0.31", 60, 1)
    expect(limited.times).toBeGreaterThanOrEqual(4)
    expect(limited.times).toBeLessThanOrEqual(6)
    expect(limited.kisses).toBeGreaterThan(0)
    expect(limited.kisses).toBeLessThan(6)
    expect((await ask(node, "127.0.0.1", 30, 1)).times).toBe(30)
    expect((await ask(node, "127.0.0.32", 10, 1)).times).toBe(0)
    // A kiss DENY is a reply, not the time; the second comes eight seconds later at the earliest.
    expect((await ask(node, "127.0.0.33", 10, 1)).times).toBe(1)
    expect((await ask(node, "127.0.0.34", 10, 1)).times).toBe(0)
    let dropped: Record<string, number> = {}
    for (let waited = 0; (dropped["access-unproven"] ?? 0) < 10; waited += 200) {
      expect(waited).toBeLessThan(PATIENCE_MS)
      await setTimeout(200)
      const status = await node.status()
      dropped = status.workers.reduce<Record<string, number>>((sum, worker) => {
        for (const [name, count] of Object.entries(worker.dropped)) sum[name] = (sum[name] ?? 0) + count
        return sum
      }, {})
    }
    expect(dropped).toMatchObject({ "access-ignored": 10, "access-refused": 9, "access-unproven": 10 })
    expect(dropped["rate-limited"]).toBe(60 - limited.times - limited.kisses)
  })
})
