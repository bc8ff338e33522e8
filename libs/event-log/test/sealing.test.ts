import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { AnyEvent } from "@meridian/events"
import {
  fingerprint,
  inspectSeals,
  ntsKeyPlace,
  openKey,
  rewrapKey,
  sealKey,
  symmetricKeyPlace
} from "../src/sealing.ts"
import { published } from "./sample-events.ts"

const clusterKey = new Uint8Array(32).fill(1)
const otherKey = new Uint8Array(32).fill(2)
const place = { subject: "keys.nts", generation: 7, purpose: "nts-cookie" }
const secret = new Uint8Array(32).fill(9)

describe("sealing", () => {
  it("opens what it sealed, and gives a different box each time", () => {
    const first = sealKey(clusterKey, place, "nts.7.a", secret)
    const second = sealKey(clusterKey, place, "nts.7.a", secret)
    expect(first.sealed.box).not.toBe(second.sealed.box)
    expect(openKey(clusterKey, place, first.sealed, first.wrapped)).toEqual(secret)
    expect(() => openKey(clusterKey, place, first.sealed, second.wrapped)).toThrow("does not open")
  })

  it("binds a key to its subject, generation, purpose and slot", () => {
    const { sealed, wrapped } = sealKey(clusterKey, place, "nts.7.a", secret)
    const elsewhere = [
      { ...place, subject: "keys.symmetric" },
      { ...place, generation: 8 },
      { ...place, purpose: "symmetric:7:AES128CMAC" }
    ]
    for (const other of elsewhere) expect(() => openKey(clusterKey, other, sealed, wrapped)).toThrow("does not open")
    expect(() => openKey(clusterKey, place, { ...sealed, slot: "nts.7.b" }, wrapped)).toThrow("does not open")
  })

  it("says which cluster key is wanted", () => {
    const { sealed, wrapped } = sealKey(clusterKey, place, "nts.7.a", secret)
    expect(() => openKey(otherKey, place, sealed, wrapped)).toThrow(
      `wrapped under cluster key ${fingerprint(clusterKey)}, this node has ${fingerprint(otherKey)}`
    )
  })

  it("wraps anew without touching what is in the event", () => {
    const { sealed, wrapped } = sealKey(clusterKey, place, "nts.7.a", secret)
    const fresh = rewrapKey(clusterKey, otherKey, "nts.7.a", wrapped)
    expect(openKey(otherKey, place, sealed, fresh)).toEqual(secret)
    expect(() => openKey(clusterKey, place, sealed, fresh)).toThrow("this node has")
  })

  it("condemns an event whose key does not open where it stands, and leaves shredded ones in peace", () => {
    const { sealed, wrapped } = sealKey(clusterKey, ntsKeyPlace(7), "nts.7.a", secret)
    const inspect = inspectSeals(clusterKey, (slot) => (slot === "nts.7.a" ? wrapped : undefined))
    expect(inspect(published(1, 7, sealed))).toBeUndefined()
    expect(inspect(published(1, 8, sealed))).toContain("does not open")
    expect(inspect(published(1, 8, { ...sealed, slot: "nts.8.b" }))).toBeUndefined()
    expect(inspectSeals(otherKey, () => wrapped)(published(1, 7, sealed))).toContain("this node has")
    const key = sealKey(clusterKey, symmetricKeyPlace(3, 11, "SHA1"), "nts.7.a", secret)
    const announced = (type: string): AnyEvent => ({
      ...published(1, 7, sealed),
      type: "SymmetricSetAnnounced",
      subject: "keys.symmetric",
      data: {
        set: 3,
        keys: [{ keyId: 11, type, sealed: key.sealed }],
        trustedFrom: "2026-11-22T12:00:00.000Z",
        predecessorUntil: "2026-11-22T12:00:00.000Z"
      }
    })
    expect(inspectSeals(clusterKey, () => key.wrapped)(announced("SHA1"))).toBeUndefined()
    expect(inspectSeals(clusterKey, () => key.wrapped)(announced("MD5"))).toContain("does not open")
  })

  it("opens nothing that was changed by a bit, and never shows the key in an error", () => {
    const { sealed, wrapped } = sealKey(clusterKey, place, "nts.7.a", secret)
    const bytes = Buffer.from(sealed.box, "base64")
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), fc.nat(wrapped.box.length * 8 - 1), (inEvent, inStore) => {
        const event = Buffer.from(bytes)
        event[inEvent >> 3] = (event[inEvent >> 3] as number) ^ (1 << (inEvent & 7))
        const keyStore = wrapped.box.slice()
        keyStore[inStore >> 3] = (keyStore[inStore >> 3] as number) ^ (1 << (inStore & 7))
        const changed = { slot: sealed.slot, box: event.toString("base64") }
        expect(() => openKey(clusterKey, place, changed, wrapped)).toThrow(/^the key of keys.nts 7 does not open/)
        expect(() => openKey(clusterKey, place, sealed, { ...wrapped, box: keyStore })).toThrow(
          /^slot nts.7.a does not open/
        )
      }),
      { numRuns: 100 }
    )
    for (const box of ["", "AAAA"])
      expect(() => openKey(clusterKey, place, { slot: "nts.7.a", box }, wrapped)).toThrow("does not open")
  })
})
