/** How long to wait before what failed is tried again. */
import { expect, it } from "vitest"
import { backoff } from "@meridian/time/backoff"

it("doubles from the first to the longest and goes no further", () => {
  const waits = [1, 2, 3, 4, 5, 5_000].map((failures) => backoff({ first: 100, longest: 1_000 }, failures))
  expect(waits).toEqual([100, 200, 400, 800, 1_000, 1_000])
})
