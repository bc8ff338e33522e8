/**
 * The datagram of the SOCK protocol, by which gpsd and others give chronyd samples of a reference clock. It is a C struct in
 * the byte order of the machine:
 *
 *   64-bit  32-bit  field
 *   0  i64  0  i32  seconds      CLOCK_REALTIME of the sample
 *   8  i64  4  i32  microseconds
 *   16 f64  8  f64  offset       true time minus CLOCK_REALTIME, seconds
 *   24 i32  16 i32  pulse        not 0: a pulse, whose second is not known
 *   28 i32  20 i32  leap         0 none, 1 insert, 2 delete, 3 not synchronised
 *   32 i32  24 i32  padding
 *   36 i32  28 i32  magic
 */
import type { UnixTime } from "@meridian/time/timestamp"

export const SOCK_MAGIC = 0x534f434b
export const SOCK_SAMPLE_BYTES = 40
/** From writers with a time_t of 32 bits. */
export const SOCK_SAMPLE_BYTES_32 = 32

export interface SockSample {
  readonly system: UnixTime
  /** Seconds. */
  readonly offset: number
  readonly pulse: boolean
  readonly leap: number
}

/** Why a datagram is no sample. */
type SockProblem = "length" | "magic" | "microseconds" | "not-finite"

/** @param length of the datagram, which may be more than was kept of it */
export const decodeSockSample = (
  bytes: Uint8Array,
  length: number,
  littleEndian: boolean
): SockSample | SockProblem => {
  const isWide = length === SOCK_SAMPLE_BYTES
  if ((!isWide && length !== SOCK_SAMPLE_BYTES_32) || bytes.length < length) return "length"
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  if (view.getInt32(length - 4, littleEndian) !== SOCK_MAGIC) return "magic"
  const seconds = isWide ? Number(view.getBigInt64(0, littleEndian)) : view.getInt32(0, littleEndian)
  const microseconds = isWide ? Number(view.getBigInt64(8, littleEndian)) : view.getInt32(4, littleEndian)
  if (!(microseconds >= 0 && microseconds < 1e6)) return "microseconds"
  const offset = view.getFloat64(isWide ? 16 : 8, littleEndian)
  if (!Number.isFinite(offset)) return "not-finite"
  return {
    system: { seconds, nanoseconds: microseconds * 1_000 },
    offset,
    pulse: view.getInt32(length - 16, littleEndian) !== 0,
    leap: view.getInt32(length - 12, littleEndian)
  }
}
