import { expect, it } from "vitest"
import { ReceivedNews } from "../src/received-news.ts"

/** At which seconds there is news, of so many requests in each. */
const newsAt = (...came: readonly number[]): readonly number[] => {
  const news = new ReceivedNews()
  let received = 0
  news.look(0, 99)
  let known = news.text
  return came.flatMap((requests, second) => {
    news.look((received += requests), 100 + second)
    const isNew = news.text !== known
    known = news.text
    return isNew ? [second] : []
  })
}

it("has news where requests begin, each fourth second of them, and where they have ended", () => {
  expect(newsAt(9, 9, 9, 9, 9, 9, 9, 9, 9)).toEqual([0, 4, 8])
  expect(newsAt(9, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0)).toEqual([0, 4, 5])
  expect(newsAt(9, 9, 0, 0, 0, 0, 0, 0, 0, 7)).toEqual([0, 2, 4, 9])
})

it("does not tell again what was told because somebody asked", () => {
  const news = new ReceivedNews()
  news.look(0, 99)
  news.look(5, 100)
  news.look(12, 102)
  news.tell(12, 102)
  const { text } = news
  news.look(14, 103)
  news.look(20, 105)
  expect(news.text).toBe(text)
  news.look(26, 106)
  expect(news.text).not.toBe(text)
})
