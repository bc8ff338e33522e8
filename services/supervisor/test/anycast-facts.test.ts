/** What the announcing process is told of the node's health, and when. */
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { type AnycastSlot, tellFacts } from "../src/anycast-slot.ts"

beforeEach(() => void vi.useFakeTimers({ now: 12_400, toFake: ["Date", "performance", "setTimeout", "clearTimeout"] }))
afterEach(() => void vi.useRealTimers())

it("is told each fourth second while nothing is new, and within a second where something is or many ask", async () => {
  const told: string[] = []
  const slot = {
    tell: ({ workers, rate }: { readonly workers: number; readonly rate: number }) =>
      told.push(`${Math.floor(Date.now() / 1e3)} ${workers} ${Math.round(rate)}`)
  } as unknown as AnycastSlot
  let [workers, received] = [2, 0]
  let looks = 0
  const freshen = (): Promise<void> => Promise.resolve(void (looks += 1))
  const known = { exchanging: 0, keyProblem: "", clockDoubt: "" }
  const facts = tellFacts(slot, freshen, () => ({ ...known, workers, received, monotonic: Date.now() / 1e3 }))
  await vi.advanceTimersByTimeAsync(12_000)
  expect(told.splice(0)).toEqual(["12 2 0", "20 2 0", "24 2 0"])
  workers = 1
  facts.sooner(1_000)
  await vi.advanceTimersByTimeAsync(2_000)
  expect(told.splice(0)).toEqual(["25 1 0"])
  received += 5_000
  facts.sooner(1_000)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(told.splice(0)).toEqual([expect.stringMatching(/^27 1 [1-9]\d{3}$/)])
  facts.stop()
  const looksWhileTold = looks
  await vi.advanceTimersByTimeAsync(20_000)
  expect(told).toEqual([])
  expect(looksWhileTold).toBeGreaterThan(4)
  expect(looks).toBe(looksWhileTold)
})
