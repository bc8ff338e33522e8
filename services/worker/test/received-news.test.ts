import { expect, it } from "vitest"
import { ReceivedNews } from "../src/received-news.ts"

/** What is told at each second, of so many requests in each. */
const toldOf = (probes: number, ...came: readonly number[]): readonly number[] => {
  const news = new ReceivedNews()
  let received = 0
  return came.map((requests, second) => news.told((received += requests), probes, 100 + second))
}

it("tells what came as it comes, and the node's own probes each fourth second", () => {
  expect(toldOf(0, 1, 1, 1, 1, 1)).toEqual([1, 2, 3, 4, 5])
  expect(toldOf(1, 1, 1, 1, 1, 1, 1, 1, 1, 1)).toEqual([1, 1, 1, 1, 5, 5, 5, 5, 9])
  expect(toldOf(2, 2, 2, 9, 40, 2, 2)).toEqual([2, 2, 13, 53, 53, 53])
  expect(toldOf(1, 1, 0, 0, 0, 0, 0, 7)).toEqual([1, 1, 1, 1, 1, 1, 8])
})
