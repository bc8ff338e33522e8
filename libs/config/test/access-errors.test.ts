/** Broken lines about access: each gives an error at its place. */
import { isError } from "@meridian/config/diagnostic"
import { describe, expect, it } from "vitest"
import { load } from "./access-stage.ts"

describe("a broken line gives an error at its place", () => {
  it.each([
    ["restrict", 9],
    ["restrict 300.1.1.1", 10],
    ["restrict 1.2.3", 10],
    ["restrict 1.2.3.4.5", 10],
    ["restrict 01.2.3.4", 10],
    ["restrict 1.2.3.4/33", 10],
    ["restrict 1.2.3.4/-1", 10],
    ["restrict 1.2.3.4/", 10],
    ["restrict /24", 10],
    ["restrict 1.2.3.4/255.255.255.0", 10],
    ["restrict ::1/129", 10],
    ["restrict :::1", 10],
    ["restrict [::1", 10],
    ["restrict [10.0.0.0/8]", 10],
    ["restrict fe80::1%eth0", 10],
    ["restrict ::ffff:10.0.0.1", 10],
    ["restrict ::ffff:0:0/96", 10],
    ["restrict (1 ... 2)", 10],
    ["restrict -bad-.example", 10],
    ["restrict -4", 12],
    ["restrict -4 ::1", 13],
    ["restrict -6 10.0.0.1", 13],
    ["restrict 10.0.0.0 mask", 23],
    ["restrict 10.0.0.0 mask 255.0.255.0", 24],
    ["restrict 10.0.0.0 mask 8", 24],
    ["restrict 10.0.0.0 mask ffff::", 24],
    ["restrict 10.0.0.0/8 mask 255.0.0.0", 26],
    ["restrict default mask 255.0.0.0", 23],
    ["restrict source mask 255.0.0.0", 22],
    ["restrict ntp.example mask 255.0.0.0", 27],
    ["restrict default noqery", 18],
    ["restrict default 123", 18],
    ["restrict default ippeerlimit", 29],
    ["restrict default ippeerlimit x", 30],
    ["restrict default ippeerlimit -2", 30],
    ["restrict default serverresponse", 32],
    ["restrict default serverresponse fuz", 33],
    // No daemon has it as one word.
    ["restrict default serverresponse-fuzz", 18],
    ["restrict default noquery,nomodify", 18],
    ["restrict default 'noquery'", 18],
    ["unrestrict", 11],
    ["unrestrict default all", 20],
    ["unrestrict 10.0.0.0/40", 12],
    ["allow 10.0.0.0/33", 7],
    ["allow 300", 7],
    ["allow all 1.2.3.4 5.6.7.8", 19],
    ["allow 10/8 leak", 12],
    ["deny ::ffff:1.2.3.4", 6],
    ["deny 10.0.0.1 kod kiss", 19],
    ["limit", 6],
    ["limit average", 14],
    ["limit average 0", 15],
    ["limit average x", 15],
    ["limit burst 0", 13],
    ["limit kod -1", 11],
    ["limit interval 3", 7],
    ["discard", 8],
    ["discard average 3.5", 17],
    ["discard average 16", 17],
    ["discard minimum -1", 17],
    ["discard burst 8", 9],
    ["ratelimit interval 13", 20],
    ["ratelimit burst 256", 17],
    ["ratelimit leak 5", 16],
    ["ratelimit kod x", 15],
    ["ratelimit 3", 11],
    ["mru", 4],
    ["mru maxmem 0", 12],
    ["mru ipv6prefix 24", 16],
    ["mru depth 5", 5],
    ["dialect", 8],
    ["dialect chrony", 9],
    ["sourcedir", 10]
  ] as const)("%s", (line, column) => {
    const { usable, diagnostics } = load(`port 123\n${line}`)
    expect(usable).toBe(false)
    expect(diagnostics.filter(isError).map((one) => [one.line, one.column])).toEqual([[2, column]])
  })

  it.each(["restrict defalt", "deny all all"])(
    "%s: counts, and names nobody until that host has an address",
    (line) => {
      const { usable, diagnostics } = load(`port 123\n${line}`)
      expect({ usable, errors: diagnostics.filter(isError) }).toEqual({ usable: true, errors: [] })
    }
  )
})
