import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type ShmTime, shmTimes } from "@meridian/wire/shm-time"
import {
  decodeSockSample,
  SOCK_MAGIC,
  SOCK_SAMPLE_BYTES,
  SOCK_SAMPLE_BYTES_32,
  type SockSample
} from "@meridian/wire/sock-sample"
import { encodeSockSample } from "@meridian/testkit/sock-sample"

const shm = (change: Partial<ShmTime> = {}): ShmTime => ({
  mode: 1,
  count: 8,
  clockSeconds: 1_700_000_000,
  clockMicroseconds: 123_456,
  clockNanoseconds: 123_456_789,
  receiveSeconds: 1_700_000_001,
  receiveMicroseconds: 5,
  receiveNanoseconds: 5_999,
  leap: 0,
  precision: -20,
  samples: 3,
  ...change
})

describe("shared memory times", () => {
  it("have nanoseconds where both agree with the microseconds, and microseconds else", () => {
    expect(shmTimes(shm())).toEqual({
      clock: { seconds: 1_700_000_000, nanoseconds: 123_456_789 },
      receive: { seconds: 1_700_000_001, nanoseconds: 5_999 }
    })
    const coarse = {
      clock: { seconds: 1_700_000_000, nanoseconds: 123_456_000 },
      receive: { seconds: 1_700_000_001, nanoseconds: 5_000 }
    }
    for (const change of [
      { clockNanoseconds: 0, receiveNanoseconds: 0 },
      { clockNanoseconds: 123_457_000 },
      { receiveNanoseconds: 6_000 },
      { receiveNanoseconds: 4_999 }
    ])
      expect(shmTimes(shm(change))).toEqual(coarse)
  })

  it.each([
    [{ mode: 2 }, "mode"],
    [{ mode: -1 }, "mode"],
    [{ clockMicroseconds: 1_000_000 }, "microseconds"],
    [{ receiveMicroseconds: -1 }, "microseconds"],
    [{ clockNanoseconds: 1_000_000_000 }, "nanoseconds"],
    [{ receiveNanoseconds: 4_294_967_295 }, "nanoseconds"]
  ] as const)("with %j are refused as %s", (change, problem) => expect(shmTimes(shm(change))).toBe(problem))

  it("are in range or refused by name, whatever stands there", () => {
    const integer = fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 })
    fc.assert(
      fc.property(fc.record({ mode: fc.constantFrom(0, 1), a: integer, b: integer, c: integer, d: integer }), (any) => {
        const { mode, a, b, c, d } = any
        const times = shmTimes(
          shm({ mode, clockMicroseconds: a, clockNanoseconds: b, receiveMicroseconds: c, receiveNanoseconds: d })
        )
        const refused = times === "microseconds" || times === "nanoseconds"
        const parts = typeof times === "string" ? [] : [times.clock.nanoseconds, times.receive.nanoseconds]
        expect(refused || parts.length === 2).toBe(true)
        expect(parts.filter((part) => !(part >= 0 && part < 1e9))).toEqual([])
      })
    )
  })
})

const sample: fc.Arbitrary<SockSample> = fc.record({
  system: fc.record({
    seconds: fc.integer({ min: 0, max: 2 ** 40 }),
    nanoseconds: fc.integer({ min: 0, max: 999_999 }).map((microseconds) => microseconds * 1_000)
  }),
  offset: fc.double({ noNaN: true, noDefaultInfinity: true }),
  pulse: fc.boolean(),
  leap: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
})

describe("SOCK samples", () => {
  it("are what was encoded, in either byte order", () => {
    fc.assert(
      fc.property(sample, fc.boolean(), (one, littleEndian) => {
        const bytes = encodeSockSample(one, littleEndian)
        expect(decodeSockSample(bytes, bytes.length, littleEndian)).toEqual({ ...one, offset: one.offset })
        expect(decodeSockSample(bytes, bytes.length, !littleEndian)).toBe("magic")
      })
    )
  })

  it("lie where a C program of 64 bits puts them", () => {
    const bytes = Uint8Array.from(
      Buffer.from(
        "00f1536500000000" +
          "40e2010000000000" +
          "000000000000e0bf" +
          "01000000" +
          "02000000" +
          "00000000" +
          "4b434f53",
        "hex"
      )
    )
    expect(decodeSockSample(bytes, 40, true)).toEqual({
      system: { seconds: 1_700_000_000, nanoseconds: 123_456_000 },
      offset: -0.5,
      pulse: true,
      leap: 2
    })
  })

  it("of 32-bit writers are read as well", () => {
    const bytes = new Uint8Array(SOCK_SAMPLE_BYTES_32)
    const view = new DataView(bytes.buffer)
    view.setInt32(0, 1_700_000_000, true)
    view.setInt32(4, 999_999, true)
    view.setFloat64(8, 0.25, true)
    view.setInt32(20, 1, true)
    view.setInt32(28, SOCK_MAGIC, true)
    expect(decodeSockSample(bytes, bytes.length, true)).toEqual({
      system: { seconds: 1_700_000_000, nanoseconds: 999_999_000 },
      offset: 0.25,
      pulse: false,
      leap: 1
    })
  })

  it("of another length, longer than what was kept included, are refused", () => {
    const good = encodeSockSample({ system: { seconds: 1, nanoseconds: 0 }, offset: 0, pulse: false, leap: 0 }, true)
    for (let length = 0; length <= 64; length += 1) {
      const bytes = new Uint8Array(64)
      bytes.set(good)
      const decoded = decodeSockSample(bytes.subarray(0, Math.min(length, 64)), length, true)
      const found = typeof decoded === "string" ? decoded : "sample"
      expect(found).toBe(length === SOCK_SAMPLE_BYTES ? "sample" : length === SOCK_SAMPLE_BYTES_32 ? "magic" : "length")
    }
    expect(decodeSockSample(good, 65_000, true)).toBe("length")
    expect(decodeSockSample(good.subarray(0, 39), 40, true)).toBe("length")
  })

  it("with nonsense in a field are refused by name, and nothing throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 40, maxLength: 40 }), fc.boolean(), (bytes, marked) => {
        if (marked) new DataView(bytes.buffer, bytes.byteOffset).setInt32(36, SOCK_MAGIC, true)
        const decoded = decodeSockSample(bytes, 40, true)
        const isRefused = typeof decoded === "string" && ["magic", "microseconds", "not-finite"].includes(decoded)
        const isSound =
          typeof decoded !== "string" && Number.isFinite(decoded.offset) && decoded.system.nanoseconds < 1e9
        expect(isRefused || isSound).toBe(true)
      }),
      { numRuns: 2_000 }
    )
    const bytes = encodeSockSample({ system: { seconds: 1, nanoseconds: 0 }, offset: NaN, pulse: false, leap: 0 }, true)
    expect(decodeSockSample(bytes, 40, true)).toBe("not-finite")
    new DataView(bytes.buffer).setBigInt64(8, 1_000_000n, true)
    expect(decodeSockSample(bytes, 40, true)).toBe("microseconds")
  })
})
