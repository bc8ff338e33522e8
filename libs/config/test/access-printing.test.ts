/** What is printed of the lines about access, and any list of addresses. */
import fc from "fast-check"
import { isError } from "@meridian/config/diagnostic"
import { describe, expect, it } from "vitest"
import { renderSettings } from "../src/rendering.ts"
import { flagsFor, load } from "./access-stage.ts"

describe("chrony's words beside a name", () => {
  it.each(["deny all kod", "deny kod"])("%s: tells everybody", (line) => {
    const loaded = load(`${line}\nallow 192.168.0.0/16`)
    expect(flagsFor(loaded, "198.51.100.7")).toContain("kod-deny")
    expect(flagsFor(loaded, "192.168.1.9")).not.toContain("noserve")
  })
})

describe("what is printed of them", () => {
  const target = fc.oneof(
    fc.constantFrom("default", "source", "ntp.example", "::/0", "0.0.0.0/0", "2001:db8::/32"),
    fc.ipV4(),
    fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map((both) => both.join("/"))
  )
  const flags = fc.subarray([
    "ignore",
    "noserve",
    "notrust",
    "limited",
    "kod",
    "noquery",
    "nomrulist",
    "mssntp",
    "flake",
    "noepeer",
    "serverresponse fuzz",
    "ntpport",
    "kod-deny"
  ])
  const line = fc.oneof(
    fc
      .tuple(fc.constantFrom("restrict", "unrestrict"), target, flags)
      .map(([word, whom, all]) => [word, whom, ...all].join(" ")),
    fc
      .tuple(
        fc.constantFrom("allow", "deny", "allow all", "deny all"),
        fc.oneof(fc.constant(""), fc.ipV4(), fc.constant("10/8"), fc.constant("192.168"))
      )
      .map((both) => both.join(" ")),
    fc.constantFrom(
      "limit average 0.5",
      "limit burst 8 kod 2",
      "discard average 2 minimum 4",
      "ratelimit",
      "ratelimit interval -4 leak 0 kod 2",
      "dialect classic",
      "mru maxmem 100",
      "mru maxdepth 77 maxage 5",
      "mru ipv6prefix 48",
      "nts connections 9",
      "nts ratelimit 0 totalratelimit 70"
    )
  )

  /** The values without their origins. */
  const values = (settings: unknown): unknown => {
    if (Array.isArray(settings)) return settings.map(values)
    if (settings === null || typeof settings !== "object") return settings
    if ("origin" in settings && "value" in settings) return settings.value
    return Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, values(value)]))
  }

  it("gives the same settings when it is read", () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
        const first = load(lines.join("\n"))
        expect(first.diagnostics.filter(isError)).toEqual([])
        const second = load(renderSettings(first.settings))
        expect(values(second.settings.access)).toEqual(values(first.settings.access))
        expect(values(second.settings.nts)).toEqual(values(first.settings.nts))
      }),
      { numRuns: 300 }
    )
  })

  it("and any list of addresses compiles, whatever it overlaps", () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6())
    const prefix = fc
      .tuple(address, fc.nat(128))
      .map(([text, length]) => `restrict ${text}/${text.includes(":") ? length : length % 33} noquery`)
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            prefix,
            fc.string({ unit: "binary", maxLength: 30 }).map((junk) => `restrict ${junk}`)
          ),
          { maxLength: 20 }
        ),
        (lines) => {
          const loaded = load(lines.join("\n"))
          expect(typeof flagsFor(loaded, "192.0.2.1")).toBe("string")
          expect(typeof flagsFor(loaded, "2001:db8::1", 123)).toBe("string")
        }
      ),
      { numRuns: 300 }
    )
  })
})
