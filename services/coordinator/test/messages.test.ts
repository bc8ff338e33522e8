import { InvalidMessage } from "@meridian/ipc/shape"
import * as fc from "fast-check"
import { expect, it } from "vitest"
import {
  type CoordinatorReport,
  MAX_CLOCK_EVENTS,
  parseFromCoordinator,
  parseToCoordinator
} from "@meridian/ipc/coordinator-report"

const report: CoordinatorReport = {
  type: "report",
  leader: null,
  leading: false,
  term: 0,
  foldedSeq: 0,
  lastSeq: 0,
  adapter: null,
  ready: false,
  drained: false,
  reason: "waiting",
  quarantined: 0,
  clockEventsDropped: 0,
  rss: 1,
  heapUsed: 1
}

it("reads the messages between a coordinator and its supervisor", () => {
  for (const message of [{ type: "ready" }, { type: "warning", message: "x" }, report, { type: "drained", report }])
    expect(parseFromCoordinator(structuredClone(message))).toEqual(message)
  for (const message of [
    { type: "drain" },
    { type: "health", workers: 2, synchronised: true, stratum: 16 },
    { type: "clock-events", events: [{ _tag: "Step", offset: 1 }] }
  ])
    expect(parseToCoordinator(structuredClone(message))).toEqual(message)
})

it("takes nothing for a message that is none", () => {
  for (const name of Object.keys(report).filter((it) => it !== "type"))
    expect(() => parseFromCoordinator({ ...report, [name]: {} })).toThrow(InvalidMessage)
  expect(parseFromCoordinator({ ...report, type: {} })).toBeUndefined()
  const health = { type: "health", workers: 2, synchronised: true, stratum: 2 }
  for (const wrong of [
    { workers: -1 },
    { workers: 1.5 },
    { synchronised: 1 },
    { stratum: 17 },
    { stratum: Number.NaN }
  ])
    expect(parseToCoordinator({ ...health, ...wrong })).toBeUndefined()
  const many = Array.from({ length: MAX_CLOCK_EVENTS + 1 }, () => ({ _tag: "Step" }))
  for (const events of [undefined, {}, [null], [{}], [{ _tag: 1 }], many])
    expect(parseToCoordinator({ type: "clock-events", events })).toBeUndefined()
  fc.assert(
    fc.property(fc.anything(), (message) => {
      expect(parseToCoordinator(message) === undefined || typeof message === "object").toBe(true)
    })
  )
})
