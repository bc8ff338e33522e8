/** Events that bear a MAC: whatever is done to one, or to where it stands, it is not believed any more. */
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { AnyEvent } from "@meridian/events"
import { Authenticity, LATE_PLACES, type LogKeys, logKeyOf } from "../src/authenticity.ts"
import { overStore } from "../src/commit-store.ts"
import { memoryStore } from "../src/memory.ts"
import { fingerprint } from "../src/sealing.ts"
import { eventsOf, readAll, run } from "./log-fixture.ts"
import { clockEvent, policyEvent, takeOver } from "./sample-events.ts"

const [FIRST, SECOND, THIRD] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array
]

/** A node that has some cluster keys and signs under the last of them. */
const nodeWith = (keys: ReadonlyArray<Uint8Array>, stream = "log"): Authenticity => {
  const held = new Map(keys.map((key) => [fingerprint(key), logKeyOf(key)]))
  const logKeys: LogKeys = { logKey: (print) => held.get(print), addLogKey: (print, key) => void held.set(print, key) }
  return new Authenticity(stream, logKeys, () => fingerprint(keys.at(-1) as Uint8Array))
}

const reasonOf = (node: Authenticity, value: unknown, seq = 1, subject = "keys.nts"): string =>
  node.doubt(subject, value, seq)?.reason ?? "believed"

const sealed = (version: number): AnyEvent =>
  ({ ...takeOver(version), type: "LogSealed", subject: "keys.cluster", data: {} }) as AnyEvent

describe("an event with a MAC", () => {
  it("is believed as it was written, read back from its text", () => {
    const node = nodeWith([FIRST])
    for (const event of [takeOver(1), policyEvent(3)])
      expect(reasonOf(node, JSON.parse(JSON.stringify(node.sign(event))), 1, event.subject)).toBe("believed")
    expect(node.sign(clockEvent("node-a", 1))).toEqual(clockEvent("node-a", 1))
  })

  it("is not believed with any character changed, under another key, or in another log", () => {
    const node = nodeWith([FIRST])
    node.hear(node.sign(sealed(1)), 0)
    const text = JSON.stringify(node.sign(takeOver(7)))
    fc.assert(
      fc.property(fc.nat({ max: text.length - 1 }), fc.integer({ min: 32, max: 126 }), (at, code) => {
        const changed = `${text.slice(0, at)}${String.fromCharCode(code)}${text.slice(at + 1)}`
        let value: unknown
        try {
          value = JSON.parse(changed)
        } catch {
          return
        }
        const isSame = JSON.stringify(value) === text
        expect(reasonOf(node, value) === "believed").toBe(isSame)
      }),
      { numRuns: 2_000 }
    )
    const signed: unknown = JSON.parse(text)
    expect(reasonOf(nodeWith([FIRST], "other"), signed)).toBe("forged")
    expect(reasonOf(nodeWith([SECOND]), signed)).toBe("unknown-key")
    for (const mac of ["", "x", 7, null, "0123456789abcdef.", `0123456789abcdef.${"A".repeat(44)}`])
      expect(reasonOf(node, { ...takeOver(7), mac })).toBe("forged")
  })

  it("may be missing until the log is sealed, and from there on in no event but a clock's", () => {
    const node = nodeWith([FIRST])
    expect(reasonOf(node, takeOver(1), 5)).toBe("believed")
    expect(reasonOf(node, { ...sealed(1) }, 5, "keys.cluster")).toBe("forged")
    expect(reasonOf(node, { ...takeOver(1), type: "NtsKeysRestored" }, 5)).toBe("forged")
    node.hear(node.sign(sealed(1)), 8)
    expect(reasonOf(node, takeOver(1), 8)).toBe("believed")
    expect(reasonOf(node, takeOver(1), 9)).toBe("forged")
    expect(reasonOf(node, policyEvent(1), 9, "policy")).toBe("forged")
    expect(reasonOf(node, clockEvent("node-a", 1), 9, "clock.node-a")).toBe("believed")
    const again = nodeWith([FIRST])
    again.restore(node.state)
    expect([reasonOf(again, takeOver(1), 8), reasonOf(again, takeOver(1), 9)]).toEqual(["believed", "forged"])
  })

  it("counts under a former cluster key for a little while after the change, and then no more", () => {
    const former = nodeWith([FIRST])
    const node = nodeWith([FIRST, SECOND])
    const changed = {
      ...takeOver(1),
      type: "ClusterKeyChanged",
      data: { key: fingerprint(SECOND) }
    } as unknown as AnyEvent
    node.hear(former.sign({ ...changed, subject: "keys.cluster" } as AnyEvent), 100)
    const late = former.sign(takeOver(9))
    expect(reasonOf(node, late, 100 + LATE_PLACES)).toBe("believed")
    expect(reasonOf(node, late, 101 + LATE_PLACES)).toBe("forged")
    expect(reasonOf(node, node.sign(takeOver(9)), 10_000)).toBe("believed")
  })

  it("is believed by a node that has the newest key alone, from what each change has handed down", async () => {
    const [one, two] = [nodeWith([FIRST, SECOND]), nodeWith([SECOND, THIRD])]
    const [a, b, c] = [FIRST, SECOND, THIRD].map(fingerprint) as [string, string, string]
    const bodyOf = (data: object): string => JSON.stringify([{ data }])
    const bodies = [
      bodyOf({ from: a, to: b, log: one.handDown(a, b) }),
      "rubbish",
      bodyOf({ from: b, to: c, log: "AAAA" }),
      bodyOf({ from: b, to: c, log: two.handDown(b, c) })
    ]
    const read = async function* () {
      yield { commits: bodies.map((body, index) => ({ seq: index + 1, subject: "keys.cluster", body })) }
    }
    const fresh = nodeWith([THIRD])
    const old = nodeWith([FIRST]).sign(takeOver(1))
    expect(reasonOf(fresh, old)).toBe("unknown-key")
    expect([...fresh.lacking]).toEqual([a])
    await fresh.learn(read)
    expect(reasonOf(fresh, old)).toBe("believed")
    const other = nodeWith([THIRD], "other")
    await other.learn(read)
    expect(reasonOf(other, old)).toBe("unknown-key")
  })
})

describe("a log whose events bear MACs", () => {
  it("hands out what nodes have written, and puts aside what others have slipped in", async () => {
    const store = memoryStore()
    const log = overStore(store, undefined, nodeWith([FIRST]))
    await run(log.append("keys.cluster", [sealed(1)], 0))
    await run(log.append("keys.nts", [takeOver(1)], 0))
    store.inject("keys.nts", JSON.stringify([takeOver(2, "forged")]))
    store.inject("keys.nts", JSON.stringify([nodeWith([SECOND]).sign(takeOver(3, "stolen"))]))
    store.inject("policy", JSON.stringify([policyEvent(1)]))
    store.inject("clock.node-a", JSON.stringify([clockEvent("node-a", 1)]))
    const batches = await readAll(overStore(store, undefined, nodeWith([FIRST])))
    expect(eventsOf(batches).map(({ id }) => id)).toEqual(["keys-1", "keys-1", "node-a-1"])
    expect(batches.flatMap(({ quarantined }) => quarantined.map(({ reason }) => reason))).toEqual([
      "forged",
      "unknown-key",
      "forged"
    ])
    expect(await run(Effect.map(log.status, ({ quarantined }) => quarantined.total))).toBe(0)
  })

  it("goes on over a hole where that is asked for, and never otherwise", async () => {
    const log = overStore(memoryStore())
    const later = takeOver(7)
    expect((await run(Effect.result(log.append("keys.nts", [later], 6))))._tag).toBe("Failure")
    expect(await run(log.append("keys.nts", [later], 6, { overHole: true }))).toMatchObject({ version: 7 })
    expect((await run(Effect.result(log.append("keys.nts", [takeOver(5)], 4, { overHole: true }))))._tag).toBe(
      "Failure"
    )
  })
})
