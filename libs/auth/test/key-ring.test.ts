import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Generation, InvalidKeyRing, KeyRing } from "../src/nts/key-ring.ts"

const generation = (id: number, activation: number, retirement: number, revoked = false): Generation => ({
  id,
  key: new Uint8Array(32).fill(id),
  activation,
  retirement,
  revoked
})
const ring = KeyRing.of([generation(3, 300, 600), generation(1, 100, 400), generation(2, 200, 500)])
/** The same with one revoked. */
const revoked = (id: number): KeyRing => KeyRing.of(ring.generations.map((it) => ({ ...it, revoked: it.id === id })))

describe("a key ring", () => {
  it.each([
    [50, undefined],
    [100, 1],
    [199.9, 1],
    [200, 2],
    [599, 3],
    [600, undefined]
  ])("at %d seals with generation %s", (now, id) => {
    expect(ring.activeAt(now)?.id).toBe(id)
  })

  it("opens what is accepted and says why not otherwise", () => {
    expect(ring.accept(1, 399)).toMatchObject({ id: 1 })
    expect(ring.accept(1, 400)).toBe("retired")
    expect(ring.accept(9, 399)).toBe("unknown")
    expect(revoked(2).accept(2, 300)).toBe("revoked")
  })

  it("opens a generation that is not active yet: another node's clock may be ahead", () => {
    expect(ring.accept(3, 0)).toMatchObject({ id: 3 })
  })

  it("seals with the one before when the newest is revoked", () => {
    expect(revoked(3).activeAt(350)?.id).toBe(2)
    expect(ring.activeAt(350)?.id).toBe(3)
  })

  it("keeps its generations in the order of their activation", () => {
    const later = KeyRing.of([generation(2, 500, 900), ...ring.generations.filter(({ id }) => id !== 2)])
    expect(later.generations.map(({ id }) => id)).toEqual([1, 3, 2])
  })

  it.each([
    ["twice the same id", [generation(1, 0, 1), generation(1, 2, 3)], "generation 1: its id is used twice"],
    ["a short key", [{ ...generation(1, 0, 1), key: new Uint8Array(16) }], "expected a key of 32 bytes, found 16"],
    ["a retirement before the activation", [generation(1, 5, 5)], "activation before its retirement"],
    ["no number", [generation(1, Number.NaN, 5)], "activation before its retirement"],
    ["an id over 32 bits", [generation(2 ** 32, 0, 1)], "expected an id from 0 to 4294967295"]
  ])("refuses %s", (_, generations, message) => {
    expect(() => KeyRing.of(generations)).toThrow(InvalidKeyRing)
    expect(() => KeyRing.of(generations)).toThrow(message)
  })

  it("never seals with what it would not open", () => {
    const any = fc.record({ activation: fc.nat(100), life: fc.integer({ min: 1, max: 50 }), revoked: fc.boolean() })
    fc.assert(
      fc.property(fc.array(any, { maxLength: 12 }), fc.nat(160), (plan, now) => {
        const made = KeyRing.of(
          plan.map(({ activation, life, revoked }, id) => generation(id, activation, activation + life, revoked))
        )
        const active = made.activeAt(now)
        const usable = plan.some(
          ({ activation, life, revoked }) => !revoked && activation <= now && now < activation + life
        )
        expect(active !== undefined).toBe(usable)
        expect(active === undefined ? undefined : made.accept(active.id, now)).toBe(active)
      })
    )
  })
})
