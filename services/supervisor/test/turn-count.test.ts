import { writeSync } from "node:fs"
import { disableNative } from "@meridian/system/native"
import { afterEach, expect, it } from "vitest"
import { type Looks, lookEachSecond, TurnCount } from "../src/turn-count.ts"

const PATIENCE = { timeout: 30_000, interval: 10 }

let turned = 0
const turn = (turns: TurnCount): void => {
  turned += 1
  writeSync(turns.descriptor, Uint32Array.of(turned), 0, 4, 0)
}

/** A place, and what its looks were told. */
const place = (mayRest: () => boolean) => {
  const told: number[] = []
  const looks = lookEachSecond((passed) => {
    told.push(passed)
    return mayRest()
  })
  opened.push(looks)
  return { told, looks }
}
const opened: Looks[] = []
afterEach(() => opened.splice(0).forEach((looks) => looks.stop()))

it("calls a place each second that wants it, and one that rests when a process of it is still", async () => {
  const turns = TurnCount.make(2)!
  const restless = place(() => false)
  const resting = place(() => true)
  const beat = setInterval(() => turn(turns), 100)
  await expect.poll(() => restless.told.length, PATIENCE).toBeGreaterThanOrEqual(2)
  restless.looks.stop()
  const before = resting.told.length
  expect(turns.still).toBe(0)
  // Nobody is called for as long as it turns.
  const woken = place(() => true)
  await expect.poll(() => woken.told.length, PATIENCE).toBe(1)
  expect(resting.told.length - before).toBeLessThanOrEqual(1)
  clearInterval(beat)
  await expect.poll(() => woken.told.length, PATIENCE).toBeGreaterThanOrEqual(2)
  expect(turns.still).toBeGreaterThanOrEqual(2)
  expect(woken.told[0]).toBe(1)
  expect(woken.told[1]).toBeGreaterThanOrEqual(2)
  turn(turns)
  expect(turns.still).toBe(0)
  turns.handedOver()
  turns.drop()
})

it("has a place that rests look at what has passed when it wakes, and then each second", async () => {
  let rests = true
  const { told, looks } = place(() => rests)
  const other = place(() => false)
  await expect.poll(() => told.length, PATIENCE).toBeGreaterThanOrEqual(1)
  other.looks.stop()
  rests = false
  looks.wake()
  const atOnce = told.length
  expect(atOnce).toBeGreaterThanOrEqual(2)
  await expect.poll(() => told.length, PATIENCE).toBeGreaterThanOrEqual(atOnce + 2)
  expect(told.slice(-1)).toEqual([1])
  looks.stop()
  const atLast = told.length
  looks.wake()
  expect(told).toHaveLength(atLast)
})

it("is not there without the addon, and messages say the same", () => {
  disableNative("a test")
  expect(TurnCount.make(2)).toBeUndefined()
})
