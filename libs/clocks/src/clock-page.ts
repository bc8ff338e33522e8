/**
 * The clock page: how whoever keeps the clock publishes it to everybody who serves by it. It is one page of memory that
 * the supervisor makes and hands on as a descriptor: to the clock's process to write, to all others to read. Nobody can
 * make it shorter (it is sealed), and nobody can remove it, for it has no name; a clock's process that starts anew goes on with the
 * same page. What stands on it is a {@link ClockLine} under a sequence lock; see native/clock-page.h.
 *
 * Without the addon it is a file that has no name any more, read and written by pread and pwrite.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  writeSync
} from "@meridian/system/files"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { errnoWords } from "@meridian/system/errno-words"
import { errnoName, loadNative, type NativeAddon } from "@meridian/system/native"
import { type ClockCurve, unsynchronisedCurve } from "@meridian/time/clock-curve"
import {
  type ClockLine,
  curveOf,
  decodeLine,
  encodeLine,
  isLineGood,
  LINE_BYTES,
  lineAt,
  lineOf,
  monotonicNanoseconds,
  originOf,
  type ServedMoment,
  serveLine,
  unixSecondsOf
} from "@meridian/time/clock-line"
import type { UnixTime } from "@meridian/time/timestamp"
import { NOW_MONOTONIC_SECONDS, NOW_REALTIME_NANOSECONDS, NOW_REALTIME_SECONDS, systemClock } from "./system-clock.ts"

export const PAGE_BYTES = 4096
export const SEQUENCE_OFFSET = 0
export const LINE_OFFSET = 8

const READ_ATTEMPTS = 64

/** The page cannot be made or mapped. `code` is the errno's name. */
export class ClockPageError extends Error {
  readonly _tag = "ClockPageError"
  readonly code: string

  constructor(what: string, code: string) {
    super(
      `expected ${what}, found that ${errnoWords(code)}: the supervisor makes the page and hands it on as a descriptor`
    )
    this.code = code
  }
}

/** How the line's bytes travel; `read` says whether the copy is whole. */
type PageAccess = InstanceType<NativeAddon["ClockPage"]>

/** Which implementation to use; "auto" takes the addon where there is one. */
export type PageKind = "auto" | "native" | "fallback"

const descriptorAccess = (descriptor: number): PageAccess => {
  const word = new Uint8Array(4)
  const sequenceView = new DataView(word.buffer)
  const sequence = (): number => {
    word.fill(255)
    readSync(descriptor, word, 0, 4, SEQUENCE_OFFSET)
    return sequenceView.getUint32(0, true)
  }
  const setSequence = (value: number): void => {
    sequenceView.setUint32(0, value, true)
    writeSync(descriptor, word, 0, 4, SEQUENCE_OFFSET)
  }
  return {
    write: (line) => {
      const odd = (sequence() | 1) >>> 0
      setSequence(odd)
      writeSync(descriptor, line, 0, LINE_BYTES, LINE_OFFSET)
      setSequence((odd + 1) >>> 0)
    },
    read: (line) => {
      for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        const before = sequence()
        if ((before & 1) !== 0) continue
        if (readSync(descriptor, line, 0, LINE_BYTES, LINE_OFFSET) !== LINE_BYTES) return false
        if (sequence() === before) return true
      }
      return false
    },
    close: () => {}
  }
}

const openAccess = (descriptor: number, writable: boolean, kind: PageKind): PageAccess => {
  const what = `a clock page to ${writable ? "write" : "read"} behind descriptor ${descriptor}`
  try {
    const { addon, reason } = loadNative()
    if (kind === "fallback" || (kind === "auto" && addon === undefined)) {
      if (fstatSync(descriptor).size < PAGE_BYTES) throw new ClockPageError(what, "EINVAL")
      return descriptorAccess(descriptor)
    }
    if (addon === undefined) throw new ClockPageError(`the addon (${reason})`, "ENOSYS")
    return new addon.ClockPage(descriptor, writable)
  } catch (error) {
    throw error instanceof ClockPageError ? error : new ClockPageError(what, errnoName(error))
  }
}

/** A file that is gone from its folder before anybody else could look for it. */
const makeNamelessFile = (): { readonly writable: number; readonly readable: number } => {
  const path = join(tmpdir(), `meridian-clock-page-${process.pid}-${Math.random().toString(36).slice(2)}`)
  const writable = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
  try {
    ftruncateSync(writable, PAGE_BYTES)
    return { writable, readable: openSync(path, "r") }
  } finally {
    rmSync(path, { force: true })
  }
}

/** Where /proc is not to be had, readers are given what the writer has; they map it for reading all the same. */
const reopenForReading = (writable: number): number => {
  try {
    return openSync(`/proc/self/fd/${writable}`, "r")
  } catch {
    return writable
  }
}

/** Unix time at CLOCK_MONOTONIC 0, by CLOCK_REALTIME as it is now. */
export const originNow = (): UnixTime => {
  const now = new Float64Array(3)
  systemClock().readClocks(now)
  const realtime = { seconds: now[NOW_REALTIME_SECONDS]!, nanoseconds: now[NOW_REALTIME_NANOSECONDS]! }
  return originOf(realtime, now[NOW_MONOTONIC_SECONDS]!)
}

export interface ClockPageDescriptors {
  /** For the one writer. */
  readonly writable: number
  /** For everybody else. */
  readonly readable: number
}

/**
 * Makes a page. It says what CLOCK_REALTIME says now and vouches for nothing, until somebody writes. The descriptors are the
 * caller's. Throws {@link ClockPageError}.
 * @param origin Unix time at CLOCK_MONOTONIC 0
 */
export const makeClockPage = (origin: UnixTime = originNow(), kind: PageKind = "auto"): ClockPageDescriptors => {
  let descriptors: ClockPageDescriptors
  try {
    const { addon } = loadNative()
    if (kind === "fallback" || addon === undefined) descriptors = makeNamelessFile()
    else {
      const writable = addon.makeClockPage()
      descriptors = { writable, readable: reopenForReading(writable) }
    }
  } catch (error) {
    throw new ClockPageError("to make a clock page", errnoName(error))
  }
  beginClockPage(descriptors.writable, origin, kind)
  return descriptors
}

/** Writes to an empty page what {@link makeClockPage} makes one with. Throws {@link ClockPageError}. */
export const beginClockPage = (writable: number, origin: UnixTime = originNow(), kind: PageKind = "auto"): void => {
  const writer = new ClockPageWriter(writable, kind)
  writer.begin(origin)
  writer.close()
}

/** Closes both descriptors. */
export const closeClockPage = ({ writable, readable }: ClockPageDescriptors): void => {
  closeSync(writable)
  if (readable !== writable) closeSync(readable)
}

/** Reads the page behind a descriptor, which stays the caller's and must stay open as long as the reader. */
export class ClockPageReader {
  private readonly access: PageAccess
  private readonly bytes = new Uint8Array(LINE_BYTES)
  private readonly view = new DataView(this.bytes.buffer)

  /** Throws {@link ClockPageError} for a descriptor that cannot be a page; garbage on it is read's matter. */
  constructor(descriptor: number, kind: PageKind = "auto") {
    this.access = openAccess(descriptor, false, kind)
  }

  /** The line that stands there; undefined if nothing usable does: never written, torn, of another layout, or nonsense. */
  read(): ClockLine | undefined {
    return this.access.read(this.bytes) ? decodeLine(this.view) : undefined
  }

  /** The same as a curve, into `curve`; false, with `curve` untouched, if nothing usable stands there. */
  readInto(curve: ClockCurve): boolean {
    const line = this.read()
    if (line !== undefined) curveOf(line, curve)
    return line !== undefined
  }

  close(): void {
    this.access.close()
  }
}

/** Writes the page behind a descriptor, which stays the caller's. There must be one writer at a time. */
export class ClockPageWriter {
  /** Unix time at CLOCK_MONOTONIC 0, from which offsets of curves are counted: the same for every writer of this page. */
  origin: UnixTime
  private readonly access: PageAccess
  private readonly bytes = new Uint8Array(LINE_BYTES)
  private readonly view = new DataView(this.bytes.buffer)

  /** Goes on with what stands there. Throws {@link ClockPageError}. */
  constructor(descriptor: number, kind: PageKind = "auto") {
    this.access = openAccess(descriptor, true, kind)
    const line = this.access.read(this.bytes) ? decodeLine(this.view) : undefined
    if (line === undefined) this.origin = originNow()
    else this.origin = { seconds: Number(line.originSeconds), nanoseconds: line.originNanoseconds }
  }

  /** Publishes a curve. Readers see it whole or not at all. */
  write(curve: ClockCurve): void {
    encodeLine(this.view, lineOf(curve, this.origin))
    this.access.write(this.bytes)
  }

  /** Begins anew from another origin, with a line that vouches for nothing: after the machine slept, when CLOCK_MONOTONIC stood still. */
  begin(origin: UnixTime = originNow()): void {
    this.origin = origin
    this.write(unsynchronisedCurve())
  }

  /** The page stays, and readers keep what it holds until its deadline. */
  close(): void {
    this.access.close()
  }
}

/** The page behind a descriptor for its one writer; see {@link ClockPageWriter}. */
export const openClockPageWriter = (descriptor: number): ClockPageWriter => new ClockPageWriter(descriptor)

/** The page behind a descriptor, to be read; see {@link ClockPageReader}. */
export const openClockPageReader = (descriptor: number): ClockPageReader => new ClockPageReader(descriptor)

/** Served time outside a socket's batches: for keys, certificates and rotations, and for replies that are written later. */
export interface ServedClock {
  /** What replies say now; `now` gets served time as whole Unix seconds and CLOCK_MONOTONIC in seconds, as a socket's has them. */
  readonly read: (moment: ServedMoment, now: Float64Array) => void
  /** Unix seconds with their fraction. Without a source it is CLOCK_REALTIME as it was when the node started, and runs on from there. */
  readonly unix: () => number
  /** Whether it is good time. */
  readonly isGood: () => boolean
}

/** The clock of a page. */
export const servedClock = (reader: ClockPageReader): ServedClock => {
  const { monotonic } = systemClock()
  /** Until something stands on the page: CLOCK_REALTIME as it is now, good time to nobody. */
  let line = lineOf(unsynchronisedCurve(), originNow())
  const renew = (): ClockLine => (line = reader.read() ?? line)
  return {
    read: (moment, now) => {
      const seconds = monotonic.seconds()
      const nanoseconds = monotonicNanoseconds(seconds)
      serveLine(renew(), nanoseconds, moment)
      now[0] = unixSecondsOf(lineAt(line, nanoseconds))
      now[1] = seconds
    },
    unix: () => {
      const units = lineAt(renew(), monotonicNanoseconds(monotonic.seconds()))
      return unixSecondsOf(units) + Number(units & 0xffff_ffffn) / 2 ** 32
    },
    isGood: () => isLineGood(renew(), monotonicNanoseconds(monotonic.seconds()))
  }
}

/** Unix seconds by the page behind a descriptor; by CLOCK_REALTIME where a process was handed none. */
export const unixClock = (descriptor: number | undefined): (() => number) =>
  descriptor === undefined ? () => Date.now() / 1e3 : servedClock(openClockPageReader(descriptor)).unix
