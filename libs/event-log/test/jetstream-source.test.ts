import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { deliveryOf } from "../src/jetstream-source.ts"

const token = fc.stringMatching(/^[A-Za-z0-9_-]{1,24}$/)
const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
const nanoseconds = fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map(String)

describe("what a delivery says of itself", () => {
  it("is read in the short form and in both long ones, whether or not its start is known", () => {
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
          const rest = `${times}.${seq}.${number}.${time}.${pending}`
          const start = `$JS.ACK.${stream}.${consumer}.`
          const long = `$JS.ACK.domain.${other}.${stream}.${consumer}.${rest}`
          const found = { seq, number, pending }
          expect(deliveryOf(start + rest)).toEqual(found)
          expect(deliveryOf(start + rest, start)).toEqual(found)
          expect(deliveryOf(long, start)).toEqual(found)
          expect(deliveryOf(`${long}.${other}`, start)).toEqual(found)
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
      `${start}1.0.1.4.5`
    ])
      expect([reply, deliveryOf(reply), deliveryOf(reply, start)]).toEqual([reply, undefined, undefined])
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom("$JS.ACK.", ".", "7", "x") })), (reply) => {
        const found = deliveryOf(reply, start)
        expect(found === undefined || (found.seq >= 1 && found.number >= 1 && found.pending >= 0)).toBe(true)
      }),
      { numRuns: 2_000 }
    )
  })
})
