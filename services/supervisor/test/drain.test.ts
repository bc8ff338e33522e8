/** An operator takes a node out and brings it back: key exchange stops, time does not, and a start changes nothing. */
import { createSocket } from "node:dgram"
import { writeFileSync } from "node:fs"
import { once } from "node:events"
import { type IncomingMessage, request } from "node:http"
import { createConnection } from "node:net"
import { join } from "node:path"
import type { NodeStatus } from "@meridian/ipc"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort, meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, expect, it, vi } from "vitest"
import { exchange } from "./nts-exchange.ts"

const patient = { timeout: PATIENCE_MS }

let node: RunningNode
let port: number
let args: readonly string[]

beforeAll(async () => {
  port = await freePort()
  const nts = ["--nts", "--nts-port", String(port), "--nts-processes", "2"]
  args = ["--listen", "127.0.0.1", "--workers", "1", ...nts]
  node = await startNode({ args })
})
afterAll(async () => {
  await node.stop()
})

const status = async (): Promise<NodeStatus> => (await node.status()) as unknown as NodeStatus
/** The same, asked without a process for it. */
const ofSocket = async (state: string): Promise<NodeStatus> => {
  const asking = request({ socketPath: join(state, "control.sock"), path: "/status" }).end()
  const [response] = (await once(asking, "response")) as [IncomingMessage]
  let text = ""
  for await (const chunk of response) text += String(chunk)
  return JSON.parse(text) as NodeStatus
}
const drainState = async (): Promise<string | undefined> => (await status()).drain?.state

const cluster = async (command: "drain" | "undrain"): Promise<void> => {
  // After a start the coordinator may begin to serve later than the node does.
  const asked = () => meridian(["cluster", "status", "--json", "--state", node.state])
  const { stdout } = await vi.waitUntil(async () => asked().then((it) => it.stdout !== "" && it), patient)
  const { node: name } = JSON.parse(stdout) as { readonly node: string }
  const { code, stderr } = await meridian(["cluster", command, name, "--state", node.state])
  expect(`${code} ${stderr}`).toBe("0 ")
}

/** "taken", or the code of the error. */
const knock = async (): Promise<string> => {
  const socket = createConnection(port, "127.0.0.1")
  try {
    await once(socket, "connect")
    return "taken"
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown"
  } finally {
    socket.destroy()
  }
}

/** Octets of the reply to a request for time. */
const askTime = async (): Promise<number> => {
  const socket = createSocket("udp4")
  const request = new Uint8Array(48)
  request[0] = 0x23
  socket.send(request, node.port, "127.0.0.1")
  const [reply] = (await once(socket, "message")) as [Buffer]
  socket.close()
  return reply.length
}

const restart = async (signal: NodeJS.Signals, env: NodeJS.ProcessEnv = {}): Promise<void> => {
  node.process.kill(signal)
  await once(node.process, "exit")
  const { state } = node
  node = await startNode({ args, env, state, port: node.port })
}

it("stops taking key exchanges and answers time on, over starts, until it is undrained", async () => {
  expect((await status()).drain).toBeNull()
  await expect.poll(() => exchange(node.state, port), patient).toBeGreaterThan(800)

  await cluster("drain")
  await expect.poll(drainState, patient).toBe("drained")
  expect(await knock()).toBe("ECONNREFUSED")
  expect(await exchange(node.state, port)).toBe("ECONNREFUSED")
  expect(await askTime()).toBe(48)
  const drained = await status()
  expect(drained.ntsKe.map(({ state, restarts }) => [state, restarts])).toEqual([
    ["running", 0],
    ["running", 0]
  ])
  const { stdout: screen } = await meridian(["status", "--state", node.state])
  expect(screen).toContain("drain     drained")

  // A process that is started in its place listens no more than the one before.
  const [first] = drained.ntsKe
  process.kill(first!.pid!, "SIGKILL")
  await expect
    .poll(async () => (await status()).ntsKe.map(({ state, restarts }) => `${state} ${restarts}`), patient)
    .toEqual(["running 1", "running 0"])
  expect(await knock()).toBe("ECONNREFUSED")

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    await restart(signal)
    expect(await knock()).toBe("ECONNREFUSED")
    expect(await askTime()).toBe(48)
    await expect.poll(drainState, patient).toBe("drained")
  }

  // With another cluster key there is no coordinator that could say so.
  await restart("SIGTERM", { MERIDIAN_CLUSTER_KEY: "ab".repeat(32) })
  expect(await knock()).toBe("ECONNREFUSED")
  expect((await status()).coordinator).toBeNull()
  await expect.poll(drainState, patient).toBe("drained")
  await restart("SIGTERM")

  await cluster("undrain")
  await expect.poll(drainState, patient).toBeUndefined()
  await expect.poll(() => exchange(node.state, port), patient).toBeGreaterThan(800)
  await restart("SIGTERM")
  expect(await drainState()).toBeUndefined()
  await expect.poll(() => exchange(node.state, port), patient).toBeGreaterThan(800)
})

it("takes the same steps at SIGTERM where it is told to, then ends; the next start knows nothing of it", async () => {
  const file = join(node.state, "drain.conf")
  // Long enough that whoever looks from a busy machine meets each step.
  writeFileSync(file, "drain wait 4 grace 8\n")
  node.process.kill("SIGTERM")
  await once(node.process, "exit")
  const { state } = node
  node = await startNode({ args: [...args, "--drain", "--config", file], state, port: node.port })
  await expect.poll(() => exchange(node.state, port), patient).toBeGreaterThan(800)
  const exited = once(node.process, "exit")
  node.process.kill("SIGTERM")
  const seen = new Set<string>()
  // By its socket: a whole `meridian status` may take longer than a step.
  const look = async (): Promise<string> => {
    const { drain } = await ofSocket(state)
    for (const step of drain?.waitingFor ?? []) seen.add(step.replace(/: .*/, ""))
    return [...seen].join()
  }
  await expect.poll(look, { ...patient, interval: 50 }).toContain("the last clients to go")
  expect([...seen]).toContain("routers to send clients elsewhere")
  expect(await knock()).toBe("ECONNREFUSED")
  expect(await askTime()).toBe(48)
  expect(await exited).toEqual([0, null])
  node = await startNode({ args, state, port: node.port })
  expect(await drainState()).toBeUndefined()
  await expect.poll(() => exchange(node.state, port), patient).toBeGreaterThan(800)
})
