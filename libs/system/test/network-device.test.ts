/** What network devices refuse, in words; that they do what they are told is seen in services/anycast/test, in networks of their own. */
import { expect, it } from "vitest"
import { loadNative } from "../src/native.ts"
import { addAddress, bringUp, openTunnel, setTunnelLink } from "../src/network-device.ts"

const address = Uint8Array.of(192, 0, 2, 1)

it("says what is wrong with a device", () => {
  expect(() => addAddress("no-such-dev", address, "192.0.2.1")).toThrow(
    /^192\.0\.2\.1 cannot be put on no-such-dev: (?:there is no such device|only root)/
  )
  expect(() => bringUp("no-such-dev")).toThrow("the device no-such-dev cannot be brought up: there is no such device")
  // The loopback is no TUN; without the right, or the file, that is what is said.
  expect(() => openTunnel("lo")).toThrow(/^the device lo cannot be opened: /)
  expect(() => setTunnelLink(-1, true)).toThrow(
    "the device's link cannot be changed: it was closed, or is not of the kind expected"
  )
})

it("takes nothing in C that is not what it should be", () => {
  const { addon } = loadNative()
  const { openTunnel: open, setTunnelLink: link, bringUp: bring, changeAddress: change } = addon!
  const wrong: readonly (() => unknown)[] = [
    () => open(""),
    () => open("longer-than-fifteen-octets"),
    () => bring("x".repeat(16)),
    () => link("1" as unknown as number, true),
    () => link(1, 1 as unknown as boolean),
    () => change("lo", new Uint8Array(5), true),
    () => change("lo", new Uint32Array(1) as unknown as Uint8Array, true),
    () => change("lo", address, "yes" as unknown as boolean),
    () => change("", address, true)
  ]
  for (const call of wrong) expect(call).toThrow(TypeError)
})
