/** Which process holds which keys, by what is in its memory: each only those that it works with. */
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"

const folder = mkdtempSync(join(tmpdir(), "meridian-separation-"))
const file = (name: string): string => join(folder, name)
const SYMMETRIC = Buffer.from("kX9vQ2-only-of-a-test")

const CHUNK = 1 << 20

/** Whether some bytes stand anywhere in what a process has written to its memory. */
const holds = (pid: number, bytes: Uint8Array): boolean => {
  const memory = openSync(`/proc/${pid}/mem`, "r")
  const areas = readFileSync(`/proc/${pid}/smaps`, "ascii").matchAll(
    /^([0-9a-f]+)-([0-9a-f]+) rw[^\n]*\n(?:\w+: [^\n]*\n)*?Rss: +([1-9]\d*) kB/gm
  )
  const chunk = Buffer.allocUnsafe(CHUNK + bytes.length)
  try {
    for (const [, from = "", to = ""] of areas)
      for (let at = Number.parseInt(from, 16); at < Number.parseInt(to, 16); at += CHUNK) {
        const length = Math.min(chunk.length, Number.parseInt(to, 16) - at)
        if (chunk.subarray(0, readIfThere(memory, chunk, length, at)).includes(bytes)) return true
      }
    return false
  } finally {
    closeSync(memory)
  }
}

/** An area may have gone since the list was read. */
const readIfThere = (memory: number, into: Buffer, length: number, at: number): number => {
  try {
    return readSync(memory, into, 0, length, at)
  } catch {
    return 0
  }
}

const processes = (supervisor: number): ReadonlyMap<string, number> => {
  const children = readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, "ascii")
    .trim()
    .split(" ")
    .map(Number)
  return new Map(
    children.map((pid) => [
      /services\/([a-z-]+)\/src/.exec(readFileSync(`/proc/${pid}/cmdline`, "utf8"))?.[1] ?? "",
      pid
    ])
  )
}

describe.runIf(process.getuid?.() === 0)("a node with symmetric keys and NTS", () => {
  let node: RunningNode
  let pids: ReadonlyMap<string, number>
  let master: Uint8Array
  beforeAll(async () => {
    // More than 20 characters would be hexadecimal: this is how the key file has it.
    writeFileSync(file("ntp.keys"), `1 SHA1 ${SYMMETRIC.toString("hex")}\n`)
    const lines = [`keys ${file("ntp.keys")}`, "trustedkey 1", `nts enable port ${await freePort()}`]
    writeFileSync(file("ntp.conf"), `${[...lines, `nts cookie ${file("nts-keys")}`].join("\n")}\n`)
    node = await startNode({ args: ["--workers", "1", "--listen", "127.0.0.1", "--config", file("ntp.conf")] })
    // The node serves before its keys are minted, and before all of its processes are there.
    const patient = { timeout: PATIENCE_MS, interval: 100 }
    await vi.waitUntil(() => (pids = processes(node.process.pid as number)).size === 5 && !pids.has(""), patient)
    const written = (): string => (existsSync(file("nts-keys")) ? readFileSync(file("nts-keys"), "utf8") : "")
    master = Buffer.from(await vi.waitUntil(() => /K: ([0-9a-f]{64})/.exec(written())?.[1], patient), "hex")
    await vi.waitUntil(() => ["worker", "nts-ke"].every((name) => holds(pids.get(name)!, master)), patient)
  })
  afterAll(async () => {
    await node?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it("has a process for each task", () =>
    expect([...pids.keys()].toSorted()).toEqual(["control", "coordinator", "discipline", "nts-ke", "worker"]))

  it("the worker has both kinds, for that is what it answers with", () => {
    expect(holds(pids.get("worker")!, SYMMETRIC)).toBe(true)
    expect(holds(pids.get("worker")!, master)).toBe(true)
  })

  it("the process that speaks TLS with anybody has the master keys alone", () => {
    expect(holds(pids.get("nts-ke")!, master)).toBe(true)
    expect(holds(pids.get("nts-ke")!, SYMMETRIC)).toBe(false)
  })

  it("the process that shows the node has no key but the one that controlkey names", () => {
    expect(holds(pids.get("control")!, SYMMETRIC)).toBe(false)
    expect(holds(pids.get("control")!, master)).toBe(false)
  })

  it("the process that speaks with upstream servers has no master key", () => {
    expect(holds(pids.get("discipline")!, master)).toBe(false)
  })
})
