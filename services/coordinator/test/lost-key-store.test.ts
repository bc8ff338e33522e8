/** A node on its own whose key store was lost or damaged, its log and cluster key being whole. */
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { coordinatorsForEach } from "./coordinators-for-each.ts"
import { ids, type RunningCoordinator } from "./running-coordinator.ts"

const own = coordinatorsForEach()
const start = (): RunningCoordinator => own.start("a", "a")

it("says so, revokes what nobody can open any more, and goes on with fresh keys", async () => {
  const first = start()
  expect(ids(await first.keys())).toEqual([1, 2])
  await first.drain()
  rmSync(join(first.directory, "shelf"), { recursive: true })
  const again = start()
  expect(await again.warning(/keys.nts 1 is gone from the key store/)).toContain("put aside")
  const { generations } = await again.keys((keys) => ids(keys).length === 2 && !ids(keys).includes(2))
  expect(Math.min(...generations.map(({ id }) => id))).toBeGreaterThanOrEqual(3)
  const { ntsKeys } = await again.stateWhen(({ putAside }) => putAside.length === 0)
  expect(ntsKeys.filter(({ status }) => status === "revoked").map(({ generation }) => generation)).toEqual([1, 2])
  expect(ntsKeys.filter(({ status }) => status === "active")).toHaveLength(1)
})

it("puts a damaged key store aside by name, says so, and goes on with fresh keys", async () => {
  const first = start()
  await first.keys()
  await first.drain()
  const file = join(first.directory, "shelf", "keys.sqlite")
  const rubbish = "no database at all, and longer than a header of one hundred bytes ".repeat(9)
  writeFileSync(file, rubbish)
  const again = start()
  const [, aside = ""] = /kept as (\S+);/.exec(await again.warning(/the key store was damaged/)) ?? []
  expect(readFileSync(aside, "utf8")).toBe(rubbish)
  const { generations } = await again.keys((keys) => ids(keys).length === 2 && !ids(keys).includes(2))
  expect(Math.min(...generations.map(({ id }) => id))).toBeGreaterThanOrEqual(3)
})
