/** What grows older on its own is the same whether it is told anew or counted on. */
import { pictureAt, sourcesAfter, trackingAfter } from "@meridian/ipc/report-age"
import type { SourceReport, TrackingReport } from "@meridian/ipc/discipline-report"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { PHI } from "@meridian/time/clock-curve"
import { expect, it } from "vitest"

const tracking = {
  mode: "virtual",
  offset: 1e-3,
  frequency: -20,
  servedOffset: 2e-3,
  servedFrequency: -15,
  rootDelay: 0.01,
  rootDispersion: 1e-4
} as TrackingReport

const source = (change: Partial<SourceReport>, detail: Partial<SourceReport["detail"]> = {}): SourceReport =>
  ({
    address: "192.0.2.1",
    lastReply: 3,
    detail: {
      nextPoll: 61,
      reachabilitySince: 100,
      filter: [
        { offset: 1e-3, delay: 1e-3, dispersion: 1e-6 },
        { offset: 0, delay: 0, dispersion: 16 }
      ],
      nts: null,
      ...detail
    },
    ...change
  }) as SourceReport

it("counts ages on, and nothing that was never", () => {
  const [aged, never, plain] = sourcesAfter(
    [
      source({}, { nts: { exchangedAgo: 7, failures: 0 } } as never),
      source({ lastReply: null }, { nextPoll: null, reachabilitySince: 0, nts: { exchangedAgo: null } } as never),
      { address: "192.0.2.2", lastReply: 1 } as SourceReport
    ],
    10
  )
  expect(aged).toMatchObject({
    lastReply: 13,
    detail: { nextPoll: 51, reachabilitySince: 110, nts: { exchangedAgo: 17, failures: 0 } }
  })
  expect(aged?.detail?.filter).toEqual([
    { offset: 1e-3, delay: 1e-3, dispersion: 1e-6 + 10 * PHI },
    { offset: 0, delay: 0, dispersion: 16 }
  ])
  expect(never).toMatchObject({
    lastReply: null,
    detail: { nextPoll: null, reachabilitySince: 0, nts: { exchangedAgo: null } }
  })
  expect(plain).toEqual({ address: "192.0.2.2", lastReply: 11 })
})

it("has no poll overdue", () => {
  expect(sourcesAfter([source({})], 62)[0]?.detail?.nextPoll).toBe(0)
})

it("goes on along the line that is served, and where the clock is steered its offset stays what it was", () => {
  const after = trackingAfter(tracking, 10)
  expect(after.offset).toBeCloseTo(1e-3 - 200e-6, 12)
  expect(after.servedOffset).toBeCloseTo(2e-3 - 150e-6, 12)
  expect(after.rootDispersion).toBeCloseTo(1e-4 + 10 * PHI, 12)
  expect(after.rootDelay).toBe(0.01)
  expect(trackingAfter({ ...tracking, mode: "kernel" }, 10).offset).toBe(1e-3)
  expect(trackingAfter({ ...tracking, offset: null, frequency: null }, 10).offset).toBeNull()
})

it("shows a picture as of now, which keeps the moment that it was taken at", () => {
  const taken = { monotonic: 50, tracking, sources: [source({})], status: { clock: { rootDispersion: 1e-4 } } }
  const shown = pictureAt(taken as unknown as NodeSnapshot, 54)
  expect(shown.monotonic).toBe(50)
  expect(shown.sources[0]?.lastReply).toBe(7)
  expect(shown.tracking?.servedOffset).toBeCloseTo(2e-3 - 60e-6, 12)
  expect(shown.status.clock.rootDispersion).toBeCloseTo(1e-4 + 4 * PHI, 12)
  expect(pictureAt(taken as unknown as NodeSnapshot, 49).sources[0]?.lastReply).toBe(3)
})
