/** Processes of a running node that hang, die in a row or cannot be started: who notices, and what clients see meanwhile. */
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { NodeStatus } from "@meridian/ipc"
import { startLoad } from "@meridian/testkit/ntp-load"
import { eventually } from "@meridian/testkit/patience"
import { freePort, meridian, type NodeOptions, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterEach, describe, expect, it } from "vitest"

const running: RunningNode[] = []
const stopped = new Set<number>()
const start = async (options: NodeOptions = {}): Promise<RunningNode> => {
  const node = await startNode(options)
  running.push(node)
  return node
}
afterEach(async () => {
  for (const pid of stopped)
    try {
      process.kill(pid, "SIGCONT")
    } catch {
      // It is gone.
    }
  stopped.clear()
  for (const node of running.splice(0)) await node.stop()
})

const stop = (pid: number): void => {
  stopped.add(pid)
  process.kill(pid, "SIGSTOP")
}

/** Pids of a node's processes of one service. */
const pidsOf = (node: RunningNode, service: string): readonly number[] => {
  const { pid } = node.process
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number)
  return children.filter((child) => {
    try {
      return readFileSync(`/proc/${child}/cmdline`, "utf8").includes(`services/${service}/src`)
    } catch {
      return false
    }
  })
}

const statusOf = async (node: RunningNode): Promise<NodeStatus> => (await node.status()) as unknown as NodeStatus

/** Whoever started it may not have asked yet what became of it. */
const hasEnded = (pid: number): boolean => {
  try {
    return /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return true
  }
}

describe("a node whose supervisor was killed while a process of it hung", () => {
  it.each(["worker", "discipline", "control", "coordinator", "nts-ke"])(
    "starts anew, ends the %s that was left, and says so",
    async (service) => {
      const state = mkdtempSync(join(tmpdir(), "meridian-left-"))
      try {
        const args = ["--nts", "--nts-port", String(await freePort())]
        const before = await start({ state, args })
        const [left] = await eventually(
          () => pidsOf(before, service),
          (pids) => pids.length > 0
        )
        stop(left!)
        before.process.kill("SIGKILL")
        await once(before.process, "exit")
        running.splice(0)
        const node = await start({ state, args, port: before.port })
        const load = await startLoad({ port: node.port, sources: 4, rate: 50 })
        await eventually(load.sent, (sent) => sent > 20)
        expect(await load.finish(5_000)).toMatchObject({ wrong: 0, lost: [] })
        expect(await eventually(() => hasEnded(left!), Boolean)).toBe(true)
        await eventually(node.stderr, (text) => text.includes(String(left)))
        expect(node.stderr()).toMatch(new RegExp(`did not end: process [\\d, ]*\\b${left}\\b`))
      } finally {
        for (const node of running.splice(0)) await node.stop()
        rmSync(state, { recursive: true, force: true })
      }
    }
  )

  it("ends nothing that is no process of a node, whatever the record says", async () => {
    const state = mkdtempSync(join(tmpdir(), "meridian-left-"))
    const bystander = spawn("sleep", ["600"], { stdio: "ignore" })
    try {
      const startedAt = readFileSync(`/proc/${bystander.pid}/stat`, "utf8").split(") ")[1]!.split(" ")[19]
      writeFileSync(join(state, "processes"), `${bystander.pid} ${startedAt}\n99999999 1\nnoise\n`)
      const node = await start({ state })
      await node.stop()
      expect(bystander.exitCode ?? bystander.signalCode).toBe(null)
    } finally {
      bystander.kill("SIGKILL")
      rmSync(state, { recursive: true, force: true })
    }
  })
})

describe("a process that is killed while the node starts", () => {
  it.each(["worker", "discipline"])("(%s) is started again, and the node with it", async (service) => {
    const state = mkdtempSync(join(tmpdir(), "meridian-killed-"))
    const isStarted = (pid: number): boolean => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`services/${service}/src`)
      } catch {
        return false
      }
    }
    const started = (): number | undefined => {
      try {
        return readFileSync(join(state, "processes"), "utf8")
          .split("\n")
          .map((line) => Number.parseInt(line, 10))
          .find(isStarted)
      } catch {
        return undefined
      }
    }
    const starting = start({ state })
    const first = await eventually(started, (pid) => pid !== undefined)
    process.kill(first!, "SIGKILL")
    const node = await starting
    expect(node.stderr()).toContain("ended by itself (SIGKILL), starting another at once")
    const load = await startLoad({ port: node.port, sources: 4, rate: 50 })
    await eventually(load.sent, (sent) => sent > 20)
    expect(await load.finish(5_000)).toMatchObject({ wrong: 0, lost: [] })
  })
})

describe("a worker that hangs", () => {
  it("is replaced within seconds, its successor answers what waited, and status says so", async () => {
    const node = await start({ args: ["--workers", "2", "--listen", "127.0.0.1"] })
    const load = await startLoad({ port: node.port, sources: 64, rate: 500 })
    await eventually(load.sent, (sent) => sent > 100)
    const [victim] = pidsOf(node, "worker")
    const since = performance.now()
    stop(victim!)
    const seen = new Set<string>()
    const status = await eventually(
      async () => statusOf(node),
      ({ workers }) => {
        for (const { state } of workers) seen.add(state)
        return workers.every(({ pid, state }) => pid !== victim && state === "running")
      }
    )
    const seconds = (performance.now() - since) / 1e3
    expect(status.workers.map(({ restarts }) => restarts).toSorted((a, b) => a - b)).toEqual([0, 1])
    // At most the batch that it had read and not answered is gone with it.
    const done = await load.finish(5_000)
    expect(done).toMatchObject({ wrong: 0 })
    expect(done.lost.length).toBeLessThanOrEqual(64)
    expect(node.stderr()).toMatch(
      /worker \d \(process \d+\) said nothing for 3 s: it is stalled; another takes its place/
    )
    expect(pidsOf(node, "worker")).not.toContain(victim)
    process.stdout.write(
      `a stopped worker was replaced after ${seconds.toFixed(1)} s; states seen: ${[...seen].join(", ")}\n`
    )
  })
})

describe("each other process that hangs", () => {
  it.each(["nts-ke", "coordinator", "control"])("%s is replaced", async (service) => {
    const args = ["--workers", "1", "--listen", "127.0.0.1", "--nts", "--nts-port", String(await freePort())]
    const node = await start({ args })
    const [victim] = await eventually(
      () => pidsOf(node, service),
      (pids) => pids.length === 1
    )
    stop(victim!)
    await eventually(
      () => pidsOf(node, service),
      (pids) => pids.length === 1 && !pids.includes(victim!)
    )
    expect(node.stderr()).toMatch(
      new RegExp(`${service}[ \\d]* \\(process ${victim}\\) said nothing for \\d+ s: it is stalled`)
    )
    expect((await meridian(["query", `127.0.0.1:${node.port}`])).code).toBe(0)
  })

  it("the clock is replaced before its page is too old: nobody sees an unsynchronised reply or a jump", async () => {
    const upstream = await start({ args: ["--workers", "1", "--listen", "127.0.0.1"] })
    const folder = mkdtempSync(join(tmpdir(), "meridian-stalled-"))
    const config = join(folder, "ntp.conf")
    writeFileSync(config, `server 127.0.0.1:${upstream.port} iburst minpoll 3\n`)
    const node = await start({ args: ["--workers", "1", "--listen", "127.0.0.1", "--config", config] })
    const ask = async (): Promise<{
      readonly leap: number
      readonly offset: number
      readonly rootDispersion: number
    }> => JSON.parse((await meridian(["query", `127.0.0.1:${node.port}`, "--json"])).stdout).answers[0]
    // A node that has just started answers nobody before it has time.
    await eventually(ask, (answer: { readonly leap: number } | undefined) => answer?.leap === 0)
    const [victim] = pidsOf(node, "discipline")
    stop(victim!)
    const answers = [await ask()]
    await eventually(
      async () => {
        answers.push(await ask())
        return pidsOf(node, "discipline")
      },
      (pids) => pids.length === 1 && !pids.includes(victim!)
    )
    // It goes on from the page that the other left.
    for (let more = 0; more < 5; more += 1) answers.push(await ask())
    expect(new Set(answers.map(({ leap }) => leap))).toEqual(new Set([0]))
    for (const { offset } of answers) expect(Math.abs(offset)).toBeLessThan(5e-3)
    expect(node.stderr()).toMatch(/clock \(process \d+\) said nothing for 8 s: it is stalled, and killed/)
    rmSync(folder, { recursive: true })
  })
})

describe("a system that has no descriptor to spare", () => {
  it("costs a worker for as long as that lasts, and nothing else", async () => {
    const node = await start({ args: ["--workers", "2", "--listen", "127.0.0.1"] })
    const supervisor = String(node.process.pid)
    const limit = (most: number): void => void execFileSync("prlimit", ["--pid", supervisor, `--nofile=${most}:4096`])
    const before = /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${supervisor}/limits`, "utf8"))![1]
    const [victim] = pidsOf(node, "worker")
    // All below that are in use.
    limit(8)
    process.kill(victim!, "SIGKILL")
    const said = await eventually(node.stderr, (text) => /worker \d: this process has no descriptor left/.test(text))
    expect(said).toMatch(/worker \d: this process has no descriptor left: raise.*; it is tried again until it works/)
    // Requests of the other's clients are answered; the node is there.
    expect(node.process.exitCode).toBeNull()
    limit(Number(before) > 4_096 ? 4_096 : Number(before))
    const status = await eventually(
      async () => statusOf(node),
      ({ workers }) => workers.every(({ pid, state }) => pid !== victim && state === "running")
    )
    expect(status.workers.every(({ state }) => state === "running")).toBe(true)
    expect(await node.stop()).toBe(0)
  })
})

describe("SIGTERM", () => {
  // That no time passes is for supervised-process.test.ts to show; what it takes here depends on what else the machine does.
  it("during a rolling replacement ends the node as it does alone", async () => {
    const args = ["--workers", "4", "--listen", "127.0.0.1"]
    const ended = async (node: RunningNode): Promise<number> => {
      const since = performance.now()
      expect(await node.stop("SIGTERM")).toBe(0)
      return (performance.now() - since) / 1e3
    }
    const alone = await ended(await start({ args }))
    const node = await start({ args })
    node.process.kill("SIGHUP")
    await eventually(
      () => pidsOf(node, "worker"),
      (pids) => pids.length > 4
    )
    const during = await ended(node)
    process.stdout.write(`drained in ${alone.toFixed(2)} s alone, ${during.toFixed(2)} s during a replacement\n`)
    expect(node.stderr()).toMatch(/drained and ended \(SIGTERM\)/)
    expect(node.stderr()).not.toMatch(/did not end in/)
  })
})
