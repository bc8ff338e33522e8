import { expect, it } from "vitest"
import { ReportPace } from "../src/report-pace.ts"

it("passes over reports that repeat the last two, but for each tenth", () => {
  const pace = new ReportPace()
  const sent = (...said: readonly string[]): string => said.map((says) => (pace.isDue(says) ? "s" : "-")).join("")
  expect(sent("a", "a", "a", "a", "b", "c", "c", "c", "b")).toBe("ss--sss-s")
  expect(sent(...Array.from({ length: 22 }, () => "b"))).toBe("s--------s---------s--")
})
