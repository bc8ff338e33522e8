/** What errors of the system are said to mean. */
import { constants } from "node:os"
import { getSystemErrorName } from "node:util"
import { expect, it } from "vitest"
import { errnoAdvice } from "../src/errno-words.ts"

it("what a driver or a clock cannot do is said so under the name that Node gives the error", () => {
  const name = getSystemErrorName(-constants.errno.EOPNOTSUPP)
  expect(errnoAdvice("xdp", name)).toMatch(/try `generic`/)
  expect(errnoAdvice("clock", name)).toBe("it cannot do this")
  expect(errnoAdvice("xdp", "EOPNOTSUPP")).toBe(errnoAdvice("xdp", name))
})
