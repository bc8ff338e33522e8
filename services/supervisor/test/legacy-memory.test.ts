import { closeSync, fstatSync, openSync } from "node:fs"
import { expect, it } from "vitest"
import { leaveMemory } from "../src/legacy.ts"

it("memory of another version's shape is closed, once each, and nothing else", () => {
  const [page, first, second, other] = Array.from({ length: 4 }, () => openSync("/dev/zero", "r"))
  leaveMemory({ page: { writable: page!, readable: page! }, clients: [first!, second!] })
  const isOpen = (descriptor: number | undefined): boolean => {
    try {
      return fstatSync(descriptor!).isCharacterDevice()
    } catch {
      return false
    }
  }
  expect([page, first, second, other].map(isOpen)).toEqual([false, false, false, true])
  closeSync(other!)
})
