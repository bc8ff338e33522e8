/** Requests that cannot be meant, at the socket of a real coordinator: refused as such, and it goes on. */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import { makePlace, type Place, type RunningCoordinator, startCoordinator } from "./running-coordinator.ts"

let place: Place
let coordinator: RunningCoordinator
beforeAll(async () => {
  place = makePlace()
  coordinator = startCoordinator(join(place.path, "a"), "a")
  await coordinator.stateWhen(({ leading }) => leading)
})
afterAll(async () => {
  await coordinator.kill()
  place.remove()
})

it.each([
  "//",
  "http://[",
  "/log?from=",
  "/log?from=0",
  "/log?from=1e3",
  "/log?from=0x10",
  "/log?from=9007199254740992",
  "/log?subject=keys.*",
  "/log?subject=clock.",
  "/explain?at=",
  "/explain?at=foo%205",
  "/explain?at=2026",
  "/explain?at=2026-11-21T12:00:00",
  "/explain?at=%2B275760-09-13T00:00:00.000Z"
])("GET %s", async (path) => {
  const { status, text } = await coordinator.ask("GET", path)
  expect([status, JSON.parse(text)]).toMatchObject([400, { error: { tag: "Malformed" } }])
})

it.each(["/dev/zero", "/dev/null", "/", "/proc/self/environ", "a\u0000b"])("a cluster key in %j", async (newKeyFile) =>
  expect((await coordinator.ask("POST", "/cluster/key", { newKeyFile })).status).toBe(400)
)

it("a cluster key in a pipe that nobody writes to", async () => {
  const pipe = join(place.path, "pipe")
  execFileSync("mkfifo", ["-m", "600", pipe])
  const { status, text } = await coordinator.ask("POST", "/cluster/key", { newKeyFile: pipe })
  expect([status, text]).toEqual([400, expect.stringContaining("is no file")])
  expect((await coordinator.state()).clusterKey.changingTo).toBeNull()
})
