import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { nobleCmac } from "../src/symmetric/cmac-noble.ts"
import { parseKeyFile } from "../src/symmetric/key-file.ts"
import { KeyTable, SymmetricKey } from "../src/symmetric/key-table.ts"
import { equalBytes, SymmetricMacs, writeCryptoNak } from "../src/symmetric/mac.ts"
import { macAlgorithmNames, macAlgorithms } from "../src/symmetric/mac-algorithms.ts"
import { digestPort as port } from "./digest-port.ts"

const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8")

const everyId = [{ first: 1, last: 65535 }]
const keys = parseKeyFile(fixture("ntp.keys"), "ntp.keys").table.withTrusted(everyId)
const macs = new SymmetricMacs(port, keys)
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const verify = (packet: Uint8Array, by = macs) => by.verify(viewOf(packet), packet, 0, 48, packet.length - 48)

interface Exchange {
  readonly name: string
  readonly keyId: number
  readonly request: string
  readonly reply: string | null
}
const { exchanges } = JSON.parse(fixture("symmetric-exchanges.json")) as { exchanges: readonly Exchange[] }
const good = exchanges.filter(({ name }) => !/wrong|unknown/.test(name))

describe("recorded keyed exchanges", () => {
  it("are there in number", () => {
    expect([exchanges.length, good.length]).toEqual([15, 12])
  })

  it.each(good)("$name verify, request and reply", ({ request, reply }) => {
    expect(verify(hex(request))).toBe("verified")
    expect(verify(hex(reply ?? ""))).toBe("verified")
  })

  it.each(good)("$name: our MAC over the same reply is the same", ({ keyId, reply }) => {
    const packet = hex(reply ?? "")
    const again = packet.slice().fill(0, 48)
    const key = keys.get(keyId) as SymmetricKey
    expect(macs.append(viewOf(again), again, 0, 48, key, packet.length - 48)).toBe(packet.length - 48)
    expect(again).toEqual(packet)
  })

  it("with a wrong or unknown key do not", () => {
    const outcomes = exchanges.filter((each) => !good.includes(each)).map(({ request }) => verify(hex(request)))
    expect(outcomes.sort()).toEqual(["unknown-key", "wrong-digest", "wrong-digest"])
  })
})

describe("a MAC", () => {
  const packet = (id: number): Uint8Array => {
    const bytes = Uint8Array.from({ length: 200 }, (_, index) => index)
    const length = macs.append(viewOf(bytes), bytes, 0, 48, keys.get(id) as SymmetricKey)
    return bytes.slice(0, 48 + length)
  }

  it("is 16 or 20 bytes of digest after the key id", () => {
    expect([1, 2, 3, 4, 5, 6, 8].map((id) => packet(id).length)).toEqual([68, 72, 68, 68, 68, 72, 72])
    expect([...packet(6).subarray(48, 52)]).toEqual([0, 0, 0, 6])
  })

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("of key %i is refused with any bit of packet or digest flipped", (id) => {
    const bytes = packet(id)
    expect(verify(bytes)).toBe("verified")
    for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
      const changed = bytes.slice()
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(verify(changed)).not.toBe("verified")
    }
  })

  it("works at an offset in a larger buffer", () => {
    const buffer = new Uint8Array(500)
    buffer.set(packet(5), 137)
    expect(macs.verify(viewOf(buffer), buffer, 137, 137 + 48, 20)).toBe("verified")
    const moved = new Uint8Array(500)
    moved.set(buffer.subarray(137, 185), 301)
    expect(macs.append(viewOf(moved), moved, 301, 48, keys.get(5) as SymmetricKey)).toBe(20)
    expect(moved.subarray(301, 369)).toEqual(buffer.subarray(137, 205))
  })

  it("names why it proves nothing", () => {
    const untrusting = new SymmetricMacs(port, keys.withTrusted([{ first: 2, last: 9 }]))
    expect(verify(packet(1), untrusting)).toBe("untrusted-key")
    expect(verify(packet(1), new SymmetricMacs(port, KeyTable.empty))).toBe("unknown-key")
    expect(verify(packet(1).slice(0, 64))).toBe("wrong-length")
    expect(verify(packet(6).slice(0, 68))).toBe("wrong-length")
    expect(verify(packet(1).slice(0, 52))).toBe("wrong-length")
  })

  it.each([
    ["2b7e151628aed2a6abf7158809cf4f3c", "", "bb1d6929e95937287fa37d129b756746"],
    ["2b7e151628aed2a6abf7158809cf4f3c", "6bc1bee22e409f96e93d7e117393172a", "070a16b46b4d4144f79bdd9dd04a287c"],
    [
      "2b7e151628aed2a6abf7158809cf4f3c",
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411",
      "dfa66747de9ae63030ca32611497c827"
    ]
  ])("of AES-128 is RFC 4493's", (key, message, tag) => {
    const out = new Uint8Array(64)
    expect(nobleCmac(hex(key), hex(`ff${message}ff`), 1, message.length / 2, out)).toBe(16)
    expect(out.subarray(0, 16)).toEqual(hex(tag))
  })

  it("has the length its algorithm says", () => {
    const out = new Uint8Array(64)
    for (const name of macAlgorithmNames) {
      const { keyBytes = 20, digestBytes } = macAlgorithms[name]
      expect([name, port.digest(name, new Uint8Array(keyBytes), out, 0, 48, out)]).toEqual([name, digestBytes])
    }
  })
})

it("a crypto-NAK is the header and a zero key id, as classic ntpd sends it", () => {
  const recorded = hex(exchanges.find(({ name }) => name === "classic-ntpdig-wrongkey-key1")?.reply ?? "")
  const bytes = recorded.slice()
  bytes.fill(9, 48)
  expect(writeCryptoNak(viewOf(bytes), 0)).toBe(recorded.length)
  expect(bytes).toEqual(recorded)
})

it("equality is of all bytes and of length", () => {
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true)
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false)
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1))).toBe(false)
  expect(equalBytes(new Uint8Array(0), new Uint8Array(0))).toBe(true)
})
