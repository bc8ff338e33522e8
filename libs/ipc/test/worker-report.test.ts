/** What is read off the times that batches were in hand. */
import { BATCH_LATENCY_BINS, batchLatency } from "@meridian/ipc/worker-report"
import { expect, it } from "vitest"

const bins = (counts: Readonly<Record<number, number>>): readonly number[] =>
  Array.from({ length: BATCH_LATENCY_BINS.length + 1 }, (_, bin) => counts[bin] ?? 0)

it("names the bound that a share of the batches stays below", () => {
  const latencies = bins({ 0: 50, 3: 49, 15: 1 })
  expect(batchLatency(latencies, 0.5)).toBe(2e-6)
  expect(batchLatency(latencies, 0.51)).toBe(16e-6)
  expect(batchLatency(latencies, 0.99)).toBe(16e-6)
})

it("names none beyond the last bound, and none where there was no batch", () => {
  expect(batchLatency(bins({ 0: 50, 15: 50 }), 0.99)).toBeUndefined()
  expect(batchLatency(bins({}), 0.5)).toBeUndefined()
  expect(batchLatency([], 0.5)).toBeUndefined()
})
