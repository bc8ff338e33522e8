import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Admission } from "../src/admission.ts"
import type { RequestBatch } from "../src/request-batch.ts"
import { NtpServer } from "../src/server.ts"
import { ignore, kiss, outcomeReasons } from "../src/outcome.ts"
import { servedMoment } from "@meridian/testkit/served-moment"
import { type ClockCurve, Leap, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { fromUnix, ntpSeconds, ntpTimestamp } from "@meridian/time/timestamp"
import { SOURCE_STRIDE, sourceAddressAt } from "@meridian/wire/source-address"
import {
  encodeIdentity,
  type Identity,
  IDENTITY_FIELD,
  identityOf,
  identityRequest
} from "@meridian/wire/identity-field"
import { decodeHeader, encodeHeader, flagsOf, type NtpHeader } from "@meridian/wire/ntp"

const NOW = 1_795_000_000
const goodCurve: ClockCurve = {
  ...unsynchronisedCurve(),
  baseSeconds: NOW,
  baseMonotonic: 100,
  leap: Leap.insert,
  stratum: 3,
  referenceId: 0x0a0b0c0d,
  referenceSeconds: NOW - 10,
  rootDelay: 0.25,
  rootDispersion: 0.5,
  dispersionRate: 0,
  deadline: 110
}

const request = (change: Partial<NtpHeader>): Uint8Array => {
  const zero = ntpTimestamp(0, 0)
  return encodeHeader({
    leap: 0,
    version: 4,
    mode: 3,
    stratum: 0,
    poll: 6,
    precision: 0x20,
    rootDelay: 0,
    rootDispersion: 0,
    referenceId: 0,
    reference: zero,
    origin: zero,
    receive: zero,
    transmit: ntpTimestamp(0x01234567, 0x89abcdef),
    ...change
  })
}

const batchIn = (bytes: Uint8Array, sourcePort = 40_000): RequestBatch => {
  const addresses = new Uint8Array(SOURCE_STRIDE)
  addresses.set([sourcePort >> 8, sourcePort & 0xff, 192, 0, 2, 7], 2)
  return { bytes, view: new DataView(bytes.buffer), family: 4, addresses, localAddresses: new Uint8Array(16) }
}

const ask = (
  bytes: Uint8Array,
  curve: ClockCurve = goodCurve,
  sourcePort = 40_000,
  monotonic = 105,
  identity?: Uint8Array
) => {
  const server = new NtpServer({ precision: -24, minimumPoll: 3, longestRequest: 2048 })
  server.identity = identity
  const slot = new Uint8Array(2048)
  slot.set(bytes.subarray(0, 2048))
  const moment = servedMoment(curve, { seconds: NOW, nanoseconds: 500_000_000 }, monotonic)
  server.beginBatch(batchIn(slot, sourcePort), moment, NOW, monotonic)
  const outcome = server.handle(0, 0, bytes.length, ntpSeconds(NOW), 0x4000_0000)
  const reply = outcome._tag === "Respond" ? slot.slice(0, server.replyLength) : undefined
  return { outcome, reply, header: reply === undefined ? undefined : (decodeHeader(reply) as NtpHeader) }
}

describe("a client's request", () => {
  it("is answered with the clock as published", () => {
    const { outcome, header } = ask(request({}))
    expect(outcome.reason).toBe("served")
    expect(header).toEqual({
      leap: 1,
      version: 4,
      mode: 4,
      stratum: 3,
      poll: 6,
      precision: -24,
      rootDelay: 0x4000,
      rootDispersion: 0x8000,
      referenceId: 0x0a0b0c0d,
      reference: fromUnix({ seconds: NOW - 10, nanoseconds: 0 }),
      origin: ntpTimestamp(0x01234567, 0x89abcdef),
      receive: fromUnix({ seconds: NOW, nanoseconds: 250_000_000 }),
      transmit: fromUnix({ seconds: NOW, nanoseconds: 500_000_000 })
    })
  })
  it.each([1, 2, 3, 4])("of version %d gets that version", (version) => {
    expect(ask(request({ version })).header).toMatchObject({ version, mode: 4 })
  })
  it.each([
    [1, 3],
    [3, 3],
    [10, 10],
    [-6, 3]
  ])("with poll %d gets poll %d", (poll, expected) => expect(ask(request({ poll })).header?.poll).toBe(expected))
  it("is corrected by the published line", () => {
    const { header } = ask(request({}), { ...goodCurve, offset: -0.75, frequency: 0.25 })
    expect(header?.transmit).toBe(fromUnix({ seconds: NOW + 1, nanoseconds: 0 }))
  })
  it("gets era 1 after 2036", () => {
    const server = new NtpServer({ precision: -24, minimumPoll: 0, longestRequest: 2048 })
    const slot = request({})
    const moment = servedMoment(goodCurve, { seconds: 2_085_978_500, nanoseconds: 0 }, 105)
    server.beginBatch(batchIn(slot), moment, 2_085_978_500, 105)
    server.handle(0, 0, 48, 4, 0)
    expect((decodeHeader(slot) as NtpHeader).transmit).toBe(ntpTimestamp(4, 0))
  })
})

describe("other requests", () => {
  it("symmetric active gets symmetric passive", () => expect(ask(request({ mode: 1 })).header?.mode).toBe(2))
  it("version 1 without a mode is a client's, unless it comes from the NTP port", () => {
    expect(ask(request({ version: 1, mode: 0 })).header).toMatchObject({ version: 1, mode: 4 })
    expect(ask(request({ version: 1, mode: 0 }), goodCurve, 123).outcome.reason).toBe("mode")
    expect(ask(request({ version: 2, mode: 0 })).outcome.reason).toBe("mode")
  })
  it.each([
    ["an empty datagram", new Uint8Array(0), "short"],
    ["47 bytes", request({}).subarray(0, 47), "short"],
    ["65 507 bytes", new Uint8Array(65_507), "long"],
    ["version 0", request({ version: 0 }), "version"],
    ["version 5", request({ version: 5 }), "version"],
    ["a reflected reply", request({ mode: 4 }), "mode"],
    ["symmetric passive", request({ mode: 2 }), "mode"],
    ["a broadcast", request({ mode: 5 }), "mode"],
    ["a control query", request({ mode: 6 }), "control"],
    ["a private query", request({ mode: 7 }), "control"],
    ["a crypto-NAK", new Uint8Array([...request({}), 0, 0, 0, 0]), "crypto-nak"],
    ["a MAC", new Uint8Array([...request({}), ...Array<number>(20).fill(1)]), "unknown-key"],
    ["a torn extension field", new Uint8Array([...request({}), ...Array<number>(28).fill(255)]), "malformed"]
  ])("%s is dropped and named", (_name, bytes, reason) => {
    const { outcome, reply } = ask(bytes)
    expect(outcome).toMatchObject({ _tag: "Ignore", reason })
    expect(reply).toBeUndefined()
  })
  it("an unknown extension field is not answered, its packet is, with 48 bytes", () => {
    const { outcome, reply } = ask(new Uint8Array([...request({}), 0xf0, 1, 0, 28, ...Array<number>(24).fill(7)]))
    expect(outcome.reason).toBe("served")
    expect(reply).toHaveLength(48)
  })
})

describe("a server that may not vouch for its clock", () => {
  it.each([
    ["past the page's deadline", goodCurve, 110.5],
    ["before any page", unsynchronisedCurve(), 105],
    ["at stratum 16", { ...goodCurve, stratum: 16 }, 105]
  ])("%s says LI 3, stratum 0", (_name, curve, monotonic) => {
    const { outcome, header } = ask(request({}), curve, 40_000, monotonic)
    expect(outcome.reason).toBe("served-unsynchronised")
    expect(header).toMatchObject({ leap: 3, stratum: 0, referenceId: 0x494e4954 })
  })
  it("names no time at which it was set, if it never was", () =>
    expect(ask(request({}), unsynchronisedCurve()).header?.reference).toBe(ntpTimestamp(0, 0)))
})

describe("an admission", () => {
  const refused = ignore("control")
  const rate = kiss("nts-nak-sent", 0x52415445)
  const askUnder = (admission: Partial<Admission>, bytes: Uint8Array) => {
    const server = new NtpServer({ precision: -24, minimumPoll: 3, longestRequest: 2048 })
    server.admission = {
      sheds: false,
      begin: () => {},
      judge: () => undefined,
      judgeProof: () => undefined,
      signsFor: () => false,
      mayPeer: () => true,
      ...admission
    }
    const slot = new Uint8Array(2048)
    slot.set(bytes.subarray(0, 2048))
    const moment = servedMoment(goodCurve, { seconds: NOW, nanoseconds: 500_000_000 }, 105)
    server.beginBatch(batchIn(slot), moment, NOW, 105)
    const outcome = server.handle(0, 0, bytes.length, ntpSeconds(NOW), 0x4000_0000)
    return { outcome, header: decodeHeader(slot.slice(0, 48)) as NtpHeader, length: server.replyLength }
  }

  it("is asked before anything else, with the batch, the slot, the first byte and the length", () => {
    const asked: unknown[] = []
    let batch: RequestBatch | undefined
    const admission: Partial<Admission> = {
      begin: (begun, monotonic) => {
        batch = begun
        asked.push(monotonic)
      },
      judge: (...question) => {
        asked.push(question)
        return refused
      }
    }
    for (const bytes of [
      new Uint8Array(0),
      Uint8Array.of(0xff),
      request({ version: 7, mode: 5 }),
      new Uint8Array(9000)
    ])
      expect(askUnder(admission, bytes).outcome).toBe(refused)
    expect(asked).toEqual([105, [0, 0, 0], 105, [0, 0xff, 1], 105, [0, 0x3d, 48], 105, [0, 0, 9000]])
    const at = sourceAddressAt(0, batch!.family)
    expect([...batch!.addresses.subarray(at, at + 4)]).toEqual([192, 0, 2, 7])
  })
  it("has a request for time answered with a kiss of 48 bytes", () => {
    const { outcome, header, length } = askUnder({ judge: () => rate }, request({ version: 3 }))
    expect(outcome).toBe(rate)
    expect(header).toMatchObject({
      leap: 3,
      version: 3,
      mode: 4,
      stratum: 0,
      referenceId: 0x52415445,
      origin: ntpTimestamp(0x01234567, 0x89abcdef)
    })
    expect(length).toBe(48)
  })
  it.each([
    ["a reply", request({ mode: 4 }), "mode"],
    ["a broadcast", request({ mode: 5 }), "mode"],
    ["a query", request({ mode: 6 }), "mode"],
    ["a torn request", request({}).subarray(0, 47), "short"]
  ])("never has %s answered with one", (_name, bytes, reason) =>
    expect(askUnder({ judge: () => rate }, bytes).outcome).toMatchObject({ _tag: "Ignore", reason })
  )
  it("hears whether a request that would be served proved who sent it", () => {
    const proofs: unknown[] = []
    const judgeProof: Admission["judgeProof"] = (slot, isAuthenticated) => {
      proofs.push([slot, isAuthenticated])
      return isAuthenticated ? undefined : refused
    }
    expect(askUnder({ judgeProof }, request({})).outcome).toBe(refused)
    expect(askUnder({ judgeProof }, request({ mode: 6 })).outcome.reason).toBe("control")
    expect(proofs).toEqual([[0, false]])
  })
})

describe("any datagram", () => {
  it("has a named outcome, and no reply is longer than its request", () => {
    const moment = servedMoment(goodCurve, { seconds: NOW, nanoseconds: 1 }, 105)
    const server = new NtpServer({ precision: -24, minimumPoll: 3, longestRequest: 2048 })
    const slot = new Uint8Array(2048)
    const datagram = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ minLength: 47, maxLength: 150 }))
        .map(([flags, rest]) => Uint8Array.from([flags, ...rest])),
      fc.constant(Uint8Array.from([flagsOf(0, 4, 3), ...Array<number>(47).fill(0)]))
    )
    fc.assert(
      fc.property(datagram, fc.integer({ min: 0, max: 65_535 }), (bytes, port) => {
        slot.fill(0)
        slot.set(bytes)
        server.beginBatch(batchIn(slot, port), moment, NOW, 105)
        const outcome = server.handle(0, 0, bytes.length, NOW, 0)
        expect(outcomeReasons[outcome.index]).toBe(outcome.reason)
        expect(outcome._tag === "Respond" ? server.replyLength : 0).toBeLessThanOrEqual(bytes.length)
      }),
      { numRuns: 5000 }
    )
  })
})

describe("a request that asks which node this is", () => {
  const identity: Identity = { node: "ntp-1", version: "0.2.0", generation: 7, decision: "aacddaf3-68a6.0" }
  const told = encodeIdentity(identity)
  const askWho = (fields: readonly Uint8Array[], who: Uint8Array | null = told) =>
    ask(Buffer.concat([request({}), ...fields]), goodCurve, 40_000, 105, who ?? undefined)
  /** A field of a type and a length. */
  const field = (type: number, length: number): Uint8Array => {
    const bytes = Buffer.alloc(length, 0xaa)
    bytes.writeUInt16BE(type, 0)
    bytes.writeUInt16BE(length, 2)
    return bytes
  }

  it("is told so in the length that it asked with, whatever else it carries", () => {
    for (const fields of [[identityRequest()], [field(0x9999, 28), identityRequest(), field(0x2005, 64)]]) {
      const { reply, outcome } = askWho(fields)
      expect(outcome.reason).toBe("served")
      expect(reply?.length).toBe(48 + identityRequest().length)
      expect(identityOf(reply!)).toEqual(identity)
      // Nothing of the request is left in it.
      expect(reply!.subarray(48 + 4 + told.length).every((byte) => byte === 0)).toBe(true)
    }
  })

  it("is answered as ever where nobody is told, where it has no room, and where it does not ask", () => {
    const plain = [askWho([identityRequest()], null), askWho([field(IDENTITY_FIELD, 28)]), askWho([field(1, 200)])]
    expect(plain.map(({ reply }) => reply?.length)).toEqual([48, 48, 48])
    // A field just long enough has room.
    expect(identityOf(askWho([field(IDENTITY_FIELD, 4 + told.length)]).reply!)).toEqual(identity)
    expect(askWho([field(IDENTITY_FIELD, told.length)]).reply?.length).toBe(48)
  })

  it("never gets more than it sent", () => {
    const sizes = fc.array(fc.tuple(fc.constantFrom(IDENTITY_FIELD, 0x104, 0x2005), fc.integer({ min: 4, max: 60 })), {
      maxLength: 6
    })
    fc.assert(
      fc.property(sizes, (wanted) => {
        const fields = wanted.map(([type, words]) => field(type, 4 * words))
        const length = 48 + fields.reduce((sum, one) => sum + one.length, 0)
        expect(askWho(fields).reply?.length ?? 0).toBeLessThanOrEqual(length)
      })
    )
  })
})
