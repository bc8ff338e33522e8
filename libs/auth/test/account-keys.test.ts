import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseAccountFile } from "@meridian/auth/account-keys"
import { md4, ntHash } from "@meridian/auth/md4"

const hex = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString("hex")
const text = (value: string): Uint8Array => new TextEncoder().encode(value)

describe("MD4", () => {
  it.each([
    ["", "31d6cfe0d16ae931b73c59d7e0c089c0"],
    ["a", "bde52cb31de33e46245e05fbdbd6fb24"],
    ["abc", "a448017aaf21d8525fc10ae87aa6729d"],
    ["message digest", "d9130a8164549fe818874806e1c7014b"],
    ["abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"],
    ["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "043f8582f241db351ce627e153e7f0e4"],
    ["1234567890".repeat(8), "e33b4ddc9c38f2199c3e7b164fcc0536"]
  ])("of %j is RFC 1320's", (message, digest) => expect(hex(md4(text(message)))).toBe(digest))

  it.each([55, 56, 63, 64, 65, 119, 120])("takes messages of %i octets, around the ends of blocks", (length) => {
    const one = md4(new Uint8Array(length))
    expect(one).toHaveLength(16)
    expect(hex(one)).not.toBe(hex(md4(new Uint8Array(length + 1))))
  })

  it("of a password is what Samba keeps of it", () => {
    expect(hex(ntHash("Machine-Passw0rd-1"))).toBe("8ba43093cba992eac5781a7f70cdb2b1")
    expect(hex(ntHash("Machine-Passw0rd-2"))).toBe("94e56e45677d55781031e92652cf4616")
  })
})

describe("the key table's file", () => {
  it("gives accounts their keys, by hash or by password", () => {
    const { accounts, problems } = parseAccountFile(
      `# accounts of the domain
1103 nthash 8BA43093cba992eac5781a7f70cdb2b1
1104\tpassword Machine-Passw0rd-2   password "Machine-Passw0rd-1"   # rotated
1105 password "with blanks and a # in it"
1106 password a#b"c d"\r
2147483647 password x nthash 94e56e45677d55781031e92652cf4616
`.replace('a#b"c d"', "a#b"),
      "signd.keys"
    )
    expect(problems).toEqual([])
    expect([...accounts.keys()]).toEqual([1103, 1104, 1105, 1106, 2147483647])
    expect(hex(accounts.get(1103)?.current)).toBe("8ba43093cba992eac5781a7f70cdb2b1")
    expect(accounts.get(1103)?.previous).toBeUndefined()
    expect(hex(accounts.get(1104)?.current)).toBe("94e56e45677d55781031e92652cf4616")
    expect(hex(accounts.get(1104)?.previous)).toBe("8ba43093cba992eac5781a7f70cdb2b1")
    expect(hex(accounts.get(1105)?.current)).toBe(hex(ntHash("with blanks and a # in it")))
    expect(hex(accounts.get(1106)?.current)).toBe(hex(ntHash("a#b")))
  })

  it.each([
    ["abc nthash 8ba43093cba992eac5781a7f70cdb2b1", "expected an account's number"],
    ["0 password x", "expected an account's number"],
    ["2147483648 password x", "expected an account's number"],
    ["1103", "account 1103: expected 'nthash' or 'password' and a value"],
    ["1103 password", "account 1103: expected 'nthash'"],
    ["1103 password hunter2 hunter3", "account 1103: expected 'nthash'"],
    ["1103 hunter2 hunter3", "expected 'nthash' or 'password' before each key"],
    ["1103 nthash hunter2", "expected 32 hexadecimal digits"],
    ["1103 password hunter2 nthash hunter3", "expected 32 hexadecimal digits"],
    ['1103 password ""', "expected a password of 1 to 256"],
    ['1103 password "hunter2', "a double quote without its partner"],
    ["1104 password hunter2", "account 1104 stands on an earlier line too"]
  ])("says of %j what is wrong and quotes none of it", (line, reason) => {
    const { accounts, problems } = parseAccountFile(`1104 password a\n${line}\n`, "f")
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(`f:2: `)
    expect(problems[0]).toContain(reason)
    expect(problems[0]).not.toContain("hunter")
    expect(accounts.size).toBe(1)
  })

  it("gives accounts or reports for anything, and never throws", () => {
    const word = fc.oneof(fc.constantFrom("password", "nthash", "1103", '"', "#", "  ", "\n"), fc.string())
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), (parts) => {
        const { accounts, problems } = parseAccountFile(parts.join(" "), "f")
        for (const { current, previous } of accounts.values())
          expect([current.length, previous?.length ?? 16]).toEqual([16, 16])
        for (const problem of problems) expect(problem).toMatch(/^f:\d+: /)
      })
    )
  })
})
