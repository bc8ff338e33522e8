/**
 * Plain time needs sources and sockets alone: whatever else is broken at the start, the node serves it, and says what is missing. Real
 * nodes, with NTS asked for, in state directories that are full, not to be written, damaged, or of somebody else.
 */
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { makeCertificate } from "@meridian/testkit/certificates"
import type { NodeStatus } from "@meridian/ipc"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort, meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

let folder: string
const ending: (() => unknown)[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-plain-"))
  chmodSync(folder, 0o755)
})
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
  rmSync(folder, { recursive: true, force: true })
})

const start = async (state: string, lines: readonly string[] = []): Promise<RunningNode> => {
  const config = join(folder, "node.conf")
  writeFileSync(config, lines.join("\n"))
  const nts = ["--nts", "--nts-port", String(await freePort())]
  const node = await startNode({ args: ["--config", config, "--workers", "1", "--listen", "127.0.0.1", ...nts], state })
  // A directory that cannot be written cannot be removed either.
  ending.push(() => node.stop().catch(() => {}))
  return node
}

/** A node that keeps its state for the next one. */
const lived = async (state: string): Promise<void> => {
  const copy = join(folder, "copy")
  const node = await start(state)
  await until(async () => (await statusOf(node)).keys.masterKeyGenerations.length > 0)
  const ended = new Promise((done) => node.process.once("exit", done))
  node.process.kill("SIGTERM")
  await ended
  execFileSync("cp", ["-a", state, copy])
  await node.stop()
  execFileSync("mv", [copy, state])
}

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  for (const limit = performance.now() + PATIENCE_MS; !(await holds()) && performance.now() < limit;) await sleep(50)
}
const statusOf = async (node: RunningNode): Promise<NodeStatus> => (await node.status()) as unknown as NodeStatus

const servesTime = async (node: RunningNode): Promise<void> => {
  const { stdout } = await meridian(["query", `127.0.0.1:${node.port}`, "--json"])
  expect(JSON.parse(stdout)).toMatchObject({ answers: [{ leap: 0, stratum: 10, synchronised: true }] })
}

/** Overwrites bytes in the middle of a file. */
const garble = (file: string): void => {
  const descriptor = openSync(file, "r+")
  const { size } = statSync(file)
  for (let at = 4_096; at < size; at += 1_024) writeSync(descriptor, randomBytes(64), 0, 64, at)
  closeSync(descriptor)
}

/** Whether `status` comes to say so. */
const missing = async (node: RunningNode, pattern: RegExp): Promise<boolean> => {
  const said = async (): Promise<string> => ((await statusOf(node)).missing ?? []).join("\n")
  await until(async () => pattern.test(await said()))
  expect(await said()).toMatch(pattern)
  return /^missing {3}/m.test((await meridian(["status", "--state", node.state])).stdout)
}

const recovers = async (node: RunningNode): Promise<void> => {
  const isWhole = async (): Promise<boolean> => {
    const { missing: what, keys } = await statusOf(node)
    return what?.length === 0 && keys.masterKeyGenerations.length > 0
  }
  await until(isWhole)
  expect((await statusOf(node)).missing).toEqual([])
  expect((await statusOf(node)).keys.masterKeyGenerations.length).toBeGreaterThan(0)
}

const isRoot = process.getuid?.() === 0

describe("plain time is served, and what is missing is said,", () => {
  it.runIf(isRoot)("from a full disk; NTS comes when there is room", async () => {
    const disk = join(folder, "disk")
    const state = join(disk, "state")
    mkdirSync(disk)
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k,mode=0755", "none", disk])
    ending.push(() => execFileSync("umount", ["-l", disk]))
    try {
      writeFileSync(join(disk, "ballast"), new Uint8Array(1 << 20))
    } catch {
      // It is full now.
    }
    const node = await start(state)
    await servesTime(node)
    expect(await missing(node, /coordinator does not serve/)).toBe(true)
    execFileSync("mount", ["-o", "remount,size=64m", disk])
    await recovers(node)
  })

  it.runIf(isRoot)("from a directory that cannot be written", async () => {
    const disk = join(folder, "disk")
    const state = join(disk, "state")
    mkdirSync(disk)
    execFileSync("mount", ["-t", "tmpfs", "-o", "mode=0755", "none", disk])
    ending.push(() => execFileSync("umount", ["-l", disk]))
    mkdirSync(state)
    execFileSync("mount", ["-o", "remount,ro", disk])
    const node = await start(state)
    await servesTime(node)
    expect(node.stderr()).toContain(`the state directory ${state} cannot be written (the file system is read-only): `)
    expect(node.stderr()).toContain("name another with --state DIR; time is served all the same")
    expect(node.stderr()).not.toMatch(/coordinator/)
  })

  it("without a cluster key that can be read; NTS comes with the key", async () => {
    const state = join(folder, "state")
    const key = join(folder, "cluster-key")
    writeFileSync(key, "", { mode: 0o600 })
    const node = await start(state, [`cluster key ${key}`])
    await servesTime(node)
    expect(await missing(node, /coordinator does not serve: .*holds no cluster key/)).toBe(true)
    writeFileSync(key, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 })
    await recovers(node)
  })

  it("from a log that is damaged: it is put aside by name, and begun anew", async () => {
    const state = join(folder, "state")
    await lived(state)
    garble(join(state, "log/events.sqlite"))
    const node = await start(state)
    await servesTime(node)
    await recovers(node)
    expect(node.stderr()).toMatch(
      /event log was damaged and is begun anew, the old one is kept as .*events\.sqlite\.damaged-/
    )
    expect(readdirSync(join(state, "log")).join(" ")).toMatch(/events\.sqlite\.damaged-\d{8}T\d{6}Z/)
  })

  it("from a key store that is no database any more: it is put aside by name, and its keys are replaced", async () => {
    const state = join(folder, "state")
    await lived(state)
    writeFileSync(join(state, "shelf/keys.sqlite"), randomBytes(8_192))
    const node = await start(state)
    await servesTime(node)
    await recovers(node)
    expect(node.stderr()).toMatch(/key store was damaged and is begun anew, the old one is kept as .*sqlite\.damaged-/)
  })

  it("from a log under another cluster key", async () => {
    const state = join(folder, "state")
    await lived(state)
    writeFileSync(join(state, "cluster-key"), `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 })
    const node = await start(state)
    await servesTime(node)
    expect(await missing(node, /coordinator does not serve: .*the cluster's is /)).toBe(true)
  })

  it("with a certificate that is not there; NTS comes with it", async () => {
    const state = join(folder, "state")
    const [cert, key] = [join(folder, "c.pem"), join(folder, "k.pem")]
    const node = await start(state, [`nts cert ${cert}`, `nts key ${key}`])
    await servesTime(node)
    expect(await missing(node, /nts-ke 0 does not serve: .*no certificate can be used.*it is not there/)).toBe(true)
    makeCertificate({ key, certificate: cert })
    await recovers(node)
  })
})

describe("a second start", () => {
  it("never harms a first, not even one that is stopped or has lost its socket", async () => {
    const state = join(folder, "state")
    const node = await start(state)
    const again = async (): Promise<string> => {
      const port = String(await freePort())
      const { code, stderr } = await meridian(["up", "--state", state, "--port", port, "--listen", "127.0.0.1"])
      expect(code).toBe(1)
      return stderr
    }
    process.kill(node.process.pid!, "SIGSTOP")
    expect(await again()).toContain("a node already runs with the state directory")
    process.kill(node.process.pid!, "SIGCONT")
    await servesTime(node)
    expect((await statusOf(node)).pid).toBe(node.process.pid)
    rmSync(join(state, "control.sock"))
    expect(await again()).toContain("a node already runs with the state directory")
  })
})
