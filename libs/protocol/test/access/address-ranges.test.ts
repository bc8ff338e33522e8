import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { findIpv4, findIpv6, layRanges, type PrefixValue } from "../../src/access/address-ranges.ts"

const ipv4Find = (prefixes: readonly PrefixValue[], address: readonly number[]): number =>
  findIpv4(layRanges(prefixes, 4), wordOf(address, 0))

const wordOf = (bytes: readonly number[], at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

const ipv6Find = (prefixes: readonly PrefixValue[], address: readonly number[]): number =>
  findIpv6(layRanges(prefixes, 6), wordOf(address, 0), wordOf(address, 4), wordOf(address, 8), wordOf(address, 12))

/** The same, one prefix after the other. */
const slowFind = (prefixes: readonly PrefixValue[], address: readonly number[]): number => {
  let best = { length: -1, value: -1 }
  for (const { bytes, length, value } of prefixes) {
    if (length >= best.length && sharesBits(bytes, address, length)) best = { length, value }
  }
  return best.value
}

const sharesBits = (a: readonly number[], b: readonly number[], length: number): boolean =>
  Array.from({ length }, (_, bit) => ((a[bit >> 3]! ^ b[bit >> 3]!) >> (7 - (bit & 7))) & 1).every(
    (differs) => differs === 0
  )

/** Few different bytes, so that prefixes nest and addresses hit. */
const byte = fc.constantFrom(0, 1, 2, 127, 128, 254, 255)
const addressOf = (length: number) => fc.array(byte, { minLength: length, maxLength: length })
const prefixesOf = (family: 4 | 6): fc.Arbitrary<PrefixValue[]> =>
  fc
    .array(fc.tuple(addressOf(family === 4 ? 4 : 16), fc.integer({ min: 0, max: family === 4 ? 32 : 128 })), {
      maxLength: 40
    })
    .map((all) => all.map(([bytes, length], value) => ({ family, bytes, length, value })))

describe("the ranges of prefixes", () => {
  it("find in IPv4 what a look at every prefix finds", () => {
    fc.assert(
      fc.property(prefixesOf(4), fc.array(addressOf(4), { minLength: 1, maxLength: 20 }), (prefixes, addresses) => {
        for (const address of addresses) expect(ipv4Find(prefixes, address)).toBe(slowFind(prefixes, address))
      })
    )
  })

  it("find in IPv6 what a look at every prefix finds", () => {
    fc.assert(
      fc.property(prefixesOf(6), fc.array(addressOf(16), { minLength: 1, maxLength: 20 }), (prefixes, addresses) => {
        for (const address of addresses) expect(ipv6Find(prefixes, address)).toBe(slowFind(prefixes, address))
      })
    )
  })

  it("agree with it at the edges of every prefix", () => {
    fc.assert(
      fc.property(prefixesOf(4), (prefixes) => {
        const ranges = layRanges(prefixes, 4)
        for (const { bytes, length } of prefixes) {
          const first = (wordOf(bytes, 0) & (length === 0 ? 0 : -1 << (32 - length))) >>> 0
          const last = first + 2 ** (32 - length) - 1
          for (const word of [first - 1, first, last, last + 1]) {
            if (word < 0 || word > 0xffffffff) continue
            const address = [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]
            expect(findIpv4(ranges, word)).toBe(slowFind(prefixes, address))
          }
        }
      })
    )
  })

  it("agree with it where thousands of prefixes lie close together, and between them", () => {
    const cluster = Array.from({ length: 3000 }, (_, index): PrefixValue => {
      const spread = Math.imul(index, 2654435761) >>> 0
      const bytes = index % 3 === 0 ? [127, 128, spread >>> 24, 0] : [10, 0, (spread >>> 20) & 15, spread & 255]
      return { family: 4, bytes, length: index % 3 === 0 ? 24 : 28 + (index % 5), value: index % 7 }
    })
    const ranges = layRanges(cluster, 4)
    for (let index = 0; index < 2000; index += 1) {
      const { bytes } = cluster[index]!
      const word = (wordOf(bytes, 0) + (index % 5) * 7) >>> 0
      const address = [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]
      expect(findIpv4(ranges, word)).toBe(slowFind(cluster, address))
    }
  })

  it("say -1 everywhere without a prefix, and one value everywhere with /0", () => {
    expect(ipv4Find([], [192, 0, 2, 1])).toBe(-1)
    expect(
      ipv6Find(
        [{ family: 6, bytes: Array.from({ length: 16 }, () => 255), length: 0, value: 7 }],
        [0x20, 1, ...Array.from({ length: 14 }, () => 0)]
      )
    ).toBe(7)
  })

  it("survive a structured clone", () => {
    const ranges = structuredClone(layRanges([{ family: 4, bytes: [10, 0, 0, 0], length: 8, value: 3 }], 4))
    expect(findIpv4(ranges, 0x0a010203)).toBe(3)
    expect(findIpv4(ranges, 0x0b000000)).toBe(-1)
  })
})
