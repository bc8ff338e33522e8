import { describe, expect, it } from "vitest"
import { parseKeyFile } from "../src/symmetric/key-file.ts"
import { generateKeyFile } from "../src/symmetric/keygen.ts"

const counting = (start: number): ((bytes: Uint8Array) => void) => {
  let next = start
  return (bytes) => {
    for (let index = 0; index < bytes.length; index += 1, next = (next + 97) & 255) bytes[index] = next
  }
}
const order = { host: "whimsy", filestamp: 4004174089, date: "Sat Nov 21 12:00:08 2026" }

describe("the file of ntpkeygen", () => {
  const file = generateKeyFile({ ...order, fillRandom: counting(3) })

  it("is named after host and time and says so in its first line", () => {
    expect(file.name).toBe("ntpkey_AES_whimsy.4004174089")
    expect(file.link).toBe("ntp.keys")
    expect(file.text.split("\n").slice(0, 2)).toEqual(["# ntpkey_AES_whimsy.4004174089", "# Sat Nov 21 12:00:08 2026"])
  })

  const rows = file.text.trimEnd().split("\n")

  it("has ten keys as text and ten as hexadecimal, all of 16 bytes", () => {
    const lines = rows.slice(24)
    expect(lines).toHaveLength(20)
    for (const line of lines.slice(0, 10)) expect(line).toMatch(/^ [1-9] AES [$-~]{16}$|^10 AES [$-~]{16}$/)
    for (const line of lines.slice(10)) expect(line).toMatch(/^(?:1[1-9]|20) AES [0-9a-f]{32}$/)
  })

  it("has the same keys in chrony's spelling before, so that the last line of a number is NTPsec's", () => {
    expect(rows[2]).toMatch(/^# /)
    expect(rows[23]).toMatch(/^# /)
    const chrony = rows.slice(3, 23)
    for (const line of chrony) expect(line).toMatch(/^[ 12]\d AES128 [$-~]{16}$/)
    const alone = (lines: readonly string[]) =>
      parseKeyFile(lines.join("\n"), "").table.keys.map(({ id, algorithm, secret }) => [id, algorithm.name, ...secret])
    expect(alone(chrony)).toEqual(alone(rows.slice(24)))
  })

  it("reads back as the keys it reports, without a remark", () => {
    const read = parseKeyFile(file.text, file.name)
    expect(read.problems).toEqual([])
    expect(read.table.keys.map(({ secret }) => [...secret])).toEqual(file.table.keys.map(({ secret }) => [...secret]))
    expect(new Set(read.table.keys.map(({ secret }) => secret.join())).size).toBe(20)
  })

  it("draws the 91 characters of keys evenly and no other", () => {
    const seen = new Map<number, number>()
    let next = 0
    const everyByte = (bytes: Uint8Array): void => {
      for (let index = 0; index < bytes.length; index += 1) bytes[index] = next++ & 255
    }
    // 182 of 256 bytes are used, two for each character; twenty keys of 16 take 320, so 91 files use each byte alike.
    for (let file = 0; file < 91; file += 1)
      for (const key of generateKeyFile({
        ...order,
        fillRandom: (bytes) => (bytes.length === 1 ? everyByte(bytes) : undefined)
      }).table.keys)
        for (const byte of key.secret) seen.set(byte, (seen.get(byte) ?? 0) + 1)
    expect([...seen.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 91 }, (_, index) => 0x24 + index))
    expect(new Set(seen.values())).toEqual(new Set([320]))
  })
})
