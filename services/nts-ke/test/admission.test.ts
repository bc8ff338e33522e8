import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { addressKey, Admission, type AdmissionLimits, REMEMBERED_ADDRESSES } from "../src/admission.ts"

const FREE = { perSecond: 0, burst: 0 }
const limits = (changes: Partial<AdmissionLimits>): AdmissionLimits => ({
  connections: 1_000_000,
  connectionsPerAddress: 1_000_000,
  rate: FREE,
  ratePerAddress: FREE,
  ...changes
})

describe("addressKey", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "20010db800010002"],
    ["2001:db8:1:2::", "20010db800010002"],
    ["2001:db8:1:3::1", "20010db800010003"],
    ["::1", "0000000000000000"],
    ["fe80::1%eth0", "fe80000000000000"],
    [undefined, "gone"]
  ])("of %s is %s", (address, key) => {
    expect(addressKey(address)).toBe(key)
  })
})

describe("Admission", () => {
  it("never lets more in than it should, and gives every place back", () => {
    const steps = fc.array(fc.record({ from: fc.integer({ min: 0, max: 4 }), leave: fc.boolean() }), { maxLength: 200 })
    fc.assert(
      fc.property(steps, (walk) => {
        const admission = new Admission(limits({ connections: 6, connectionsPerAddress: 3 }), 0)
        const inside: string[] = []
        const leave = (key: string): undefined => {
          const at = inside.indexOf(key)
          if (at >= 0) inside.splice(at, 1)
          admission.release(key)
        }
        for (const step of walk) {
          const key = String(step.from)
          const full = inside.length >= 6 ? "too-many-connections" : undefined
          const here = inside.filter((each) => each === key).length >= 3 ? "too-many-from-address" : undefined
          const refusal = step.leave ? leave(key) : admission.admit(key, 0)
          if (!step.leave && refusal === undefined) inside.push(key)
          expect(refusal).toBe(step.leave ? undefined : (here ?? full))
          expect(admission.open).toBe(inside.length)
        }
      })
    )
  })

  it("lets a burst through and then as many as the rate allows, for each address by itself", () => {
    const admission = new Admission(limits({ ratePerAddress: { perSecond: 2, burst: 5 } }), 100)
    const admitted = (key: string, now: number, tries: number): number =>
      Array.from({ length: tries }, () => admission.admit(key, now)).filter((refusal) => refusal === undefined).length
    expect(admitted("a", 100, 10)).toBe(5)
    expect(admission.admit("a", 100)).toBe("rate-from-address")
    expect(admitted("b", 100, 10)).toBe(5)
    expect(admitted("a", 101, 10)).toBe(2)
    expect(admitted("a", 101.4, 10)).toBe(0)
    expect(admitted("a", 101.5, 10)).toBe(1)
    expect(admitted("a", 9_999, 10)).toBe(5)
    // A clock that goes back neither fills a bucket nor empties it.
    expect(admitted("a", 5, 10)).toBe(0)
  })

  it("limits all addresses together, and a refused connection costs its address nothing", () => {
    const admission = new Admission(
      limits({ rate: { perSecond: 1, burst: 3 }, ratePerAddress: { perSecond: 1, burst: 2 } }),
      0
    )
    expect(["a", "b", "c", "d"].map((key) => admission.admit(key, 0))).toEqual([
      undefined,
      undefined,
      undefined,
      "rate-in-all"
    ])
    expect(admission.admit("d", 1)).toBeUndefined()
    expect(admission.admit("d", 2)).toBeUndefined()
    expect(admission.admit("d", 3)).toBeUndefined()
  })

  it("remembers a bounded number of addresses and forgets the one not seen for longest", () => {
    const admission = new Admission(limits({ ratePerAddress: { perSecond: 0.001, burst: 1 } }), 0)
    expect(admission.admit("kept", 0)).toBeUndefined()
    expect(admission.admit("forgotten", 0)).toBeUndefined()
    const again: unknown[] = []
    for (let index = 0; index < REMEMBERED_ADDRESSES; index++) {
      admission.admit(`other ${index}`, 0)
      if (index % 1000 === 0) again.push(admission.admit("kept", 0))
    }
    expect(new Set(again)).toEqual(new Set(["rate-from-address"]))
    expect(admission.remembered).toBe(REMEMBERED_ADDRESSES)
    expect(admission.admit("kept", 0)).toBe("rate-from-address")
    expect(admission.admit("forgotten", 0)).toBeUndefined()
  })
})
