import { describe, expect, it } from "vitest"
import { closesLoop, inZoneOf, referenceIdOfAddress, servedFrom } from "../src/source-identity.ts"

describe("the reference id of an address", () => {
  it("is an IPv4 address itself", () => {
    expect(referenceIdOfAddress("192.0.2.129")).toBe(0xc0000281)
    expect(referenceIdOfAddress("255.255.255.255")).toBe(0xffffffff)
  })

  it("is the start of the MD5 of the sixteen bytes of an IPv6 address, however it is written", () => {
    // printf '\x20\x01\x0d\xb8…\x01' | md5sum
    expect(referenceIdOfAddress("2001:db8::1")).toBe(0x39ab9b37)
    expect(referenceIdOfAddress("2001:0db8:0:0:0:0:0:1")).toBe(referenceIdOfAddress("2001:db8::1"))
    expect(referenceIdOfAddress("fe80::1%eth0")).toBe(referenceIdOfAddress("fe80::1"))
    expect(referenceIdOfAddress("::ffff:192.0.2.1")).toBe(referenceIdOfAddress("::ffff:c000:201"))
    expect(referenceIdOfAddress("::")).not.toBe(referenceIdOfAddress("::1"))
  })
})

describe("a timing loop", () => {
  const ours = (id: number): boolean => id === 0xc0000201

  it("is a source that follows us, or whom we follow", () => {
    expect(closesLoop(3, 0xc0000201, ours, undefined)).toBe(true)
    expect(closesLoop(3, 0xc0000202, ours, 0xc0000202)).toBe(true)
    expect(closesLoop(3, 0xc0000202, ours, undefined)).toBe(false)
  })

  it("is not one of stratum 1, whose reference id is no address, and not loopback, which everybody has", () => {
    expect(closesLoop(1, 0xc0000201, ours, undefined)).toBe(false)
    expect(closesLoop(3, 0x7f000001, () => true, 0x7f000001)).toBe(false)
  })
})

describe("the address that a source is spoken to from", () => {
  const serving = ["127.0.0.1", "::1", "192.0.2.1", "fe80::a%eth1", "2001:db8::1", "fe80::a%eth0"].map((address) => ({
    address
  }))
  it.each([
    ["198.51.100.1", "192.0.2.1"],
    ["127.0.0.1", "127.0.0.1"],
    ["2001:db8::9", "2001:db8::1"],
    ["::1", "::1"],
    ["fe80::b%eth0", "fe80::a%eth0"],
    ["fe80::b%eth7", undefined]
  ])("to %s is %s", (address, own) => expect(servedFrom(serving, address)).toBe(own))

  it("has the zone of whoever asked it, where the packet names it without", () => {
    expect(inZoneOf("fe80::a", "fe80::b%3")).toBe("fe80::a%3")
    expect(inZoneOf("2001:db8::1", "fe80::b%3")).toBe("2001:db8::1")
    expect(inZoneOf("192.0.2.1", "198.51.100.1")).toBe("192.0.2.1")
  })
})
