import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isLoopback, isWildcard, mappedIpv4, parseAddress, parsePrefix, prefixContains } from "@meridian/config/address"

describe("parseAddress", () => {
  it.each([
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"],
    ["2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["0:0:1:0:0:0:1:1", "0:0:1::1:1"],
    ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
    ["::ffff:c000:201", "::ffff:192.0.2.1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["FE80:0::1%12", "fe80::1%12"]
  ])("reads %s as %s", (text, canonical) => {
    expect(parseAddress(text)?.text).toBe(canonical)
  })

  it.each([
    "",
    "1.2.3",
    "1.2.3.4.5",
    "256.0.0.1",
    "01.2.3.4",
    "1.2.3.4 ",
    "0x7f.0.0.1",
    "127.1",
    "1.2.3.-4",
    ":",
    ":::",
    "1::2::3",
    ":1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "12345::",
    "g::1",
    "::1.2.3",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "fe80::1%",
    "fe80::1%a/b",
    "1.2.3.4%eth0",
    "[::1]",
    "localhost",
    "::1/128"
  ])("refuses %j", (text) => {
    expect(parseAddress(text)).toBeUndefined()
  })

  it("reads the canonical text of any IPv6 address back to the same bytes, and canonical it stays", () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }))
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const written = groups.map((one) => one.toString(16).toUpperCase().padStart(4, "0")).join(":")
        const address = parseAddress(written)
        expect(address?.bytes).toEqual(groups.flatMap((one) => [one >> 8, one & 0xff]))
        expect(parseAddress(address!.text)).toEqual(address)
      })
    )
  })

  it("writes IPv6 as the WHATWG URL parser does, mapped addresses aside", () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }))
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const written = groups.map((one) => one.toString(16)).join(":")
        const address = parseAddress(written)!
        fc.pre(mappedIpv4(address) === undefined)
        expect(`[${address.text}]`).toBe(new URL(`http://[${written}]`).hostname)
      })
    )
  })
})

describe("prefixes and kinds", () => {
  it.each([
    ["192.0.2.0/24", "192.0.2.255", true],
    ["192.0.2.0/24", "192.0.3.0", false],
    ["192.0.2.128/25", "192.0.2.127", false],
    ["0.0.0.0/0", "8.8.8.8", true],
    ["0.0.0.0/0", "::1", false],
    ["2001:db8::/33", "2001:db8:7fff::", true],
    ["2001:db8::/33", "2001:db8:8000::", false],
    ["::1/128", "::1", true]
  ])("%s contains %s: %s", (prefix, address, contained) => {
    expect(prefixContains(parsePrefix(prefix)!, parseAddress(address)!)).toBe(contained)
  })

  it.each(["1.2.3.4", "1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/08", "x/8"])(
    "%s is no prefix",
    (text) => {
      expect(parsePrefix(text)).toBeUndefined()
    }
  )

  it("knows wildcards, loopback and mapped addresses", () => {
    const kind = (text: string) => {
      const address = parseAddress(text)!
      return [isWildcard(address), isLoopback(address), mappedIpv4(address)?.text]
    }
    expect(kind("0.0.0.0")).toEqual([true, false, undefined])
    expect(kind("::")).toEqual([true, false, undefined])
    expect(kind("127.9.9.9")).toEqual([false, true, undefined])
    expect(kind("::1")).toEqual([false, true, undefined])
    expect(kind("::2")).toEqual([false, false, undefined])
    expect(kind("::ffff:7f00:1")).toEqual([false, false, "127.0.0.1"])
  })
})
