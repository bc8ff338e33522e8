/** What gpsd writes to a SOCK reference clock. */
import { SOCK_MAGIC, SOCK_SAMPLE_BYTES, type SockSample } from "@meridian/wire/sock-sample"

/** The datagram of 64-bit writers. */
export const encodeSockSample = (sample: SockSample, littleEndian: boolean): Uint8Array => {
  const bytes = new Uint8Array(SOCK_SAMPLE_BYTES)
  const view = new DataView(bytes.buffer)
  view.setBigInt64(0, BigInt(sample.system.seconds), littleEndian)
  view.setBigInt64(8, BigInt(Math.trunc(sample.system.nanoseconds / 1_000)), littleEndian)
  view.setFloat64(16, sample.offset, littleEndian)
  view.setInt32(24, sample.pulse ? 1 : 0, littleEndian)
  view.setInt32(28, sample.leap, littleEndian)
  view.setInt32(36, SOCK_MAGIC, littleEndian)
  return bytes
}
