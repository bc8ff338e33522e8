/** The node as a whole: start, signals, crashes, refusals. Real processes, real sockets on loopback. */
import { execFileSync } from "node:child_process"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startLoad } from "@meridian/testkit/ntp-load"
import { loopbackAddresses } from "@meridian/testkit/address-families"
import { eventually } from "@meridian/testkit/patience"
import { freePort, meridian, type NodeOptions, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterEach, describe, expect, it } from "vitest"

const hosts = loopbackAddresses("a node").map((address) => (address.includes(":") ? `[${address}]` : address))
const running: RunningNode[] = []
const start = async (options: NodeOptions = {}): Promise<RunningNode> => {
  const node = await startNode(options)
  running.push(node)
  return node
}
afterEach(async () => {
  for (const node of running.splice(0)) await node.stop()
})

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return false
  }
}
const pidsOf = async (node: RunningNode): Promise<readonly number[]> =>
  (await node.status()).workers.map((worker) => worker.pid)

describe("a node", () => {
  it("says on one screen what it serves, answers on IPv4 and IPv6, ends on SIGTERM with 0", async () => {
    const node = await start({ args: ["--workers", "2"] })
    expect(node.stdout()).toContain(`udp 0.0.0.0:${node.port}  udp [::]:${node.port}`)
    expect(node.stdout()).toContain("stratum 10")
    for (const host of hosts.map((host) => `${host}:${node.port}`)) {
      const { code, stdout } = await meridian(["query", host, "--json"])
      expect(code).toBe(0)
      const [answer] = (JSON.parse(stdout) as { answers: readonly Record<string, number>[] }).answers
      expect(answer).toMatchObject({ stratum: 10, leap: 0, synchronised: true, referenceId: "127.127.1.0" })
      expect(Math.abs(answer?.["offset"] ?? 1)).toBeLessThan(0.05)
    }
    expect(await node.stop("SIGTERM")).toBe(0)
  })

  it("ends on SIGINT with 0 and leaves no process", async () => {
    const node = await start({ args: ["--workers", "2"] })
    const pids = await pidsOf(node)
    expect(await node.stop("SIGINT")).toBe(0)
    expect(pids.filter(alive)).toEqual([])
  })

  it("reports workers whose counts add up, drops by reason included", async () => {
    const node = await start({ args: ["--workers", "2", "--listen", "127.0.0.1"] })
    const load = await startLoad({ port: node.port, sources: 64, rate: 2_000 })
    const odd = createSocket("udp4")
    for (const bytes of [new Uint8Array(0), new Uint8Array(47), new Uint8Array(48).fill(0x24), new Uint8Array(9_000)])
      odd.send(bytes, node.port, "127.0.0.1")
    await eventually(
      async () => load.sent(),
      (sent) => sent > 2_000
    )
    const done = await load.finish()
    odd.close()
    expect(done).toMatchObject({ answered: done.sent, wrong: 0, lost: [] })
    const status = await eventually(
      node.status,
      ({ totals }) => (totals as { received: number }).received >= done.sent + 4
    )
    const totals = status["totals"] as { received: number; replied: number; dropped: Record<string, number> }
    expect(totals.received).toBe(done.sent + 4)
    expect(totals.replied).toBe(done.sent)
    expect(totals.dropped).toMatchObject({ short: 2, long: 1, mode: 1 })
    for (const key of ["received", "replied"] as const)
      expect(status.workers.reduce((sum, worker) => sum + worker[key], 0)).toBe(totals[key])
    expect(Math.min(...status.workers.map((worker) => worker.received))).toBeGreaterThan(0)
  })

  it("has all packets of one address meet one worker, and its successor after that", async () => {
    const node = await start({ args: ["--workers", "3", "--listen", "127.0.0.1"] })
    const before = await pidsOf(node)
    expect((await node.status())["unsteered"]).toBe(null)
    const receivedAfter = async (more: number): Promise<readonly number[]> => {
      const total = (await node.status()).workers.reduce((sum, worker) => sum + worker.received, 0) + more
      const load = await startLoad({ port: node.port, sources: 1, rate: 1_000 })
      await eventually(
        async () => load.sent(),
        (sent) => sent >= more
      )
      expect(await load.finish()).toMatchObject({ wrong: 0, lost: [] })
      const status = await eventually(
        node.status,
        ({ workers }) => workers.reduce((sum, worker) => sum + worker.received, 0) >= total
      )
      return status.workers.map((worker) => (worker.received > 0 ? worker.index : -1)).filter((index) => index >= 0)
    }
    const served = await receivedAfter(300)
    expect(served).toHaveLength(1)
    node.process.kill("SIGHUP")
    await eventually(
      () => pidsOf(node),
      (pids) => pids.every((pid) => !before.includes(pid)) && !before.some(alive)
    )
    expect(await receivedAfter(300)).toEqual(served)
  })

  it("replaces its workers on SIGHUP under load without losing a request", async () => {
    const node = await start({ args: ["--workers", "2", "--listen", "127.0.0.1"] })
    const before = await pidsOf(node)
    const load = await startLoad({ port: node.port, sources: 64, rate: 4_000 })
    await eventually(
      async () => load.sent(),
      (sent) => sent > 500
    )
    node.process.kill("SIGHUP")
    const after = await eventually(
      () => pidsOf(node),
      (pids) => pids.every((pid) => !before.includes(pid)) && !before.some(alive)
    )
    await eventually(
      async () => load.sent(),
      (sent) => sent > 1_000
    )
    const done = await load.finish()
    expect(after.filter((pid) => before.includes(pid))).toEqual([])
    expect(before.filter(alive)).toEqual([])
    expect(done.lost).toEqual([])
    expect(done.wrong).toBe(0)
    expect(done.sent).toBeGreaterThan(1_000)
    const totals = (
      await eventually(node.status, (status) => (status["totals"] as { replied: number }).replied >= done.sent)
    )["totals"]
    expect(totals).toMatchObject({ received: done.sent, replied: done.sent })
  })

  it("has a killed worker back, and its successor answers what waited in the socket", async () => {
    const node = await start({ args: ["--workers", "2", "--listen", "127.0.0.1"] })
    const [victim = 0, other = 0] = await pidsOf(node)
    const load = await startLoad({ port: node.port, sources: 64, rate: 1_000 })
    await eventually(
      async () => load.sent(),
      (sent) => sent > 200
    )
    process.kill(victim, "SIGKILL")
    const back = await eventually(node.status, ({ workers }) =>
      workers.every((worker) => worker.state === "running" && worker.pid !== victim)
    )
    expect(back.workers[0]).toMatchObject({ index: 0, state: "running", restarts: 1 })
    expect(back.workers[0]?.pid).not.toBe(victim)
    expect(back.workers[1]?.pid).toBe(other)
    const done = await load.finish(3_000)
    // At most the batch that the killed process had read and not yet answered is gone with it.
    expect(done.lost.length).toBeLessThanOrEqual(64)
    expect(node.stderr()).toContain("ended by itself (SIGKILL)")
  })

  it("keeps answering through its other workers while one is held back, and restarts the clock's process", async () => {
    const node = await start({ args: ["--workers", "1", "--listen", "127.0.0.1"] })
    const children = readFileSync(`/proc/${node.process.pid}/task/${node.process.pid}/children`, "utf8")
      .trim()
      .split(" ")
      .map(Number)
    const clock = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("discipline")) ?? 0
    process.kill(clock, "SIGKILL")
    const found = await eventually(
      () => Promise.resolve(node.stderr()),
      (text) => text.includes("clock ended by itself")
    )
    expect(found).toContain("clock ended by itself (SIGKILL)")
    expect((await meridian(["query", `127.0.0.1:${node.port}`])).code).toBe(0)
  })

  it("leaves no worker behind when its supervisor is killed, and starts again in the same place", async () => {
    const state = mkdtempSync(join(tmpdir(), "meridian-again-"))
    const node = await start({ args: ["--workers", "2"], state })
    const pids = await pidsOf(node)
    node.process.kill("SIGKILL")
    await once(node.process, "exit")
    await eventually(
      () => Promise.resolve(pids.filter(alive)),
      (left) => left.length === 0
    )
    expect(pids.filter(alive)).toEqual([])
    expect(existsSync(join(state, "control.sock"))).toBe(true)
    const again = await start({ args: ["--workers", "2"], state, port: node.port })
    expect((await meridian(["query", `127.0.0.1:${again.port}`])).code).toBe(0)
  })
})

describe.runIf(process.getuid?.() === 0)("a node started as root", () => {
  it("gives its privilege up once the sockets are open, and still replaces its workers", async () => {
    const node = await start({ args: ["--workers", "1", "--listen", "127.0.0.1", "--user", "nobody"] })
    const uidOf = (pid: number): string => /^Uid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? ""
    const nobody = execFileSync("id", ["-u", "nobody"], { encoding: "utf8" }).trim()
    const [worker = 0] = await pidsOf(node)
    for (const pid of [node.process.pid ?? 0, worker])
      expect(uidOf(pid).split(/\s+/)).toEqual([nobody, nobody, nobody, nobody])
    node.process.kill("SIGHUP")
    const after = await eventually(
      () => pidsOf(node),
      (pids) => pids[0] !== worker
    )
    expect(after[0]).not.toBe(worker)
    expect((await meridian(["query", `127.0.0.1:${node.port}`])).code).toBe(0)
  })
})

describe("a node without the addon", () => {
  it("serves through the fallback and says so", async () => {
    const node = await start({ args: ["--workers", "2"], env: { MERIDIAN_NATIVE: "off" } })
    expect(node.stdout()).toContain("the C addon is not in use")
    expect((await meridian(["query", `${hosts.at(-1)}:${node.port}`])).code).toBe(0)
    expect(await node.status()).toMatchObject({ io: "fallback" })
  })
})

describe("what cannot work is refused in one line", () => {
  const oneLine = (text: string): void => {
    expect(text.trim().split("\n")).toHaveLength(1)
    expect(text).not.toMatch(/\n\s+at /)
  }

  it("a port in use", async () => {
    const node = await start({ args: ["--listen", "127.0.0.1"] })
    const { code, stderr } = await meridian([
      "up",
      "--port",
      String(node.port),
      "--listen",
      "127.0.0.1",
      "--state",
      `${node.state}-b`
    ])
    rmSync(`${node.state}-b`, { recursive: true, force: true })
    expect(code).toBe(1)
    expect(stderr).toContain(String(node.port))
    expect(stderr).toContain("in use")
    oneLine(stderr)
  })
  it("a state directory in use", async () => {
    const node = await start()
    const { code, stderr } = await meridian(["up", "--port", String(await freePort()), "--state", node.state])
    expect(code).toBe(1)
    expect(stderr).toContain("a node already runs with the state directory")
    oneLine(stderr)
  })
  it.each([
    [["up", "--prot", "1"], 2, "did you mean '--port'?"],
    [["up", "--port", "99999"], 2, "--port"],
    [["up", "--listen", "300.1.1.1"], 2, "300.1.1.1"],
    [["up", "--workers", "0"], 2, "--workers"],
    [["up", "--user", "nobody-of-that-name"], 1, "nobody-of-that-name"],
    [["stats"], 2, "did you mean `meridian status`?"],
    [["status", "--state", join(tmpdir(), "meridian-no-such-node")], 1, "no node runs"],
    [["query", "127.0.0.1:0"], 2, "port"],
    [["query", "--version", "5", "127.0.0.1"], 2, "--version"]
  ])("%j", async (args, code, text) => {
    const finished = await meridian(args)
    expect(finished.code).toBe(code)
    expect(finished.stderr).toContain(text)
    oneLine(finished.stderr)
  })
  it("a broken configuration, with the place and a caret", async () => {
    const folder = mkdtempSync(join(tmpdir(), "meridian-conf-"))
    const file = join(folder, "ntp.conf")
    writeFileSync(file, "# a node\nport 11999\nwrokers 2\n")
    const { code, stderr } = await meridian(["up", "--config", file])
    rmSync(folder, { recursive: true })
    expect(code).toBe(2)
    expect(stderr).toContain(`${file}:3:1`)
    expect(stderr).toContain("workers")
    expect(stderr).toMatch(/^\s*\S*\s*\^+/m)
    expect(stderr).not.toMatch(/\n\s+at /)
  })
})

describe("a configuration file", () => {
  it("is beaten by a flag and beats the default", async () => {
    const folder = mkdtempSync(join(tmpdir(), "meridian-conf-"))
    const file = join(folder, "ntp.conf")
    writeFileSync(
      file,
      `port 1\nworkers 1\nlisten 127.0.0.1\nserver 127.127.1.0\nfudge 127.127.1.0 stratum 7\nlogfile ${folder}/node.log\n`
    )
    const node = await start({ args: ["--config", file] })
    const status = await node.status()
    expect(status).toMatchObject({ listening: [`127.0.0.1:${node.port}`], clock: { stratum: 7 } })
    expect(status.workers).toHaveLength(1)
    await node.stop()
    expect(readFileSync(join(folder, "node.log"), "utf8")).toContain("drained and ended")
    rmSync(folder, { recursive: true })
  })
})
