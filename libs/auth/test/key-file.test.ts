import { inspect } from "node:util"
import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatKeyFile, formatSharedKeyFile, parseKeyFile } from "../src/symmetric/key-file.ts"
import { InvalidKey, KeyTable, SymmetricKey } from "../src/symmetric/key-table.ts"
import { macAlgorithm, macAlgorithmNames, macAlgorithms } from "../src/symmetric/mac-algorithms.ts"

const parse = (text: string) => parseKeyFile(text, "/etc/ntp.keys")
const only = (line: string): SymmetricKey => {
  const { table, problems } = parse(line)
  expect(problems).toEqual([])
  expect(table.size).toBe(1)
  return table.keys[0] as SymmetricKey
}
const ascii = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))
const reports = (text: string): string[] =>
  parse(text).problems.map(({ severity, line, reason }) => `${severity} ${line}: ${reason}`)

describe("a key file", () => {
  it("of NTPsec's reads whole", () => {
    const { table, problems } = parse(readFileSync(new URL("fixtures/ntp.keys", import.meta.url), "utf8"))
    expect(problems).toEqual([])
    expect(table.keys.map((key) => [key.id, key.algorithm.name, key.secret.length])).toEqual([
      [1, "MD5", 13],
      [2, "SHA1", 20],
      [3, "AES-128", 16],
      [4, "AES-192", 24],
      [5, "AES-256", 32],
      [6, "SHA256", 32],
      [7, "MD5", 20],
      [8, "SHA512", 32]
    ])
  })

  it("takes up to 20 characters as text and more as hexadecimal", () => {
    expect(only("5 sha1 00112233445566778899").secret).toEqual(ascii("00112233445566778899"))
    expect(only("5 sha1 0011223344556677889900").secret).toEqual(
      Uint8Array.of(0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0)
    )
    expect(only(`5 SHA256 ${"aB".repeat(32)}`).secret).toEqual(new Uint8Array(32).fill(0xab))
  })

  it("takes comments, tabs, blank lines, leading space and lines ended as Windows does", () => {
    const text = "# keys\r\n\r\n\t 10\tMd5\t secret # the tenth\r\n   \n#11 MD5 no\n65535 SHA1 x\n"
    expect(parse(text).table.keys.map(({ id }) => id)).toEqual([10, 65535])
    expect(parse(text).table.get(10)?.secret).toEqual(ascii("secret"))
    expect(parse(text).problems).toEqual([])
  })

  it("ends a key at #, as ntpd does, and says so, since chrony does not", () => {
    expect(parse("1 MD5 abc#def").table.get(1)?.secret).toEqual(ascii("abc"))
    expect(parse("1 MD5 abc#def").problems.map(({ message }) => message)).toEqual([
      "/etc/ntp.keys:1: key 1: the key ends at the '#' in it, as ntpd reads it; chrony takes it as a part of the key"
    ])
  })

  it.each([
    ["AES", "AES-128"],
    ["aes128cmac", "AES-128"],
    ["aes-192", "AES-192"],
    ["Sha512", "SHA512"],
    ["sha3-256", "SHA3-256"],
    ["RIPEMD160", "RIPEMD160"],
    ["rmd160", "RIPEMD160"],
    ["m", "MD5"],
    ["mystery", "MD5"]
  ])("knows %s as %s", (word, name) => {
    expect(macAlgorithm(word)?.name).toBe(name)
  })

  it("does not know types by what every object has", () => {
    expect(macAlgorithm("constructor")).toBeUndefined()
    expect(macAlgorithm("__proto__")).toBeUndefined()
  })

  it("reports each bad line with its place and keeps the good ones", () => {
    const text = [
      "1 MD5 good",
      "0 MD5 zero",
      "65536 MD5 big",
      "x MD5 word",
      "12x MD5 half",
      "-3 MD5 minus",
      "7",
      "7 MD5",
      "7 TLS key",
      "7 MD5 caf\u00e9",
      "7 MD5 0011223344556677889g0",
      `7 MD5 ${"a".repeat(600)}`,
      "2 SHA1 good-too"
    ].join("\n")
    const { table, problems } = parse(text)
    expect(table.keys.map(({ id }) => id)).toEqual([1, 2])
    expect(problems.map(({ line }) => line)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    expect(problems.every(({ severity }) => severity === "error")).toBe(true)
    expect(problems[0]?.message).toBe("/etc/ntp.keys:2: expected a key number from 1 to 65535 as the first word")
    expect(problems[5]?.message).toBe(
      "/etc/ntp.keys:7: key 7: expected a type and a key after the number, found neither"
    )
    expect(problems[9]?.reason).toContain("is hexadecimal, found another character")
  })

  it("warns where NTPsec takes a key that may not be the one meant", () => {
    expect(reports(`1 MD5 ${"0".repeat(21)}`)).toEqual([
      "warning 1: key 1: 21 hexadecimal digits are an odd number; the last is ignored"
    ])
    expect(reports(`1 MD5 ${"0".repeat(70)}`)).toEqual(["warning 1: key 1: 70 hexadecimal digits are cut to 64"])
    expect(reports("1 AES short")).toEqual([
      "warning 1: key 1: AES-128 takes 16 bytes; a key of 5 was filled up with zeros"
    ])
    expect(reports(`1 AES ${"00".repeat(20)}`)).toEqual([
      "warning 1: key 1: AES-128 takes 16 bytes; a key of 20 was cut"
    ])
    const replaced = "warning 2: key 1 was given before with another type or value; this line replaces it"
    expect(reports("1 MD5 a\n1 MD5 b")).toEqual([replaced])
    expect(reports("1 MD5 a\n1 SHA1 a")).toEqual([replaced])
    // The same key in two programs' spelling.
    expect(reports("1 AES128 0123456789abcdef\n1 AES 30313233343536373839616263646566")).toEqual([])
    expect(reports("1 MD5 a 10.0.0.1")).toEqual(["warning 1: key 1: what follows the key is ignored"])
    expect(reports("1 mystery a")).toEqual([
      "warning 1: key 1: the type is unknown and taken for MD5, because it begins with M"
    ])
    expect(parse("1 AES short").table.get(1)?.secret).toEqual(
      Uint8Array.of(...ascii("short"), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    )
    expect(parse("1 MD5 a\n1 MD5 b").table.get(1)?.secret).toEqual(ascii("b"))
  })

  it("never quotes a word of the file in a report", () => {
    const secret = "hunter2secret"
    for (const line of [
      secret,
      `1 ${secret}`,
      `1 ${secret} MD5`,
      `${secret} MD5 x`,
      `1 MD5 x ${secret}`,
      `99999 MD5 ${secret}`
    ])
      expect(reports(line).join()).not.toContain(secret)
  })

  it("never throws, whatever the text, and gives a problem or a key for every line with words", () => {
    const word = fc.oneof(
      fc.constantFrom("1", "7", "MD5", "AES", "#", "\t", "SHA3-512", "00112233445566778899aabb"),
      fc.string({ maxLength: 30 })
    )
    fc.assert(
      fc.property(fc.array(fc.array(word, { maxLength: 5 }), { maxLength: 8 }), (lines) => {
        const text = lines.map((words) => words.join(" ")).join("\n")
        const { table, problems } = parse(text)
        const told = new Set(problems.map(({ line }) => line))
        const lost = text.split("\n").filter((line, at) => {
          const [, first] = /^[ \t\r]*([^ \t\r#]+)/.exec(line) ?? []
          return first !== undefined && !told.has(at + 1) && table.get(Number(first)) === undefined
        })
        expect(lost).toEqual([])
        for (const key of table.keys) expect(key.secret.length).toBeLessThanOrEqual(32)
      }),
      {
        numRuns: 1000,
        examples: [
          [
            [
              ["1", "MD5", "AES"],
              ["1", "MD5", "AES"]
            ]
          ]
        ]
      }
    )
  })
})

describe("formatting a table", () => {
  const keys = fc
    .record({
      id: fc.integer({ min: 1, max: 65535 }),
      name: fc.constantFrom(...macAlgorithmNames),
      bytes: fc.oneof(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc
          .array(fc.integer({ min: 0x21, max: 0x7e }), { minLength: 32, maxLength: 32 })
          .map((codes) => Uint8Array.from(codes))
      ),
      length: fc.integer({ min: 10, max: 32 })
    })
    .map(
      ({ id, name, bytes, length }) =>
        new SymmetricKey(id, macAlgorithms[name], bytes.subarray(0, macAlgorithms[name].keyBytes ?? length))
    )

  it("gives text that reads back as the same table", () => {
    fc.assert(
      fc.property(fc.array(keys, { maxLength: 10 }), (list) => {
        const table = KeyTable.of(list)
        const read = parse(formatKeyFile(table)).table
        const plain = (each: KeyTable) =>
          each.keys.map(({ id, algorithm, secret }) => [id, algorithm.name, [...secret]])
        expect(plain(read)).toEqual(plain(table))
      }),
      { numRuns: 300 }
    )
  })

  it("refuses a short binary key, which no text gives", () => {
    const key = new SymmetricKey(4, macAlgorithms.MD5, Uint8Array.of(1, 2, 3))
    expect(() => formatKeyFile(KeyTable.of([key]))).toThrow(InvalidKey)
  })
})

it("a file for ntpd and chronyd has AES-128 under both words, and what chrony would need alone as a comment", () => {
  const text = formatSharedKeyFile(parse(`1 SHA1 abc\n2 AES 0123456789abcdef\n3 AES ${"ab".repeat(16)}`).table)
  expect(text.split("\n")).toEqual([
    " 1 SHA1 abc",
    "2 AES128 0123456789abcdef",
    " 2 AES 0123456789abcdef",
    `# in a file for chrony alone: 3 AES128 HEX:${"ab".repeat(16)}`,
    ` 3 AES ${"ab".repeat(16)}`,
    ""
  ])
  expect(parse(text).problems).toEqual([])
})

describe("a key", () => {
  it("does not show its bytes when it is printed", () => {
    const key = only("3 MD5 swordfish")
    for (const text of [
      JSON.stringify(key),
      inspect(key, { showHidden: true, depth: 9 }),
      inspect(KeyTable.of([key]), { depth: 9 })
    ])
      expect(text).not.toMatch(/swordfish|115, ?119/)
  })

  it.each([
    [0, "MD5", 4, "expected a key id from 1 to 65535, found 0"],
    [1, "AES-128", 15, "key 1: expected 16 bytes for AES-128, found 15"],
    [1, "MD5", 0, "key 1: expected 1 to 32 bytes, found 0"],
    [1, "MD5", 33, "key 1: expected 1 to 32 bytes, found 33"]
  ] as const)("%i of %s with %i bytes is refused", (id, name, length, message) => {
    expect(() => new SymmetricKey(id, macAlgorithms[name], new Uint8Array(length))).toThrow(message)
  })
})

describe("trustedkey", () => {
  it("says which keys count", () => {
    const { table } = parse("1 MD5 a\n2 MD5 b\n9 MD5 c")
    expect([1, 2, 9].map((id) => table.isTrusted(id))).toEqual([false, false, false])
    const trusted = table.withTrusted([
      { first: 1, last: 1 },
      { first: 8, last: 20 }
    ])
    expect([1, 2, 8, 9].map((id) => trusted.isTrusted(id))).toEqual([true, false, false, true])
  })
})
