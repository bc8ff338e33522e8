import { writeSync } from "node:fs"
import { disableNative } from "@meridian/system/native"
import { expect, it } from "vitest"
import { TurnCount } from "../src/turn-count.ts"

it("tells whether there were turns since it was asked last, also of a descriptor that is closed here", () => {
  const turns = TurnCount.make()!
  expect(turns.hasTurned()).toBe(false)
  for (const count of [1, 2]) {
    writeSync(turns.descriptor, Uint32Array.of(count), 0, 4, 0)
    expect([turns.hasTurned(), turns.hasTurned()]).toEqual([true, false])
  }
  writeSync(turns.descriptor, Uint32Array.of(0), 0, 4, 0)
  turns.handedOver()
  expect([turns.hasTurned(), turns.hasTurned()]).toEqual([true, false])
})

it("is not there without the addon, and messages say the same", () => {
  disableNative("a test")
  expect(TurnCount.make()).toBeUndefined()
})
