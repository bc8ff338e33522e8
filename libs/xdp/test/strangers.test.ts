/** Which requests are left to the program by the access lists, and for which addresses of this machine. */
import { describe, expect, it } from "vitest"
import { accessRules, loadSettings } from "@meridian/config"
import { parseAddress } from "@meridian/config/address"
import { compileAccess } from "@meridian/protocol/access/access-list"
import { type AccessPlan, limitsAnybody } from "@meridian/protocol/access/access-plan"
import { parseVlans, placesOn } from "../src/own-addresses.ts"
import { MOST_RULES_HELD, strangersBy } from "../src/strangers.ts"

/** As services/supervisor/src/access-planner.ts makes a plan of lines. */
const strangersOf = (...lines: readonly string[]) => strangersBeside([], lines)

/** @param addresses of this machine */
const strangersBeside = (addresses: readonly string[], lines: readonly string[]) => {
  const own = addresses.map((text) => parseAddress(text)!)
  const { settings: loaded } = loadSettings({
    file: "f",
    readFile: () => ({ ok: true, bytes: new TextEncoder().encode(lines.join("\n")) }),
    overrides: {},
    machine: { cores: 1, interfaces: [] }
  })
  const settings = loaded.access
  const rules = accessRules(settings, { addressesOf: () => [], sources: [], own })
  const limit = settings.rateLimit.value
  const plan: AccessPlan = {
    layers: rules.map(compileAccess),
    limit,
    manners: {
      limited: limit.law === "tokens",
      kod: limit.law === "tokens" && limit.kod > 0,
      queriesOfAnyVersion: false
    },
    clients: { ipv6Prefix: 64, maxAge: 1, minAge: 1 }
  }
  return strangersBy(rules, limitsAnybody(plan) ? plan : { ...plan, clients: plan.clients }, own)
}

describe("strangers", () => {
  it("are everybody where no line is about access: from loopback nobody is answered anyway", () => {
    expect(strangersOf()).toMatchObject({
      families: [4, 6],
      familiesFromNtpPort: [4, 6],
      limit: undefined,
      noteEvery: 1_000_000,
      known: [],
      reason: undefined
    })
  })

  it("are not counted among them: this machine's own addresses, from which nobody else asks", () => {
    const own = ["192.0.2.1", "2001:db8::1"]
    expect(strangersBeside(own, [])).toMatchObject({ families: [4, 6], known: [], reason: undefined })
    const { known } = strangersBeside(own, ["restrict 192.0.2.1 ignore", "restrict 192.0.2.9"])
    expect(known.map(({ address }) => address.at(-1))).toEqual([1, 9])
  })

  it("are limited as `restrict default limited` says, with kisses where it says kod", () => {
    const { families, limit } = strangersOf("restrict default limited kod nomodify noquery", "limit average 4 burst 10")
    expect(families).toEqual([4, 6])
    expect(limit).toEqual({ limit: { law: "score", average: 4, burst: 10, kod: expect.any(Number) }, kisses: true })
  })

  it.each(["ignore", "noserve", "notrust", "version", "flake"])(
    "are the workers' under `restrict default %s`",
    (word) => {
      expect(strangersOf(`restrict default ${word}`)).toMatchObject({
        families: [],
        reason: "the access rules about everybody are the workers' to apply"
      })
    }
  )

  it("are the workers' in one family where a line is about that", () => {
    expect(strangersOf("restrict -4 default noserve", "restrict -6 default nomodify").families).toEqual([6])
    expect(
      strangersOf("restrict -4 default nomodify", "restrict -6 default nomodify limited kod").families
    ).toHaveLength(1)
  })

  it("who speak from port 123 are the workers' where a line is about that", () => {
    const { families, familiesFromNtpPort } = strangersOf("restrict default", "restrict default ignore ntpport")
    expect([families, familiesFromNtpPort]).toEqual([[4, 6], []])
  })

  it("are all but those with a line of their own", () => {
    const { known } = strangersOf(
      "restrict default",
      "restrict 127.0.0.1",
      "restrict ::1",
      "restrict 192.0.2.0 mask 255.255.255.0 noserve",
      "restrict 2001:db8::7"
    )
    expect(known).toEqual([
      { address: [192, 0, 2, 0], length: 24 },
      { address: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], length: 128 }
    ])
  })

  it("are the workers' where there are more rules than the program holds", () => {
    const lines = Array.from(
      { length: MOST_RULES_HELD + 1 },
      (_, at) => `restrict 10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`
    )
    expect(strangersOf("restrict default", ...lines)).toMatchObject({
      families: [],
      known: [],
      reason: `there are ${MOST_RULES_HELD + 1} access rules, and the program holds ${MOST_RULES_HELD}`
    })
  })

  it("are nobody where chrony's lines allow some", () => {
    expect(strangersOf("allow 10.0.0.0/8").families).toEqual([])
    expect(strangersOf("allow all").families).toEqual([4, 6])
  })
})

describe("places", () => {
  const info = (address: string, family: "IPv4" | "IPv6") => ({
    address,
    family,
    netmask: "",
    mac: "02:00:00:00:00:01",
    internal: false,
    cidr: null,
    ...(family === "IPv6" ? { scopeid: 0 } : {})
  })
  const interfaces = {
    lo: [info("127.0.0.1", "IPv4"), info("203.0.113.5", "IPv4")],
    eth0: [info("192.0.2.1", "IPv4"), info("fe80::1", "IPv6")],
    "eth0.7": [info("198.51.100.1", "IPv4")],
    eth1: [info("192.0.2.129", "IPv4")]
  } as unknown as Parameters<typeof placesOn>[2]
  const vlans = parseVlans(
    "VLAN Dev name\t | VLAN ID\nName-Type: RAW_PLUS\neth0.7         | 7  | eth0\neth1.8 | 8 | eth1\n",
    "eth0"
  )
  const texts = (places: ReturnType<typeof placesOn>): readonly string[] =>
    places
      .filter(({ address }) => address.length === 4)
      .map(({ address, port, vlan }) => `${address.join(".")}:${port}/${vlan}`)

  it("of a VLAN lie behind its tag, those of other interfaces behind any", () => {
    expect([...vlans]).toEqual([["eth0.7", 7]])
    expect(texts(placesOn("eth0", { addresses: ["0.0.0.0", "::"], ports: [123] }, interfaces, vlans))).toEqual([
      "192.0.2.1:123/0",
      "127.0.0.1:123/7",
      "203.0.113.5:123/7",
      "198.51.100.1:123/7",
      "192.0.2.129:123/7"
    ])
  })

  it("are those that are listened on, on each port", () => {
    expect(texts(placesOn("eth0", { addresses: ["203.0.113.5"], ports: [123, 1123] }, interfaces, new Map()))).toEqual([
      "203.0.113.5:123/0",
      "203.0.113.5:1123/0"
    ])
    expect(placesOn("eth0", { addresses: ["::"], ports: [123] }, interfaces, new Map())).toHaveLength(1)
  })
})
