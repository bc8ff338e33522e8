/** Lines about broadcast, multicast and manycast, and what they come to. */
import { describe, expect, it } from "vitest"
import { loadSettings } from "../src/load.ts"
import { renderSettings } from "../src/rendering.ts"

const load = (text: string) =>
  loadSettings({
    file: "ntp.conf",
    readFile: () => ({ ok: true, bytes: new TextEncoder().encode(text) }),
    overrides: {},
    machine: { cores: 1, interfaces: [] }
  })
const settle = (text: string) => {
  const { settings, diagnostics } = load(text)
  return { settings, messages: diagnostics.map(({ severity, message }) => `${severity}: ${message}`) }
}

describe("broadcast", () => {
  it("takes an address with its options, as many times as there are networks", () => {
    const { settings, messages } = settle(
      ["broadcast 192.0.2.255 key 5 minpoll 4", "broadcast -6 ff05::101 ttl 5", "broadcast 224.0.1.1 version 3"].join(
        "\n"
      )
    )
    expect(messages.filter((message) => !/root distance/.test(message))).toEqual([])
    const lines = settings.broadcast.broadcasts.map(({ value }) => value)
    expect(lines).toMatchObject([
      { address: "192.0.2.255", key: 5, autokey: undefined, minPoll: 4, hops: 127 },
      { address: "ff05::101", key: undefined, minPoll: 6, hops: 5 },
      { address: "224.0.1.1", version: 3 }
    ])
  })

  it.each([
    ["broadcast host.example", "error: found 'host.example', expected a numeric address"],
    ["broadcast", "error: found the end of the line"],
    ["broadcast -4 ff05::101", "error: found 'ff05::101', expected an IPv4 address behind -4"],
    ["broadcast 2001:db8::1", "error: found '2001:db8::1', expected a multicast group such as 224.0.1.1"],
    ["broadcast 192.0.2.255 minpoll 9 maxpoll 8", "error: found minpoll 9 above maxpoll 8"],
    ["broadcast 192.0.2.255 ttl 256", "error: found '256', expected a whole number from 0 to 255"],
    ["broadcast 192.0.2.255 iburst", "warning: 'iburst' has no effect on what is told to many"],
    ["broadcast 192.0.2.255 ident wonder", "warning: 'ident' has no effect without 'autokey'"],
    ["broadcast 192.0.2.255 autokey", "error: found 'autokey' without keys to use it with"],
    ["crypto pw x\nbroadcast 192.0.2.255 autokey ident g", "warning: 'ident' has no effect on what is told to many"],
    ["manycastclient 239.0.0.1", "warning: nobody's answer is believed without a key"],
    ["manycastclient 192.0.2.255", "error: found '192.0.2.255', expected a multicast group"],
    ["multicastclient 192.0.2.1", "error: found '192.0.2.1', expected a multicast address"],
    ["manycastserver", "error: found the end of the line"]
  ])("says of %s what is wrong with it", (line, said) => {
    expect(settle(line).messages.map((message) => message.slice(0, said.length))).toContain(said)
  })

  it("is heard by either word, and multicast at the group of NTP where none is named", () => {
    const heard = (text: string) => {
      const { hearsBroadcasts, groups, delay } = settle(text).settings.broadcast
      return [hearsBroadcasts.value, groups.map(({ value }) => value), delay.value]
    }
    expect(heard("")).toEqual([false, [], undefined])
    expect(heard("broadcastclient")).toEqual([true, [], undefined])
    expect(heard("enable bclient")).toEqual([true, [], undefined])
    expect(heard("broadcastclient novolley")).toEqual([true, [], 0.008])
    expect(heard("broadcastclient\nbroadcastdelay 0.02")).toEqual([true, [], 0.02])
    expect(heard("multicastclient")).toEqual([false, ["224.0.1.1"], undefined])
    expect(heard("multicastclient 224.0.1.1 ff05::101")).toEqual([false, ["224.0.1.1", "ff05::101"], undefined])
  })

  it("may do without authentication where `disable auth` says so, which is otherwise of no effect", () => {
    const said = (text: string) => settle(text).messages.filter((message) => message.includes("disable auth"))
    expect(said("broadcastclient\ndisable auth")).toEqual([])
    expect(said("disable auth")).toHaveLength(1)
  })

  it("is the classic ntpd's, whose restrict lines begin with nothing", () => {
    expect(settle("broadcastclient").settings.access.dialect.value).toBe("classic")
    expect(settle("crypto pw secret").settings.access.dialect.value).toBe("classic")
    expect(settle("broadcastdelay 0.01").settings.access.dialect.value).toBe("ntpsec")
  })

  it("is written as it is read", () => {
    const text = [
      "crypto pw secret",
      "broadcast 192.0.2.255 key 5 minpoll 4",
      "broadcast 224.0.1.1 key 6 ttl 3",
      "broadcastclient",
      "multicastclient ff05::101",
      "broadcastdelay 0.01",
      "manycastserver 239.0.0.1",
      "broadcast 224.0.1.1 autokey",
      "manycastclient 239.0.0.1 key 6 iburst prefer",
      "manycastclient 239.0.0.2 autokey ident wonder"
    ].join("\n")
    const { broadcast } = settle(text).settings
    const again = settle(`crypto pw secret\n${renderSettings(settle(text).settings)}`).settings.broadcast
    const values = (it: typeof broadcast) =>
      JSON.stringify(it, (name, value: unknown) => (name === "origin" ? undefined : value))
    expect(values(again)).toBe(values(broadcast))
  })
})
