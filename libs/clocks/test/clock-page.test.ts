/** The clock page between both kinds of writer and both kinds of reader, in one process and in two, and with garbage. */
import { fork } from "node:child_process"
import { once } from "node:events"
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate as nextTurn } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import fc from "fast-check"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { type ClockCurve, Leap, unsynchronisedCurve } from "@meridian/time/clock-curve"
import {
  ClockPageError,
  ClockPageReader,
  ClockPageWriter,
  FIELD,
  PAGE_BYTES,
  PAYLOAD_BYTES,
  SEQUENCE_OFFSET
} from "../src/clock-page.ts"

const kinds = ["native", "fallback"] as const
/** Of a writer that is at work all the while: enough for the two to meet in every way. */
const VALUES_SEEN = 200
let folder = ""
let pages = 0
const cleanups: Array<() => void> = []
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-page-"))
})
afterAll(() => rmSync(folder, { recursive: true }))
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const newPath = (): string => join(folder, `page-${pages++}`)

const openWriter = (path: string, kind: "native" | "fallback"): ClockPageWriter => {
  const writer = new ClockPageWriter(path, kind)
  cleanups.push(() => writer.close())
  return writer
}

const openReader = (path: string, kind: "native" | "fallback"): ClockPageReader => {
  const descriptor = openSync(path, "r")
  cleanups.push(() => closeSync(descriptor))
  return new ClockPageReader(descriptor, kind)
}

const sample: ClockCurve = {
  baseSeconds: 1_795_000_000,
  baseNanoseconds: 999_999_999,
  baseMonotonic: 12_345.25,
  offset: -0.001_25,
  frequency: 1.5e-6,
  leap: Leap.insert,
  stratum: 2,
  referenceId: 0xc0000201,
  referenceSeconds: -5,
  referenceNanoseconds: 7,
  rootDelay: 0.01,
  rootDispersion: 0.002,
  dispersionRate: 15e-6,
  deadline: 12_400
}

const nanoseconds = fc.integer({ min: 0, max: 999_999_999 })
const duration = fc.double({ min: 0, max: 1e9, noNaN: true })
const curves: fc.Arbitrary<ClockCurve> = fc.record({
  baseSeconds: fc.maxSafeInteger(),
  baseNanoseconds: nanoseconds,
  baseMonotonic: duration,
  offset: fc.double({ noNaN: true, noDefaultInfinity: true }),
  frequency: fc.double({ noNaN: true, noDefaultInfinity: true }),
  leap: fc.constantFrom(Leap.none, Leap.insert, Leap.delete, Leap.unsynchronised),
  stratum: fc.integer({ min: 1, max: 16 }),
  referenceId: fc.nat(0xffffffff),
  referenceSeconds: fc.maxSafeInteger(),
  referenceNanoseconds: nanoseconds,
  rootDelay: duration,
  rootDispersion: duration,
  dispersionRate: duration,
  deadline: fc.double({ noNaN: true })
})

describe.each(kinds.flatMap((writer) => kinds.map((reader) => [writer, reader] as const)))(
  "%s writer, %s reader",
  (writerKind, readerKind) => {
    it("carries any curve whole", () => {
      const path = newPath()
      const writer = openWriter(path, writerKind)
      const reader = openReader(path, readerKind)
      fc.assert(
        fc.property(curves, (curve) => {
          const read = unsynchronisedCurve()
          writer.write(curve)
          expect(reader.readInto(read)).toBe(true)
          expect(read).toEqual(curve)
        }),
        { numRuns: 200 }
      )
    })

    it("reads nothing from a page that was never written", () => {
      const path = newPath()
      openWriter(path, writerKind)
      const curve = { ...sample }
      expect(openReader(path, readerKind).readInto(curve)).toBe(false)
      expect(curve).toEqual(sample)
    })

    it("keeps the page of an earlier writer and takes over a sequence it left odd", () => {
      const path = newPath()
      openWriter(path, writerKind).write(sample)
      const reader = openReader(path, readerKind)
      const curve = unsynchronisedCurve()
      const next = openWriter(path, writerKind)
      expect(reader.readInto(curve)).toBe(true)
      const bytes = readFileSync(path)
      bytes.writeUInt32LE((bytes.readUInt32LE(SEQUENCE_OFFSET) | 1) >>> 0, SEQUENCE_OFFSET)
      writeFileSync(path, bytes, { flag: "r+" })
      expect(reader.readInto(curve)).toBe(false)
      next.write({ ...sample, stratum: 3 })
      expect(reader.readInto(curve)).toBe(true)
      expect(curve.stratum).toBe(3)
      expect(readFileSync(path).readUInt32LE(SEQUENCE_OFFSET) % 2).toBe(0)
    })

    it("never shows half of one curve and half of another while another process writes", async () => {
      const path = newPath()
      openWriter(path, writerKind)
      const reader = openReader(path, readerKind)
      const script = fileURLToPath(new URL("busy-writer.ts", import.meta.url))
      const child = fork(script, [path, writerKind])
      const ended = once(child, "exit")
      const deadline = performance.now() + PATIENCE_MS
      let isAsked = false
      const curve = unsynchronisedCurve()
      const seen = new Set<number>()
      let torn = 0
      while (child.exitCode === null && child.signalCode === null) {
        for (let read = 0; read < 2000; read++) {
          if (!reader.readInto(curve)) continue
          seen.add(curve.baseSeconds)
          const same =
            curve.baseSeconds === curve.referenceSeconds &&
            curve.baseSeconds === curve.deadline &&
            curve.baseSeconds === curve.referenceId &&
            curve.baseSeconds === curve.baseMonotonic
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
  const written = (): string => {
    const path = newPath()
    openWriter(path, kind).write(sample)
    return path
  }

  it("is a file of 4096 bytes that everyone may read and only its owner write", () => {
    const { size, mode } = statSync(written())
    expect(size).toBe(PAGE_BYTES)
    expect(mode & 0o777).toBe(0o644)
  })

  it.each([
    [
      "garbage",
      (path: string) =>
        writeFileSync(
          path,
          Uint8Array.from({ length: 9000 }, (_, index) => index * 31)
        )
    ],
    ["a short file", (path: string) => writeFileSync(path, "clock")],
    ["an empty file", (path: string) => writeFileSync(path, "")]
  ])("makes a page of %s", (_what, prepare) => {
    const path = newPath()
    prepare(path)
    const writer = openWriter(path, kind)
    const reader = openReader(path, kind)
    const curve = unsynchronisedCurve()
    expect(statSync(path).size).toBe(PAGE_BYTES)
    expect(reader.readInto(curve)).toBe(false)
    writer.write(sample)
    expect(reader.readInto(curve)).toBe(true)
    expect(curve).toEqual(sample)
  })

  it("refuses to read a file shorter than a page", () => {
    const path = written()
    truncateSync(path, 100)
    expect(() => openReader(path, kind)).toThrow(ClockPageError)
    expect(() => new ClockPageReader(-1, kind)).toThrow(ClockPageError)
  })

  it.each([
    ["a missing folder", () => join(folder, "none", "page"), "ENOENT"],
    ["a folder", () => folder, "EISDIR"]
  ])("refuses to write into %s", (_what, path, code) => {
    expect(() => new ClockPageWriter(path(), kind)).toThrow(expect.objectContaining({ _tag: "ClockPageError", code }))
  })

  it.each([
    ["another magic", FIELD.magicU64],
    ["another layout version", FIELD.layoutVersionU32],
    ["another boot", FIELD.bootId],
    ["a broken checksum", FIELD.checksumU32],
    ["a flipped bit in a number", FIELD.offset]
  ])("reads nothing from a page with %s", (_what, offset) => {
    const path = written()
    const reader = openReader(path, kind)
    const curve = unsynchronisedCurve()
    expect(reader.readInto(curve)).toBe(true)
    const bytes = readFileSync(path)
    bytes[offset]! ^= 1
    writeFileSync(path, bytes, { flag: "r+" })
    const untouched = { ...sample, stratum: 9 }
    const held = { ...untouched }
    expect(reader.readInto(held)).toBe(false)
    expect(held).toEqual(untouched)
  })

  it.each([
    { stratum: 0 },
    { stratum: 17 },
    { leap: 4 as Leap },
    { baseSeconds: Number.NaN },
    { baseNanoseconds: 1e9 },
    { referenceNanoseconds: -1 },
    { offset: Infinity },
    { frequency: Number.NaN },
    { rootDelay: -1 },
    { rootDispersion: Infinity },
    { dispersionRate: Number.NaN },
    { deadline: Number.NaN }
  ])("reads nothing from a page that says %j", (nonsense) => {
    const path = newPath()
    const writer = openWriter(path, kind)
    const reader = openReader(path, kind)
    writer.write({ ...sample, ...nonsense })
    expect(reader.readInto(unsynchronisedCurve())).toBe(false)
  })

  it("never throws on random bytes, and believes none of them", () => {
    const path = written()
    const reader = openReader(path, kind)
    const curve = unsynchronisedCurve()
    fc.assert(
      fc.property(fc.uint8Array({ minLength: PAYLOAD_BYTES + 4, maxLength: PAYLOAD_BYTES + 4 }), (bytes) => {
        writeFileSync(path, bytes, { flag: "r+" })
        expect(reader.readInto(curve)).toBe(false)
      }),
      { numRuns: 300 }
    )
  })
})
