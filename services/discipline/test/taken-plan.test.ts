/** What an operator asks for is in the report before the plan that says so is held: the supervisor answers him then, and he looks next. */
import { afterAll, beforeAll, expect, it } from "vitest"
import {
  configurationOf,
  type Folder,
  makeFolder,
  type RunningDiscipline,
  startDiscipline,
  upstream
} from "./running-discipline.ts"

let folder: Folder
let discipline: RunningDiscipline
beforeAll(async () => {
  folder = makeFolder()
  discipline = await startDiscipline(folder, { sources: [upstream("127.0.0.1", 9), upstream("127.0.0.2", 9)] })
})
afterAll(async () => {
  await discipline?.stop()
  folder.remove()
})

it("a source that is offline", async () => {
  const taken = await discipline.useConfiguration({ offline: ["127.0.0.2"] })
  expect(taken?.sources.map(({ address, offline = false }) => [address, offline])).toEqual([
    ["127.0.0.1", false],
    ["127.0.0.2", true]
  ])
  const back = await discipline.useConfiguration({ offline: [] })
  expect(back?.sources.some(({ offline }) => offline === true)).toBe(false)
})

it("a source that is new", async () => {
  const { sources } = configurationOf(folder, { sources: [upstream("127.0.0.1", 9), upstream("127.0.0.3", 9)] })
  const taken = await discipline.useConfiguration({ sources })
  expect(taken?.sources.map(({ address }) => address)).toEqual(["127.0.0.1", "127.0.0.3"])
})
