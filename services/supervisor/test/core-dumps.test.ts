/** Keys are in the memory of a node's processes: none of them leaves an image of it, unless ntp.conf says that it may. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startNode } from "@meridian/testkit/running-node"
import { expect, it } from "vitest"

/** The soft limit on core dumps of a process and of those that it has started. */
const coreLimits = (pid: number): readonly string[] => {
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return new RegExp(`^PPid:\\s+${pid}$`, "m").test(readFileSync(`/proc/${name}/status`, "utf8"))
      } catch {
        return false
      }
    })
  return [String(pid), ...children].map(
    (each) => /^Max core file size\s+(\S+)/m.exec(readFileSync(`/proc/${each}/limits`, "utf8"))?.[1] ?? ""
  )
}

it("leaves none, or as many as it is allowed to", async () => {
  const node = await startNode({ args: ["--workers", "1"] })
  try {
    const limits = coreLimits(node.process.pid ?? 0)
    expect(limits.length).toBeGreaterThan(2)
    // Where the machine allows none, none it stays.
    expect(limits.filter((limit) => limit !== "1" && limit !== "0")).toEqual([])
  } finally {
    await node.stop()
  }
  const folder = mkdtempSync(join(tmpdir(), "meridian-core-"))
  const file = join(folder, "ntp.conf")
  writeFileSync(file, "coredumps on\nlisten 127.0.0.1\n")
  const allowed = await startNode({ args: ["--config", file, "--workers", "1"] })
  try {
    const own = /^Max core file size\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]
    expect(new Set(coreLimits(allowed.process.pid ?? 0))).toEqual(new Set([own]))
  } finally {
    await allowed.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})
