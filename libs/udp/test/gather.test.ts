/** How long requests may wait for each other: native/gather.h, run over a second of time that a test makes. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"

const folder = mkdtempSync(join(tmpdir(), "meridian-gather-"))
afterAll(() => rmSync(folder, { recursive: true }))

const BOUND = 500_000

/** By rate: the longest wait in ns, and requests per receive. */
const waitsAt = (bound: number, rates: readonly number[]): readonly (readonly [number, number])[] => {
  const program = join(folder, "gather")
  execFileSync("cc", ["-O1", "-o", program, join(import.meta.dirname, "vectors/gather.c")])
  const lines = execFileSync(program, [String(bound), ...rates.map(String)], { encoding: "utf8" })
    .trim()
    .split("\n")
  return lines.map((line) => {
    const [, wait = 0, size = 0] = line.split(" ").map(Number)
    return [wait, size]
  })
}

describe("requests wait for each other", () => {
  it("never where they are rare, or where the bound is 0", () => {
    for (const [wait, size] of waitsAt(BOUND, [100, 1_000, 3_000])) expect([wait, size]).toEqual([0, 1])
    for (const [wait] of waitsAt(0, [100, 40_000, 300_000])) expect(wait).toBe(0)
  })
  it("for the bound at most where several come meanwhile, so that a receive takes as many", () => {
    const [five, ten, forty] = waitsAt(BOUND, [5_000, 10_000, 40_000])
    for (const [wait] of [five!, ten!, forty!]) expect(wait).toBeLessThanOrEqual(BOUND)
    expect(five![1]).toBeGreaterThan(2.4)
    expect(ten![1]).toBeGreaterThan(4.8)
    expect(forty![1]).toBeGreaterThan(19)
  })
  it("for less where enough come sooner, and not at all where the server is never done", () => {
    const [fast, saturated] = waitsAt(BOUND, [200_000, 480_000])
    expect(fast![0]).toBeLessThan(BOUND / 2)
    expect(fast![1]).toBeGreaterThan(22)
    expect(saturated).toEqual([0, 64])
  })
})
