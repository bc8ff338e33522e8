import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { releaseStartupPages } from "../src/memory.ts"
import { loadNative } from "../src/native.ts"

const resident = (): number =>
  Number(/^Rss:\s+(\d+) kB/m.exec(readFileSync("/proc/self/smaps_rollup", "utf8"))?.[1]) * 1024

it.runIf(loadNative().addon !== undefined)("gives back megabytes of code, and everything goes on working", () => {
  const before = resident()
  expect(releaseStartupPages()).toBeGreaterThan(30e6)
  expect(resident()).toBeLessThan(before - 5e6)
  expect(JSON.parse(JSON.stringify({ sorted: [3, 1, 2].toSorted((a, b) => a - b) }))).toEqual({ sorted: [1, 2, 3] })
  expect("ÄÖ".normalize("NFD").toLowerCase()).toHaveLength(4)
})
