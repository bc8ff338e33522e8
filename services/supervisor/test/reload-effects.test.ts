import { expect, it } from "vitest"
import { changesBetween } from "../src/reload.ts"

it.each([
  ["fallbackdrift", "6 18", "clock"],
  ["maxupdateskew", "100", "clock"],
  ["tos", "minsane 3", "clock"],
  ["server", "127.127.1.0", "clock"],
  ["server", "ntp.example", "now"],
  ["nts ca", "/ca", "now"],
  ["nts port", "4460", "restart"],
  ["nts", "enable", "restart"],
  ["enable", "stats", "clock"],
  ["enable", "ntp", "restart"],
  ["crypto host", "a", "restart"],
  ["cluster nats", "a:1", "restart"],
  ["workers", "2", "restart"]
])("a line %s %s takes effect as the reference says: %s", (directive, value, effect) => {
  expect(changesBetween([], [{ directive, value, origin: { kind: "default" } }])).toMatchObject([{ effect }])
})
