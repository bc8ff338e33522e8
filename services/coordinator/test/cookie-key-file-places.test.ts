/** What may stand in the place of the file of `nts cookie` besides files. */
import { execFileSync } from "node:child_process"
import { lstatSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"
import { CookieKeyFile } from "../src/cookie-key-file.ts"
import { makePlace, type Place } from "./running-coordinator.ts"

let place: Place
let file = ""
beforeEach(() => {
  place = makePlace()
  file = join(place.path, "nts-keys")
})
afterEach(() => place.remove())

const keyOf = (generation: number) => ({ generation, key: new Uint8Array(32).fill(generation) })

it.each([
  ["a pipe that nobody writes to", () => void execFileSync("mkfifo", [file]), /name another/],
  ["a device without end", () => symlinkSync("/dev/zero", file), /name another/],
  ["a link to itself", () => symlinkSync("nts-keys", file), /links that lead to each other/]
])("%s is not waited for, and stays as it is", (_what, make, why) => {
  make()
  const before = lstatSync(file)
  const warnings: string[] = []
  const keeping = new CookieKeyFile(file, (message) => warnings.push(message))
  expect(keeping.read()).toBeUndefined()
  expect(warnings).toEqual([expect.stringMatching(why)])
  keeping.keep([keyOf(1)], 1_795_273_000_000)
  expect(lstatSync(file).ino).toBe(before.ino)
})
