/** The clock page between both kinds of writer and both kinds of reader, in one process and in two, and with garbage. */
import { fork } from "node:child_process"
import { once } from "node:events"
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate as nextTurn } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import fc from "fast-check"
import { afterEach, describe, expect, it } from "vitest"
import { loadNative } from "@meridian/system/native"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { type ClockCurve, Leap, unsynchronisedCurve } from "@meridian/time/clock-curve"
import {
  type ClockLine,
  encodeLine,
  LINE_BYTES,
  LINE_FIELDS,
  LINE_LAYOUT,
  SERVED_NUMBERS,
  serveLine
} from "@meridian/time/clock-line"
import {
  closeClockPage,
  ClockPageError,
  ClockPageReader,
  ClockPageWriter,
  LINE_OFFSET,
  makeClockPage,
  PAGE_BYTES,
  SEQUENCE_OFFSET
} from "../src/clock-page.ts"

const kinds = ["native", "fallback"] as const
/** Of a writer that is at work all the while: enough for the two to meet in every way. */
const VALUES_SEEN = 200
const ORIGIN = { seconds: 1_794_987_654, nanoseconds: 999_999_999 }
const cleanups: Array<() => void> = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup()
})

const newPage = (kind: "native" | "fallback") => {
  const page = makeClockPage(ORIGIN, kind)
  cleanups.push(() => closeClockPage(page))
  return page
}

const readWord = (descriptor: number, at: number): number => {
  const word = Buffer.alloc(4)
  readSync(descriptor, word, 0, 4, at)
  return word.readUInt32LE()
}

const writeWord = (descriptor: number, at: number, value: number): void => {
  const word = Buffer.alloc(4)
  word.writeUInt32LE(value >>> 0)
  writeSync(descriptor, word, 0, 4, at)
}

const sample: ClockCurve = {
  baseSeconds: 1_795_000_000,
  baseNanoseconds: 249_999_999,
  baseMonotonic: 12_345.25,
  offset: -0.001_25,
  frequency: 1.5e-6,
  leap: Leap.insert,
  stratum: 2,
  referenceId: 0xc0000201,
  referenceSeconds: 1_794_999_995,
  referenceNanoseconds: 7,
  rootDelay: 0.01,
  rootDispersion: 0.002,
  dispersionRate: 15e-6,
  deadline: 12_400
}

/** As close as 2^-32 s, 2^-64 and doubles of CLOCK_MONOTONIC have it. */
const expectSame = (read: ClockCurve, written: ClockCurve): void => {
  const { offset, frequency, rootDelay, rootDispersion, dispersionRate, deadline, baseMonotonic, ...exact } = read
  expect(exact).toEqual({
    leap: written.leap,
    stratum: written.stratum,
    referenceId: written.referenceId,
    referenceSeconds: written.referenceSeconds,
    referenceNanoseconds: written.referenceNanoseconds,
    baseSeconds: expect.any(Number),
    baseNanoseconds: expect.any(Number)
  })
  expect(offset).toBeCloseTo(written.offset, 8)
  expect(frequency).toBeCloseTo(written.frequency, 15)
  expect(rootDelay - written.rootDelay).toBeGreaterThanOrEqual(0)
  expect(rootDelay).toBeCloseTo(written.rootDelay, 6)
  expect(rootDispersion - written.rootDispersion).toBeGreaterThanOrEqual(0)
  expect(rootDispersion).toBeCloseTo(written.rootDispersion, 6)
  expect(dispersionRate).toBeCloseTo(written.dispersionRate, 15)
  expect(baseMonotonic).toBeCloseTo(written.baseMonotonic, 6)
  if (written.deadline > 0) expect(deadline).toBeCloseTo(written.deadline, 5)
  else expect(deadline).toBe(-Infinity)
}

const nanoseconds = fc.integer({ min: 0, max: 999_999_999 })
const duration = fc.double({ min: 0, max: 1e6, noNaN: true })
const curves: fc.Arbitrary<ClockCurve> = fc.record({
  baseSeconds: fc.constant(0),
  baseNanoseconds: fc.constant(0),
  baseMonotonic: duration,
  offset: fc.double({ min: -1e5, max: 1e5, noNaN: true }),
  frequency: fc.double({ min: -0.1, max: 0.1, noNaN: true }),
  leap: fc.constantFrom(Leap.none, Leap.insert, Leap.delete, Leap.unsynchronised),
  stratum: fc.integer({ min: 1, max: 16 }),
  referenceId: fc.nat(0xffffffff),
  referenceSeconds: fc.integer({ min: 1, max: 4_000_000_000 }),
  referenceNanoseconds: nanoseconds,
  rootDelay: duration,
  rootDispersion: duration,
  dispersionRate: fc.double({ min: 0, max: 0.1, noNaN: true }),
  deadline: fc.oneof(fc.constant(-Infinity), fc.double({ min: 1e-6, max: 1e6, noNaN: true }))
})

describe.each(kinds.flatMap((writer) => kinds.map((reader) => [writer, reader] as const)))(
  "%s writer, %s reader",
  (writerKind, readerKind) => {
    it("carries any curve whole", () => {
      const page = newPage(writerKind)
      const writer = new ClockPageWriter(page.writable, writerKind)
      const reader = new ClockPageReader(page.readable, readerKind)
      fc.assert(
        fc.property(curves, (curve) => {
          const read = unsynchronisedCurve()
          writer.write(curve)
          expect(reader.readInto(read)).toBe(true)
          expectSame(read, curve)
        }),
        { numRuns: 200 }
      )
    })

    it("begins with a line that vouches for nothing and says what its origin has come to", () => {
      const page = newPage(writerKind)
      const line = new ClockPageReader(page.readable, readerKind).read()
      expect(line).toMatchObject({ leap: 3, stratum: 16, deadline: 0n, referenceSeconds: 0n, referenceFraction: 0 })
      expect(line?.baseSeconds).toBe(BigInt(ORIGIN.seconds) + 2_208_988_800n)
    })

    it("keeps the page of an earlier writer, its origin too, and takes over a sequence it left odd", () => {
      const page = newPage(writerKind)
      new ClockPageWriter(page.writable, writerKind).write(sample)
      const reader = new ClockPageReader(page.readable, readerKind)
      const curve = unsynchronisedCurve()
      const next = new ClockPageWriter(page.writable, writerKind)
      expect(next.origin).toEqual(ORIGIN)
      expect(reader.readInto(curve)).toBe(true)
      writeWord(page.writable, SEQUENCE_OFFSET, readWord(page.readable, SEQUENCE_OFFSET) | 1)
      expect(reader.readInto(curve)).toBe(false)
      next.write({ ...sample, stratum: 3 })
      expect(reader.readInto(curve)).toBe(true)
      expect(curve.stratum).toBe(3)
      expect(readWord(page.readable, SEQUENCE_OFFSET) % 2).toBe(0)
    })

    it("never shows half of one curve and half of another while another process writes", async () => {
      const page = newPage(writerKind)
      const reader = new ClockPageReader(page.readable, readerKind)
      const script = fileURLToPath(new URL("busy-writer.ts", import.meta.url))
      const child = fork(script, [writerKind], { stdio: ["ignore", "inherit", "inherit", "ipc", page.writable] })
      const ended = once(child, "exit")
      const deadline = performance.now() + PATIENCE_MS
      let isAsked = false
      const curve = unsynchronisedCurve()
      const seen = new Set<number>()
      let torn = 0
      while (child.exitCode === null && child.signalCode === null) {
        for (let read = 0; read < 2000; read++) {
          if (!reader.readInto(curve) || curve.referenceId === 0) continue
          seen.add(curve.referenceId)
          const same =
            curve.referenceId === curve.referenceSeconds &&
            curve.referenceId === curve.deadline &&
            curve.referenceId === curve.rootDelay &&
            curve.referenceId === curve.baseMonotonic
          if (!same) torn++
        }
        await nextTurn()
        if (isAsked || (seen.size < VALUES_SEEN && performance.now() < deadline)) continue
        isAsked = true
        child.disconnect()
      }
      expect((await ended)[0]).toBe(0)
      expect(torn).toBe(0)
      expect(seen.size).toBeGreaterThanOrEqual(VALUES_SEEN)
    })
  }
)

describe.each(kinds)("%s clock page", (kind) => {
  it("is a page long, and its readers cannot write it", () => {
    const { readable } = newPage(kind)
    expect(fstatSync(readable).size).toBe(PAGE_BYTES)
    expect(() => writeWord(readable, 0, 1)).toThrow(expect.objectContaining({ code: "EBADF" }))
  })

  it("is not read from what is shorter than a page, or from no descriptor at all", () => {
    const folder = mkdtempSync(join(tmpdir(), "meridian-page-"))
    cleanups.push(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, "short"), "clock")
    const descriptor = openSync(join(folder, "short"), "r+")
    cleanups.push(() => closeSync(descriptor))
    for (const number of [descriptor, -1]) {
      expect(() => new ClockPageReader(number, kind)).toThrow(ClockPageError)
      expect(() => new ClockPageWriter(number, kind)).toThrow(ClockPageError)
    }
  })

  it.each([
    ["another layout", LINE_FIELDS.layout.at, LINE_LAYOUT + 1],
    ["leap 4", LINE_FIELDS.leap.at, 4],
    ["stratum 0", LINE_FIELDS.stratum.at, 0],
    ["stratum 17", LINE_FIELDS.stratum.at, 17],
    ["a second of nanoseconds", LINE_FIELDS.originNanoseconds.at, 1_000_000_000]
  ])("is not believed with %s", (_what, at, value) => {
    const page = newPage(kind)
    new ClockPageWriter(page.writable, kind).write(sample)
    const reader = new ClockPageReader(page.readable, kind)
    const untouched = { ...sample, stratum: 9 }
    const held = { ...untouched }
    writeWord(page.writable, LINE_OFFSET + at, value)
    expect(reader.readInto(held)).toBe(false)
    expect(held).toEqual(untouched)
  })

  it("never makes its readers throw on random bytes", () => {
    const page = newPage(kind)
    const reader = new ClockPageReader(page.readable, kind)
    const length = LINE_OFFSET + LINE_BYTES
    fc.assert(
      fc.property(fc.uint8Array({ minLength: length, maxLength: length }), (bytes) => {
        writeSync(page.writable, bytes, 0, length, 0)
        expect(reader.read()).toBeUndefined()
      }),
      { numRuns: 300 }
    )
  })
})

describe("a page of memory", () => {
  it("cannot be made shorter or longer, whoever holds it", () => {
    const { writable } = newPage("native")
    for (const size of [0, 100, 2 * PAGE_BYTES])
      expect(() => ftruncateSync(writable, size)).toThrow(expect.objectContaining({ code: "EPERM" }))
  })

  it("has no name in any folder", () => {
    const { writable } = newPage("native")
    expect(readFileSync("/proc/self/maps", "utf8")).not.toContain("clock.page")
    expect(fstatSync(writable).nlink).toBe(0)
  })
})

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const lines: fc.Arbitrary<ClockLine> = fc.record({
  layout: fc.constant(LINE_LAYOUT),
  leap: fc.integer({ min: 0, max: 3 }),
  stratum: fc.integer({ min: 1, max: 16 }),
  referenceId: fc.nat(0xffff_ffff),
  baseMonotonic: fc.bigInt({ min: 0n, max: 10n ** 17n }),
  baseSeconds: fc.bigInt({ min: 0n, max: 2n ** 34n }),
  baseFraction: fc.nat(0xffff_ffff),
  referenceFraction: fc.nat(0xffff_ffff),
  referenceSeconds: u64,
  rate: fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n }),
  rootDelay: u64,
  rootDispersion: fc.bigInt({ min: 0n, max: 2n ** 62n }),
  dispersionRate: u64,
  deadline: u64,
  originSeconds: fc.constant(0n),
  originNanoseconds: fc.constant(0)
})

describe("the description in TypeScript", () => {
  const { addon } = loadNative()
  it("is the C header's", () => {
    const { bytes, lineAt, ...fields } = addon!.clockLineLayout
    expect([bytes, lineAt]).toEqual([LINE_BYTES, LINE_OFFSET])
    expect(fields).toEqual(Object.fromEntries(Object.entries(LINE_FIELDS).map(([name, { at }]) => [name, at])))
  })

  it("evaluates any line to the bits that C does, before base and after, whatever the rate", () => {
    const bytes = new Uint8Array(LINE_BYTES)
    const view = new DataView(bytes.buffer)
    const [inC, here] = [new Uint32Array(SERVED_NUMBERS), new Uint32Array(SERVED_NUMBERS)]
    fc.assert(
      fc.property(lines, fc.bigInt({ min: -(10n ** 12n), max: 10n ** 17n }), (line, elapsed) => {
        const monotonic = line.baseMonotonic + elapsed < 0n ? 0n : line.baseMonotonic + elapsed
        encodeLine(view, line)
        addon!.serveClockLine(bytes, monotonic, inC)
        serveLine(line, monotonic, here)
        expect([...here]).toEqual([...inC])
      }),
      { numRuns: 2_000 }
    )
  })
})
