import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Delivery, readDelivery } from "../src/delivery.ts"

const token = fc.stringMatching(/^[A-Za-z0-9_-]{1,24}$/)
const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
const nanoseconds = fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map(String)

const read = (reply: string): Delivery | undefined => readDelivery(Buffer.from(reply))

describe("what a delivery says of itself", () => {
  it("is read in the short form and in both long ones, wherever it lies", () => {
    fc.assert(
      fc.property(
        token,
        token,
        fc.integer({ min: 1, max: 99 }),
        count,
        count,
        nanoseconds,
        fc.nat(),
        token,
        (stream, consumer, times, seq, number, time, pending, other) => {
          const rest = `${stream}.${consumer}.${times}.${seq}.${number}.${time}.${pending}`
          const short = `$JS.ACK.${rest}`
          const long = `$JS.ACK.domain.${other}.${rest}`
          const found = { seq, number, pending }
          for (const reply of [short, long, `${long}.${other}`]) {
            expect(read(reply)).toEqual(found)
            const around = Buffer.from(`7.${reply}.7`)
            expect(readDelivery(around, 2, 2 + reply.length)).toEqual(found)
          }
        }
      )
    )
  })

  it("is nothing where it is no delivery, whatever it is", () => {
    const start = "$JS.ACK.LOG.c."
    for (const reply of [
      "",
      "$JS.FC.LOG.c.x",
      "$JS.ACK.",
      start,
      `${start}1.2.3`,
      `${start}1.x.3.4.5`,
      `${start}1.0.1.4.5`,
      `${start}1.2.3.4.`,
      `${start}1.2.3.4.-5`,
      `${start}1.9007199254740993.3.4.5`
    ])
      expect([reply, read(reply)]).toEqual([reply, undefined])
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom("$JS.ACK.", ".", "7", "x") })), (reply) => {
        const found = read(reply)
        expect(found === undefined || (found.seq >= 1 && found.number >= 1 && found.pending >= 0)).toBe(true)
      }),
      { numRuns: 2_000 }
    )
  })
})
