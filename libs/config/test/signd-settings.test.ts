import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatDiagnostics } from "@meridian/config/diagnostic"
import { readSigndFile } from "@meridian/config/signd-settings"

const read = (text: string) => readSigndFile("signd.conf", new TextEncoder().encode(text))

describe("the file of meridian signd", () => {
  it.each([
    "ntpsigndsocket = /var/run/ntpsignd.socket",
    "ntpsigndsocket=/var/run/ntpsignd.socket # the socket itself",
    "ntpsigndsocket /var/run/ntpsignd.socket",
    'ntpsigndsocket ="/var/run/ntpsignd.socket"',
    "ntpsigndsocket =/var/run/ntpsignd.socket",
    "ntpsigndsocket= /var/run/ntpsignd.socket"
  ])("takes %j", (line) =>
    expect(read(line)).toEqual({ values: { ntpsigndsocket: "/var/run/ntpsignd.socket" }, diagnostics: [] })
  )

  it("takes all its words, blank lines and comments", () => {
    const { values, diagnostics } = read(
      '# signing daemon\n\nntpsigndsocket = "/run/a b"\nkeys = /etc/signd=keys\r\ngroup = ntp\n'
    )
    expect(diagnostics).toEqual([])
    expect(values).toEqual({ ntpsigndsocket: "/run/a b", keys: "/etc/signd=keys", group: "ntp" })
  })

  it.each([
    [
      "ntpsignsocket = /run/x",
      "signd.conf:1:1: error: found 'ntpsignsocket', expected ntpsigndsocket, keys, group; did you mean 'ntpsigndsocket'?"
    ],
    ["server pool.ntp.org", "signd.conf:1:1: error: found 'server', expected ntpsigndsocket, keys, group"],
    ["keys =", "signd.conf:1:7: error: expected a file's path: keys = FILE"],
    ["keys = a b", "signd.conf:1:10: error: found 'b', expected the end of the line"],
    ["keys a\nkeys b", "signd.conf:2:1: error: 'keys' stands on an earlier line too; leave one of the two"],
    ['keys = ""', "signd.conf:1:8: error: found '', expected a file's path"],
    ['keys = "a', 'signd.conf:1:8: error: found " without its partner']
  ])("says where %j is wrong", (line, message) =>
    expect(formatDiagnostics(read(line).diagnostics).split("\n")[0]).toContain(message)
  )

  it("reads anything without throwing", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const { values, diagnostics } = readSigndFile("f", bytes)
        expect(Object.values(values).every((value) => typeof value === "string")).toBe(true)
        expect(Array.isArray(diagnostics)).toBe(true)
      })
    )
  })
})
