import { expect, it } from "vitest"
import { rateOf } from "../src/worker-slot.ts"

it("counts over the time that a report tells of, and fills up what is less than a second by the rate before", () => {
  expect(rateOf(4_000, 4, 7)).toBe(1_000)
  expect(rateOf(0, 1, 1_000)).toBe(0)
  expect(rateOf(0, 0.1, 10)).toBe(9)
  expect(rateOf(1, 0.1, 10)).toBe(10)
  expect(rateOf(700, 0.7)).toBe(700)
})
