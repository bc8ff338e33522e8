import { InvalidMessage } from "@meridian/ipc/shape"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  addNtsKeCounters,
  noNtsKeCounters,
  type NtsKeCounters,
  type NtsKeReport,
  parseFromNtsKe,
  parseToNtsKe
} from "../src/reports/nts-ke-report.ts"

const counters: NtsKeCounters = {
  accepted: 3,
  outcomes: { agreed: 2, "not-tls": 1 },
  agreed: { AES_SIV_CMAC_256: 2 },
  cookies: 16,
  unknownServerNames: 0
}
const report: NtsKeReport = {
  type: "report",
  counters,
  tls: "native",
  open: 1,
  rss: 1,
  heapUsed: 1,
  certificates: [{ names: ["ntp.example"], notAfter: 1, fingerprint: "00" }],
  troubles: []
}
const key = { id: 1, key: new Uint8Array(32), activation: 0, retirement: 1, revoked: false }

describe("messages of an NTS-KE process", () => {
  it.each([
    { type: "ready" } as const,
    report,
    { type: "drained", report } as const,
    { type: "warning", message: "x" } as const
  ])("reads $type", (message) => {
    expect(parseFromNtsKe(structuredClone(message))).toEqual(message)
  })

  it.each([
    { ...report, counters: { ...counters, accepted: "3" } },
    { ...report, counters: { ...counters, outcomes: { agreed: Number.NaN } } },
    { ...report, counters: undefined },
    { ...report, certificates: [{ names: [1], notAfter: 1, fingerprint: "" }] },
    { ...report, certificates: undefined },
    { ...report, rss: -1 },
    { type: "drained" }
  ])("refuses a report with something wrong in it, and says where", (message) => {
    expect(() => parseFromNtsKe(message)).toThrow(InvalidMessage)
  })

  it("takes nothing for a message that is none", () => {
    for (const message of [{ type: "warning" }, { type: "keys" }, { type: "toString" }, {}, null, 5])
      expect(parseFromNtsKe(message)).toBeUndefined()
  })
})

describe("messages to an NTS-KE process", () => {
  it.each([{ type: "drain" } as const, { type: "reload" } as const])("reads $type", (message) => {
    expect(parseToNtsKe(structuredClone(message))).toEqual(message)
  })

  it.each([
    { type: "keys" },
    { type: "keys", generations: [{ ...key, key: "secret" }] },
    { type: "keys", generations: [{ ...key, id: "1" }] },
    { type: "keys", generations: [key, null] },
    { type: "stop" }
  ])("takes no keys, which come with the serving plan", (message) => {
    expect(parseToNtsKe(message)).toBeUndefined()
  })

  it("never throws", () => {
    fc.assert(
      fc.property(fc.anything(), (anything) => {
        expect(() => parseToNtsKe(anything)).not.toThrow()
      })
    )
  })
})

describe("addNtsKeCounters", () => {
  it("sums reason by reason", () => {
    expect(addNtsKeCounters(counters, noNtsKeCounters)).toEqual(counters)
    expect(addNtsKeCounters(counters, { ...counters, outcomes: { agreed: 1, "no-alpn": 4 } })).toEqual({
      accepted: 6,
      outcomes: { agreed: 3, "not-tls": 1, "no-alpn": 4 },
      agreed: { AES_SIV_CMAC_256: 4 },
      cookies: 32,
      unknownServerNames: 0
    })
  })

  it("keeps what only one side has measured", () => {
    const time = { good: { wall: 2, cpu: 1 }, nossl: { wall: 0, cpu: 0 }, bad: { wall: 1, cpu: 0.5 } }
    const timed = { ...noNtsKeCounters, time }
    expect(addNtsKeCounters(timed, noNtsKeCounters).time).toEqual(time)
    expect(addNtsKeCounters(timed, timed).time?.good).toEqual({ wall: 4, cpu: 2 })
  })
})
