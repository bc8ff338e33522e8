import { expect, it } from "vitest"
import { connectionsWithin } from "../src/open-files.ts"

const limits = (soft: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units\nMax open files            ${soft.padEnd(20)} 1048576              files\n`

it.each([
  ["1024", 512, 512],
  ["256", 512, 192],
  ["64", 512, 1],
  ["10", 512, 1],
  ["unlimited", 5_000, 5_000],
  ["1024", 5_000, 960]
])("of %s open files and %d wanted connections, %d can be had", (soft, wanted, had) => {
  expect(connectionsWithin(wanted, limits(soft))).toBe(had)
})

it("takes what is wanted where the system does not tell", () => {
  expect(connectionsWithin(512, "")).toBe(512)
  expect(connectionsWithin(1)).toBe(1)
})
