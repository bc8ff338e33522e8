/** The packets of the table's probes. */
import type { Packet } from "./table.ts"

const FIRST_BYTES: Record<Packet, number> = {
  client: (4 << 3) | 3,
  client3: (3 << 3) | 3,
  client1: (1 << 3) | 3,
  /** ntpq's version 2 */
  query: (2 << 3) | 6,
  peer: (4 << 3) | 1,
  passive: (4 << 3) | 2
}

/** A time request of 48 bytes, or READVAR of the system. */
export const request = (packet: Packet): Uint8Array => {
  const bytes = new Uint8Array(packet === "query" ? 12 : 48)
  bytes[0] = FIRST_BYTES[packet]
  if (packet === "query") bytes.set([2, 0, 1], 1)
  else bytes.set([1, 2, 3, 4, 5, 6, 7, 8], 40)
  return bytes
}
