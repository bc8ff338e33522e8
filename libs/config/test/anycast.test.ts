/** The lines about routes and draining: what they come to, what is wrong with them, and that they can be written again. */
import { describe, expect, it } from "vitest"
import { networkOf, parsePrefix } from "../src/address.ts"
import { parseText } from "../src/parse.ts"
import { describeSettings, renderSettings } from "../src/rendering.ts"
import { effectiveSettings, type Overrides } from "../src/settings.ts"

const settle = (text: string, overrides: Overrides = {}) => {
  const { statements, diagnostics } = parseText("ntp.conf", text)
  const effective = effectiveSettings(statements, overrides, { cores: 2, interfaces: [] })
  return {
    settings: effective.settings,
    anycast: effective.settings.anycast,
    messages: [...diagnostics, ...effective.diagnostics].map(({ severity, message }) => `${severity}: ${message}`)
  }
}

const whole = [
  "anycast address 192.0.2.1 device meridian0",
  "anycast address 2001:db8::123/48 bird /run/bird.ctl protocol ntp4",
  "anycast protocol ntp6 protocol ntp6",
  "anycast exabgp /run/meridian/exabgp.sock frr 65001 vtysh /opt/vtysh script /etc/meridian/route",
  "anycast rise 30 fall 2.5 maxerror 0.05 maxrate 200000",
  "drain wait 20 grace 5 onstop"
].join("\n")

describe("anycast", () => {
  it("announces nothing and waits for nothing without a line", () => {
    const { anycast, messages } = settle("")
    expect(messages).toEqual([])
    expect(anycast.addresses).toEqual([])
    expect([anycast.drainWait.value, anycast.drainGrace.value, anycast.drainOnStop.value]).toEqual([0, 0, false])
  })

  it("adds its lines up, with what is not said as it is by default", () => {
    const { anycast, messages } = settle("anycast address 192.0.2.1\nanycast address 192.0.2.1/32 protocol ntp4")
    expect(messages).toEqual([])
    expect(anycast.addresses.map(({ value }) => `${value.address.text}/${value.length}`)).toEqual(["192.0.2.1/32"])
    expect(anycast.birdSocket.value).toBe("/run/bird/bird.ctl")
    expect([anycast.rise.value, anycast.fall.value, anycast.maximumError.value]).toEqual([10, 0.7, 0.5])
    expect([anycast.drainWait.value, anycast.drainGrace.value]).toEqual([10, 10])
  })

  it("is written as it was read", () => {
    const { settings, messages } = settle(whole)
    // The second `protocol` of a line is the one that counts.
    expect(messages).toEqual([
      "warning: 'protocol' is given twice on this line; the last one counts",
      expect.stringMatching(/^warning: FRR follows the device by itself/)
    ])
    const again = settle(renderSettings(settings))
    expect(again.messages).toHaveLength(1)
    const text = ({ settings: of }: typeof again): readonly string[] =>
      describeSettings(of)
        .map(({ directive, value }) => `${directive} ${value}`)
        .filter((line) => /^(?:anycast|drain)/.test(line))
    expect(text(again)).toEqual(text(settle(whole)))
    expect(text(again)).toHaveLength(17)
  })

  it("drains at SIGTERM by the flag too", () => {
    expect(settle("", { drain: true }).anycast.drainOnStop).toEqual({
      value: true,
      origin: { kind: "flag", flag: "drain" }
    })
  })

  it.each([
    ["anycast rise 1", /error: no service address is named; add the line: anycast address/],
    ["anycast address 192.0.2.1", /warning: nobody announces the route; add one of/],
    ["anycast address 192.0.2.1 bird /run/bird.ctl", /error: BIRD is not told which protocol carries the route/],
    ["anycast address fe80::1%eth0", /error: .*expected an address/],
    ["anycast address 192.0.2.1/33", /error: .*expected an address/],
    ["anycast address 192.0.2.1/0", /error: .*at least 8 bits/],
    ["anycast address 192.0.2.1/7", /error: .*at least 8 bits/],
    ["anycast address 2001:db8::1/15", /error: .*at least 16 bits/],
    ["anycast address 0.0.0.0", /error: .*no address that routers lead to a host/],
    ["anycast address ::", /error: .*no address that routers lead to a host/],
    ["anycast address 127.0.0.1", /error: .*no address that routers lead to a host/],
    ["anycast address ::1", /error: .*no address that routers lead to a host/],
    ["anycast address 224.0.1.1", /error: .*no address that routers lead to a host/],
    ["anycast address ff05::101", /error: .*no address that routers lead to a host/],
    ["anycast address fe80::1", /error: .*no address that routers lead to a host/],
    ["anycast address ::ffff:192.0.2.1", /error: .*no address that routers lead to a host/],
    ["anycast address 192.0.2.1 protocol ntp-4", /error: .*expected the name of a protocol in bird.conf/],
    ["anycast address 192.0.2.1 device a/b", /error: .*expected the name of a network device/],
    ["anycast address 192.0.2.1 frr 0", /error: .*expected a whole number from 1 to 4294967294/],
    ["drain", /error: found the end of the line, expected an option of 'drain'/]
  ])("%s", (line, expected) => {
    expect(settle(line).messages.join("\n")).toMatch(expected)
  })
})

it.each([
  ["192.0.2.77/24", "192.0.2.0"],
  ["192.0.2.77/32", "192.0.2.77"],
  ["192.0.2.77/0", "0.0.0.0"],
  ["10.255.255.255/9", "10.128.0.0"],
  ["2001:db8:ffff::1/33", "2001:db8:8000::"],
  ["2001:db8::1/128", "2001:db8::1"]
])("the network of %s is %s", (prefix, network) => {
  expect(networkOf(parsePrefix(prefix)!).text).toBe(network)
})
