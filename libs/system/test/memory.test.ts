import { readFileSync } from "node:fs"
import { getHeapStatistics } from "node:v8"
import { expect, it, vi } from "vitest"
import { collectHeap, releaseStartupPages, releaseStartupPagesSoon } from "../src/memory.ts"
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

it.runIf(loadNative().addon !== undefined)("collects a start's garbage, and counts no memory that is not there", () => {
  collectHeap()
  const settled = getHeapStatistics()
  let held: readonly object[] | undefined = Array.from({ length: 300_000 }, (_, at) => ({ at, kept: [at] }))
  collectHeap()
  expect(held).toHaveLength(300_000)
  expect(getHeapStatistics().used_heap_size).toBeGreaterThan(settled.used_heap_size + 10e6)
  held = undefined
  collectHeap()
  const after = getHeapStatistics()
  expect(after.used_heap_size).toBeLessThan(settled.used_heap_size + 2e6)
  expect(after.total_physical_size).toBeLessThan(settled.total_physical_size + 5e6)
  expect(Math.abs(after.external_memory - settled.external_memory)).toBeLessThan(1e6)
})

it("asks before each pause, when the process has settled and again later", () => {
  vi.useFakeTimers()
  try {
    const mayPause = vi.fn<() => boolean>(() => false)
    releaseStartupPagesSoon(mayPause)
    expect(mayPause).not.toHaveBeenCalled()
    vi.advanceTimersByTime(2_000)
    expect(mayPause).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(60_000)
    expect(mayPause).toHaveBeenCalledTimes(2)
  } finally {
    vi.useRealTimers()
  }
})
