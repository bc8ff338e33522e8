/** Addresses and prefixes: none is taken that the system's own parser refuses, and the canonical text is itself. */
import assert from "node:assert/strict"
import { isIP } from "node:net"
import { parseAddress, parsePrefix } from "../../../libs/config/src/address.ts"

export const seeds = (): readonly Uint8Array[] =>
  ["192.0.2.1", "::1", "fe80::1%eth0", "::ffff:192.0.2.1", "10.0.0.0/8", "2001:db8::/32", "0/0"].map((text) =>
    Buffer.from(text)
  )

export const fuzz = (data: Buffer): void => {
  const text = data.toString("latin1")
  const prefix = parsePrefix(text)
  if (prefix !== undefined) assert.ok(prefix.length <= prefix.address.bytes.length * 8)
  const address = parseAddress(text)
  if (address === undefined) return
  // Interfaces may have names that Node takes for no zone.
  assert.equal(isIP(text.split("%", 1)[0] ?? ""), address.family, text)
  assert.deepEqual(parseAddress(address.text), address)
}
