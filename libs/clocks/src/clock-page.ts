/**
 * The clock page: how whoever keeps the clock publishes a {@link ClockCurve} to the workers. A file of 4096 bytes that
 * is mapped by both sides. Bytes 0 … 255 are the payload, the four after it a sequence lock: odd while the one writer is
 * at work. A reader takes what it copied only if the sequence was even and unchanged, and only if every field makes
 * sense. Without the addon the same bytes are read and written by pread and pwrite; the two kinds understand each other.
 *
 * A page names the boot it was written in: CLOCK_MONOTONIC starts again at each boot, so a deadline from before means
 * nothing. All fields are little-endian; f64 unless the name in {@link FIELD} says otherwise.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  writeSync
} from "node:fs"
import { type ClockCurve, type Leap, STRATUM_UNSYNCHRONISED } from "@meridian/time/clock-curve"
import { errnoName, loadNative } from "@meridian/system/native"

export const PAGE_BYTES = 4096
export const PAYLOAD_BYTES = 256
export const SEQUENCE_OFFSET = 256
export const LAYOUT_VERSION = 1

/** "MERIDCLK" */
const MAGIC_LOW = 0x4952454d
const MAGIC_HIGH = 0x4b4c4344

/** Byte offsets in the payload. */
export const FIELD = {
  magicU64: 0,
  layoutVersionU32: 8,
  leapU32: 12,
  bootId: 16,
  baseSeconds: 32,
  baseNanoseconds: 40,
  baseMonotonic: 48,
  offset: 56,
  frequency: 64,
  referenceSeconds: 72,
  referenceNanoseconds: 80,
  rootDelay: 88,
  rootDispersion: 96,
  dispersionRate: 104,
  deadline: 112,
  stratumU32: 120,
  referenceIdU32: 124,
  checksumU32: 252
} as const

const READ_ATTEMPTS = 64

/** The file cannot be opened or made into a clock page. `code` is the errno's name. */
export class ClockPageError extends Error {
  readonly _tag = "ClockPageError"
  readonly code: string

  constructor(what: string, code: string) {
    super(
      `expected to open the clock page ${what}, found ${code}: it must be a regular file, writable by its one writer`
    )
    this.code = code
  }
}

/** How the payload travels; `read` says whether the copy is whole. */
interface PageAccess {
  readonly write: (payload: Uint8Array) => void
  readonly read: (payload: Uint8Array) => boolean
  readonly close: () => void
}

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
    write: (payload) => {
      const odd = (sequence() | 1) >>> 0
      setSequence(odd)
      writeSync(descriptor, payload, 0, PAYLOAD_BYTES, 0)
      setSequence((odd + 1) >>> 0)
    },
    read: (payload) => {
      for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        const before = sequence()
        if ((before & 1) !== 0) continue
        if (readSync(descriptor, payload, 0, PAYLOAD_BYTES, 0) !== PAYLOAD_BYTES) return false
        if (sequence() === before) return true
      }
      return false
    },
    close: () => {}
  }
}

const openAccess = (descriptor: number, writable: boolean, kind: PageKind): PageAccess => {
  const { addon, reason } = loadNative()
  if (kind === "fallback" || (kind === "auto" && addon === undefined)) return descriptorAccess(descriptor)
  if (addon === undefined) throw new ClockPageError(`with the addon (${reason})`, "ENOSYS")
  return new addon.ClockPage(descriptor, writable)
}

/** FNV-1a over the payload's words before the checksum. It guards against torn copies and foreign bytes, not malice. */
const checksum = (view: DataView): number => {
  let hash = 0x811c9dc5
  for (let offset = 0; offset < FIELD.checksumU32; offset += 4)
    hash = Math.imul(hash ^ view.getUint32(offset, true), 0x01000193)
  return hash >>> 0
}

/** This boot's identity, 16 bytes; zeros where the system does not tell. */
const readBootId = (): Uint8Array => {
  const id = new Uint8Array(16)
  try {
    const text = readFileSync("/proc/sys/kernel/random/boot_id", "ascii").replaceAll(/[^0-9a-f]/g, "")
    for (let index = 0; index < 16; index++) id[index] = Number.parseInt(text.slice(index * 2, index * 2 + 2), 16)
  } catch {
    /** No /proc: deadlines of an earlier boot cannot be told apart there. */
  }
  return id
}

const encode = (view: DataView, bootId: Uint8Array, curve: ClockCurve): void => {
  view.setUint32(FIELD.magicU64, MAGIC_LOW, true)
  view.setUint32(FIELD.magicU64 + 4, MAGIC_HIGH, true)
  view.setUint32(FIELD.layoutVersionU32, LAYOUT_VERSION, true)
  view.setUint32(FIELD.leapU32, curve.leap, true)
  for (let index = 0; index < 16; index++) view.setUint8(FIELD.bootId + index, bootId[index]!)
  view.setFloat64(FIELD.baseSeconds, curve.baseSeconds, true)
  view.setFloat64(FIELD.baseNanoseconds, curve.baseNanoseconds, true)
  view.setFloat64(FIELD.baseMonotonic, curve.baseMonotonic, true)
  view.setFloat64(FIELD.offset, curve.offset, true)
  view.setFloat64(FIELD.frequency, curve.frequency, true)
  view.setFloat64(FIELD.referenceSeconds, curve.referenceSeconds, true)
  view.setFloat64(FIELD.referenceNanoseconds, curve.referenceNanoseconds, true)
  view.setFloat64(FIELD.rootDelay, curve.rootDelay, true)
  view.setFloat64(FIELD.rootDispersion, curve.rootDispersion, true)
  view.setFloat64(FIELD.dispersionRate, curve.dispersionRate, true)
  view.setFloat64(FIELD.deadline, curve.deadline, true)
  view.setUint32(FIELD.stratumU32, curve.stratum, true)
  view.setUint32(FIELD.referenceIdU32, curve.referenceId, true)
  view.setUint32(FIELD.checksumU32, checksum(view), true)
}

const isOurs = (view: DataView): boolean =>
  view.getUint32(FIELD.magicU64, true) === MAGIC_LOW &&
  view.getUint32(FIELD.magicU64 + 4, true) === MAGIC_HIGH &&
  view.getUint32(FIELD.layoutVersionU32, true) === LAYOUT_VERSION &&
  view.getUint32(FIELD.checksumU32, true) === checksum(view)

const isThisBoot = (view: DataView, bootId: Uint8Array): boolean => {
  for (let index = 0; index < 16; index++) if (view.getUint8(FIELD.bootId + index) !== bootId[index]) return false
  return true
}

const isNanoseconds = (value: number): boolean => value >= 0 && value < 1e9
const isDuration = (value: number): boolean => value >= 0 && value < Infinity

/** Whether the numbers can be a curve at all. Deadline alone may be infinite: a curve that vouches for nothing. */
const isSensible = (view: DataView): boolean => {
  const stratum = view.getUint32(FIELD.stratumU32, true)
  return (
    view.getUint32(FIELD.leapU32, true) <= 3 &&
    stratum >= 1 &&
    stratum <= STRATUM_UNSYNCHRONISED &&
    Number.isSafeInteger(view.getFloat64(FIELD.baseSeconds, true)) &&
    isNanoseconds(view.getFloat64(FIELD.baseNanoseconds, true)) &&
    isDuration(view.getFloat64(FIELD.baseMonotonic, true)) &&
    Number.isFinite(view.getFloat64(FIELD.offset, true)) &&
    Number.isFinite(view.getFloat64(FIELD.frequency, true)) &&
    Number.isSafeInteger(view.getFloat64(FIELD.referenceSeconds, true)) &&
    isNanoseconds(view.getFloat64(FIELD.referenceNanoseconds, true)) &&
    isDuration(view.getFloat64(FIELD.rootDelay, true)) &&
    isDuration(view.getFloat64(FIELD.rootDispersion, true)) &&
    isDuration(view.getFloat64(FIELD.dispersionRate, true)) &&
    !Number.isNaN(view.getFloat64(FIELD.deadline, true))
  )
}

const decodeInto = (view: DataView, curve: ClockCurve): void => {
  curve.leap = view.getUint32(FIELD.leapU32, true) as Leap
  curve.baseSeconds = view.getFloat64(FIELD.baseSeconds, true)
  curve.baseNanoseconds = view.getFloat64(FIELD.baseNanoseconds, true)
  curve.baseMonotonic = view.getFloat64(FIELD.baseMonotonic, true)
  curve.offset = view.getFloat64(FIELD.offset, true)
  curve.frequency = view.getFloat64(FIELD.frequency, true)
  curve.referenceSeconds = view.getFloat64(FIELD.referenceSeconds, true)
  curve.referenceNanoseconds = view.getFloat64(FIELD.referenceNanoseconds, true)
  curve.rootDelay = view.getFloat64(FIELD.rootDelay, true)
  curve.rootDispersion = view.getFloat64(FIELD.rootDispersion, true)
  curve.dispersionRate = view.getFloat64(FIELD.dispersionRate, true)
  curve.deadline = view.getFloat64(FIELD.deadline, true)
  curve.stratum = view.getUint32(FIELD.stratumU32, true)
  curve.referenceId = view.getUint32(FIELD.referenceIdU32, true)
}

/** Reads the page through a descriptor, which stays the caller's and must stay open as long as the reader. */
export class ClockPageReader {
  private readonly access: PageAccess
  private readonly payload = new Uint8Array(PAYLOAD_BYTES)
  private readonly view = new DataView(this.payload.buffer)
  private readonly bootId = readBootId()

  /** Throws {@link ClockPageError} for a descriptor that cannot be a page; garbage inside it is readInto's matter. */
  constructor(descriptor: number, kind: PageKind = "auto") {
    try {
      if (fstatSync(descriptor).size < PAGE_BYTES) throw new ClockPageError("for reading", "EINVAL")
      this.access = openAccess(descriptor, false, kind)
    } catch (error) {
      throw error instanceof ClockPageError ? error : new ClockPageError("for reading", errnoName(error))
    }
  }

  /**
   * Copies the published curve into `curve`. False, with `curve` untouched, if nothing usable stands there: never
   * written, torn, of another layout or boot, or nonsense. Allocates nothing.
   */
  readInto(curve: ClockCurve): boolean {
    const { view } = this
    const usable = this.access.read(this.payload) && isOurs(view) && isThisBoot(view, this.bootId) && isSensible(view)
    if (usable) decodeInto(view, curve)
    return usable
  }

  close(): void {
    this.access.close()
  }
}

/** Writes the page. There must be one writer at a time. */
export class ClockPageWriter {
  /** Open for reading and writing; may be handed to readers in this process or in children. */
  readonly descriptor: number
  private readonly access: PageAccess
  private readonly payload = new Uint8Array(PAYLOAD_BYTES)
  private readonly view = new DataView(this.payload.buffer)
  private readonly bootId = readBootId()
  private closed = false

  /**
   * Opens the page at `path`, or creates it (mode 0644). A page of this boot and layout is kept and readers go on with it;
   * anything else in the file is replaced by a page that holds no curve. The file is never made shorter than a page while
   * readers may have it mapped. Throws {@link ClockPageError}.
   */
  constructor(path: string, kind: PageKind = "auto") {
    let descriptor = -1
    try {
      descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o644)
      if (!fstatSync(descriptor).isFile()) throw new ClockPageError(path, "EINVAL")
      fchmodSync(descriptor, 0o644)
      ftruncateSync(descriptor, PAGE_BYTES)
      this.access = openAccess(descriptor, true, kind)
    } catch (error) {
      if (descriptor >= 0) closeSync(descriptor)
      throw error instanceof ClockPageError ? error : new ClockPageError(path, errnoName(error))
    }
    this.descriptor = descriptor
    const kept = this.access.read(this.payload) && isOurs(this.view) && isThisBoot(this.view, this.bootId)
    if (!kept) this.access.write(this.payload.fill(0))
  }

  /** Publishes a curve. Readers see it whole or not at all. */
  write(curve: ClockCurve): void {
    encode(this.view, this.bootId, curve)
    this.access.write(this.payload)
  }

  /** Closes the descriptor. The page stays, and readers keep what it holds until its deadline. May be called again. */
  close(): void {
    if (this.closed) return
    this.closed = true
    this.access.close()
    closeSync(this.descriptor)
  }
}

/** The page at `path` for its one writer; see {@link ClockPageWriter}. */
export const openClockPageWriter = (path: string): ClockPageWriter => new ClockPageWriter(path)

/** The page behind a descriptor, to be read; see {@link ClockPageReader}. */
export const openClockPageReader = (descriptor: number): ClockPageReader => new ClockPageReader(descriptor)
