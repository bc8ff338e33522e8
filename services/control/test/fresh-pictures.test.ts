import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { FreshPictures } from "../src/fresh-pictures.ts"

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const shown = () => {
  const asked = { looks: 0, monotonic: 1_000, answered: 0 }
  const fresh = new FreshPictures(
    () => (asked.looks += 1),
    () => asked.monotonic
  )
  const ask = (): void => fresh.when(() => (asked.answered += 1))
  return { asked, fresh, ask }
}

it("asks once for a picture of now, and answers all who wait when it comes, and others by it for a second", () => {
  const { asked, fresh, ask } = shown()
  ask()
  ask()
  expect(asked).toMatchObject({ looks: 1, answered: 0 })
  fresh.came()
  expect(asked).toMatchObject({ looks: 1, answered: 2 })
  asked.monotonic += 0.9
  ask()
  expect(asked).toMatchObject({ looks: 1, answered: 3 })
  asked.monotonic += 0.2
  ask()
  expect(asked).toMatchObject({ looks: 2, answered: 3 })
})

it("answers by what there is where none comes, and under a flood", () => {
  const { asked, ask } = shown()
  ask()
  vi.advanceTimersByTime(249)
  expect(asked.answered).toBe(0)
  vi.advanceTimersByTime(1)
  expect(asked.answered).toBe(1)
  for (let count = 0; count < 100; count += 1) ask()
  expect(asked).toMatchObject({ looks: 2, answered: 1 + 100 - 64 })
})
