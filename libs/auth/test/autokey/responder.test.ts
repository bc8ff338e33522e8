/** What a responder says to values that are wrong, to certificates that it must not sign, and to what is no request. */
import { AutokeyOperation, autokeyFieldLength } from "@meridian/wire/autokey-fields"
import { octetsOf } from "@meridian/wire/der"
import { describe, expect, it } from "vitest"
import type { AutokeyHost } from "../../src/autokey/host.ts"
import { groups, q } from "./groups.ts"
import { hostOf, NOW, partyOf } from "./parties.ts"

describe("a responder", () => {
  const alice = partyOf(hostOf("alice", { kind: "trusted", identity: [groups.iff.identity] }))
  const context = { cookie: 7, now: NOW }
  const ask = (operation: number, value?: Uint8Array, filestamp = 0) =>
    alice.responder.answer(
      {
        operation,
        isResponse: false,
        isError: false,
        associationId: 9,
        content: value === undefined ? undefined : { timestamp: 0, filestamp, value, signature: new Uint8Array(0) }
      },
      context
    )
  const text = (name: string): Uint8Array => new TextEncoder().encode(name)

  it.each([
    ["bad-value", AutokeyOperation.association, undefined],
    ["bad-value", AutokeyOperation.association, new Uint8Array(0)],
    ["bad-value", AutokeyOperation.certificate, new Uint8Array(300).fill(0x61)],
    ["bad-value", AutokeyOperation.certificate, text("two words")],
    ["no-certificate", AutokeyOperation.certificate, text("nobody")],
    ["bad-public-key", AutokeyOperation.cookie, new Uint8Array(140)],
    ["bad-public-key", AutokeyOperation.cookie, undefined],
    ["bad-challenge", AutokeyOperation.iff, new Uint8Array(20)],
    ["bad-challenge", AutokeyOperation.iff, octetsOf(q, 20)],
    ["bad-challenge", AutokeyOperation.iff, new Uint8Array(2_000)],
    ["bad-challenge", AutokeyOperation.iff, undefined],
    ["no-group-key", AutokeyOperation.gq, Uint8Array.of(1)],
    ["no-group-key", AutokeyOperation.mv, Uint8Array.of(1)],
    ["bad-certificate", AutokeyOperation.sign, new Uint8Array(400)],
    ["bad-certificate", AutokeyOperation.sign, undefined],
    ["no-association", AutokeyOperation.autokey, undefined],
    ["unknown-operation", 10, undefined],
    ["unknown-operation", 0, undefined]
  ] as const)("says %s to operation %d", (reason, operation, value) => {
    const answer = ask(operation, value)
    expect(answer.reason).toBe(reason)
    expect(answer.field?.isError).toBe(reason !== "no-certificate")
    expect(answer.field === undefined ? 0 : autokeyFieldLength(answer.field)).toBe(8)
  })

  it("signs no certificate that is its own, expired, or signed by another key", () => {
    const sign = (host: AutokeyHost) => ask(AutokeyOperation.sign, host.certificate.der).reason
    expect(sign(hostOf("bob", { key: 1 }))).toBe("sign")
    expect(sign(hostOf("alice", { key: 1 }))).toBe("bad-certificate")
    expect(sign(hostOf("bob", { key: 1, from: NOW - 366 * 86_400 }))).toBe("bad-certificate")
    expect(sign(hostOf("bob", { key: 1, from: NOW + 9 }))).toBe("bad-certificate")
    const signed = ask(AutokeyOperation.sign, hostOf("bob", { key: 1 }).certificate.der).field!.content!.value
    expect(ask(AutokeyOperation.sign, signed).reason).toBe("bad-certificate")
  })

  it("signs no certificate that would be longer than a field", () => {
    const long = hostOf("bob", { key: 1, gqPublic: 1n << 12_400n }).certificate.der
    expect(long.length).toBeGreaterThan(1_900)
    const answer = ask(AutokeyOperation.sign, long)
    expect([answer.reason, answer.field?.isError]).toEqual(["too-long", true])
    expect(autokeyFieldLength(answer.field!)).toBe(8)
  })

  it("does not answer responses", () => {
    const answer = alice.responder.answer(
      { operation: 1, isResponse: true, isError: false, associationId: 9, content: undefined },
      context
    )
    expect(answer).toEqual({ reason: "no-request", field: undefined })
  })
})
