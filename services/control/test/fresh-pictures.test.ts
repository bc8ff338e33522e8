import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { FreshPictures } from "../src/fresh-pictures.ts"
import { Picture } from "../src/picture.ts"
import { snapshotOf } from "./snapshots.ts"

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const shown = () => {
  const picture = new Picture()
  const asked = { looks: 0, monotonic: 1_000, answered: 0 }
  const fresh = new FreshPictures(
    picture,
    () => (asked.looks += 1),
    () => asked.monotonic
  )
  const take = (): void => picture.replace(snapshotOf({ monotonic: asked.monotonic }))
  const ask = (): void => fresh.when(() => (asked.answered += 1))
  return { asked, take, ask }
}

it("answers at once by a picture of now, and where there is none yet", () => {
  const { asked, take, ask } = shown()
  ask()
  take()
  asked.monotonic += 0.9
  ask()
  expect(asked).toMatchObject({ looks: 0, answered: 2 })
})

it("asks once for a new one where it is older, and answers all who wait when that comes", () => {
  const { asked, take, ask } = shown()
  take()
  asked.monotonic += 3
  ask()
  ask()
  expect(asked).toMatchObject({ looks: 1, answered: 0 })
  take()
  expect(asked).toMatchObject({ looks: 1, answered: 2 })
  ask()
  expect(asked).toMatchObject({ looks: 1, answered: 3 })
})

it("answers by the old one where none comes, and under a flood", () => {
  const { asked, take, ask } = shown()
  take()
  asked.monotonic += 3
  ask()
  vi.advanceTimersByTime(249)
  expect(asked.answered).toBe(0)
  vi.advanceTimersByTime(1)
  expect(asked.answered).toBe(1)
  for (let count = 0; count < 100; count += 1) ask()
  expect(asked).toMatchObject({ looks: 2, answered: 1 + 100 - 64 })
})
