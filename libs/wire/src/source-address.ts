/**
 * Where senders' addresses lie in a batch: the kernel's sockaddr_in and sockaddr_in6 (Linux), {@link SOURCE_STRIDE} bytes apart.
 * Port and address are in network order.
 */

/** Bytes from one sender's sockaddr to the next: a sockaddr_in6, or a sockaddr_in in its first 16 bytes. */
export const SOURCE_STRIDE = 28

const PORT_AT = 2
const IPV4_AT = 4
const IPV6_AT = 8

/** Where a slot's address begins: 4 bytes of IPv4 or 16 of IPv6. */
export const sourceAddressAt = (slot: number, family: 4 | 6): number =>
  slot * SOURCE_STRIDE + (family === 4 ? IPV4_AT : IPV6_AT)

/** A slot's UDP port. */
export const sourcePort = (sources: Uint8Array, slot: number): number => {
  const at = slot * SOURCE_STRIDE + PORT_AT
  return (sources[at]! << 8) | sources[at + 1]!
}
