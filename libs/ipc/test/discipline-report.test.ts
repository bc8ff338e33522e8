/** What the clock's process says: taken as it is, and refused by the place that is wrong. */
import { parseFromDiscipline, parseToDiscipline } from "@meridian/ipc/discipline-report"
import { describe, expect, it } from "vitest"

const tracking = {
  mode: "virtual",
  state: "synchronised",
  systemPeer: "192.0.2.1",
  stratum: 2,
  leap: 0,
  referenceId: "192.0.2.1",
  referenceTime: 1_800_000_000.5,
  offset: 1e-6,
  offsetDeviation: 1e-7,
  frequency: -3.5,
  frequencyDeviation: null,
  servedOffset: 0,
  servedFrequency: 0,
  rootDelay: 0.001,
  rootDispersion: 0.0001,
  poll: 6,
  holdoverSince: null,
  leapArmed: { leap: "insert", at: 1_800_000_000, origin: "file" },
  steps: 0,
  foreignSteps: 0,
  kernel: null,
  waitingFor: []
}
const source = {
  address: "192.0.2.1",
  port: 123,
  name: null,
  mode: "client",
  stratum: 1,
  leap: 0,
  referenceId: "",
  poll: 6,
  reach: "377",
  verdict: "system",
  reason: "",
  offset: 0,
  delay: 0.001,
  dispersion: 0,
  jitter: null,
  rootDelay: 0,
  rootDispersion: 0,
  rootDistance: null,
  authentication: { kind: "nts", cookies: 8 },
  lastReply: 3.5,
  dropped: { "bad-origin": 1 }
}
const report = (change: object = {}, of: object = {}) => ({
  type: "report",
  at: 1_000.25,
  tracking: { ...tracking, ...change },
  sources: [{ ...source, ...of }],
  rss: 50_000_000,
  heapUsed: 10_000_000
})

describe("the clock's process", () => {
  it("reports what is taken as it is", () => {
    expect(parseFromDiscipline(structuredClone(report()))).toEqual(report())
    const told = { type: "clock-events", events: [{ _tag: "StepClock" }] }
    expect(parseFromDiscipline(told)).toEqual(told)
  })

  it.each([
    [report({ frequency: Number.NaN }), "report.tracking.frequency: expected a number, found NaN"],
    [
      report({ leapArmed: { leap: "twice" } }),
      'report.tracking.leapArmed.leap: expected insert, delete, found "twice"'
    ],
    [
      report({}, { authentication: { kind: "md5" } }),
      "report.sources[0].authentication.kind: expected none, symmetric"
    ],
    [report({}, { dropped: { late: -1 } }), "report.sources[0].dropped: expected counts by name"],
    [{ type: "clock-events", events: ["step"] }, 'clock-events.events[0]: expected an object, found "step"'],
    [
      { type: "autokey-certificates", certificates: [{ der: [1] }] },
      "autokey-certificates.certificates[0].der: expected"
    ]
  ])("is told where %j is wrong", (message, problem) => {
    expect(() => parseFromDiscipline(message)).toThrow(problem)
  })

  it("hears nothing but its supervisor's words", () => {
    expect(parseToDiscipline({ type: "drain" })).toEqual({ type: "drain" })
    expect(parseToDiscipline({ type: "system-counters", received: 1 })).toBeUndefined()
    expect(parseToDiscipline({ type: "stop" })).toBeUndefined()
    expect(parseFromDiscipline({ type: "hello" })).toBeUndefined()
  })
})
