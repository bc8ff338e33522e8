/** A node becomes what is installed now: the same process, new children, and nobody is left without an answer. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { getPriority, tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { NodeStatus } from "@meridian/ipc"
import { startLoad } from "@meridian/testkit/ntp-load"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterEach, expect, it, vi } from "vitest"

let node: RunningNode | undefined
afterEach(async () => {
  await node?.stop()
  node = undefined
})

const pidsOf = ({ workers, ntsKe }: NodeStatus): readonly number[] => [...workers, ...ntsKe].map(({ pid }) => pid ?? 0)

const isAlive = (pid: number): boolean => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return false
  }
}

/** Priorities, by nice value, of every thread of a process; none where it has ended. */
const prioritiesOf = (pid: number): readonly number[] => {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => getPriority(Number(thread)))
  } catch {
    return []
  }
}

it("loses no request, keeps its clock and its clients, and leaves no process of before", async () => {
  const running = (node = await startNode({
    args: ["--listen", "127.0.0.1", "--workers", "2", "--nts", "--nts-port", String(await freePort())]
  }))
  const statusNow = async (): Promise<NodeStatus> => (await running.status()) as unknown as NodeStatus
  const before = await statusNow()
  const load = await startLoad({ port: running.port, sources: 16, rate: 2_000 })
  await vi.waitUntil(() => load.sent() > 1_000, { timeout: PATIENCE_MS })
  running.process.kill("SIGUSR2")
  const after = await vi.waitUntil(
    async () => {
      const now = await statusNow().catch(() => undefined)
      return (
        now !== undefined &&
        running.stderr().includes("this is Meridian") &&
        pidsOf(now).every((pid) => pid > 0 && !pidsOf(before).includes(pid)) &&
        now
      )
    },
    { timeout: PATIENCE_MS, interval: 50 }
  )
  const sent = load.sent()
  await vi.waitUntil(() => load.sent() > sent + 1_000, { timeout: PATIENCE_MS })
  const { answered, wrong, lost, sent: all } = await load.finish(10_000)
  expect({ lost, wrong, answered }).toEqual({ lost: [], wrong: 0, answered: all })
  expect(after.pid).toBe(before.pid)
  const flags = readFileSync(`/proc/${after.pid}/cmdline`, "utf8").split("\0")
  expect(flags.filter((_, at) => flags[at - 1] === "--import")).toEqual([expect.stringContaining("early-signals")])
  expect(after.clock.synchronised).toBe(true)
  // While it started it gave way to who served.
  await vi.waitUntil(
    () => [after.pid, ...pidsOf(after)].flatMap(prioritiesOf).every((nice) => nice === getPriority()),
    { timeout: PATIENCE_MS }
  )
  await vi.waitUntil(() => !pidsOf(before).some(isAlive), { timeout: PATIENCE_MS })
  for (const pid of pidsOf(before)) expect(() => readFileSync(`/proc/${pid}/stat`)).toThrow("ENOENT")
  expect(await running.stop()).toBe(0)
})

it("stays as it is where the configuration has an error, or asks for other sockets", async () => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-handing-over-"))
  const file = join(folder, "ntp.conf")
  const write = (lines: string): void => writeFileSync(file, `listen 127.0.0.1\nserver 127.127.1.0\n${lines}\n`)
  write("workers 1")
  const running = (node = await startNode({ args: ["--config", file] }))
  const statusNow = async (): Promise<NodeStatus> => (await running.status()) as unknown as NodeStatus
  const before = await statusNow()
  const refusals = [
    ["workers one", "the configuration cannot be used"],
    ["workers 2", "asks for other ports, workers or services"]
  ] as const
  for (const [lines, said] of refusals) {
    write(lines)
    running.process.kill("SIGUSR2")
    await vi.waitUntil(() => running.stderr().includes(said), { timeout: PATIENCE_MS })
  }
  rmSync(folder, { recursive: true })
  const now = await statusNow()
  expect(now.uptime).toBeGreaterThan(before.uptime)
  expect(pidsOf(now)).toEqual(pidsOf(before))
})

it("ends where it is told to while it becomes another version", async () => {
  const running = (node = await startNode({ args: ["--listen", "127.0.0.1", "--workers", "1"] }))
  const before = (await running.status()) as unknown as NodeStatus
  running.process.kill("SIGUSR2")
  await vi.waitUntil(() => running.stderr().includes("becoming Meridian"), { timeout: PATIENCE_MS, interval: 1 })
  running.process.kill("SIGTERM")
  const [code] = await once(running.process, "exit")
  expect(code).toBe(0)
  expect(pidsOf(before).filter(isAlive)).toEqual([])
})

it("keeps what it is told while its program loads, in its order", async () => {
  const early = join(import.meta.dirname, "../src/early-signals.ts")
  const program = `
    import { obeySignals } from ${JSON.stringify(early)}
    import { spawn } from "node:child_process"
import { once } from "node:events"
    process.stdout.write("loading")
    await once(process.stdin, "data")
    obeySignals((signal) => process.stdout.write(" " + signal, () => signal === "SIGINT" && process.exit(0)))
    process.kill(process.pid, "SIGINT")`
  const child = spawn(process.execPath, ["--import", early, "--input-type=module", "--eval", program])
  let said = ""
  child.stdout.on("data", (text: Buffer) => void (said += text.toString()))
  await vi.waitUntil(() => said === "loading", { timeout: PATIENCE_MS })
  for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTERM"] as const) {
    child.kill(signal)
    // Of signals that wait at one time the kernel tells the lowest first.
    await sleep(100)
  }
  child.stdin.write("go")
  const [code] = await once(child, "close")
  expect({ code, said }).toEqual({ code: 0, said: "loading SIGHUP SIGUSR2 SIGTERM SIGINT" })
})
