/** The client's cookies where the file system is not as expected: never used twice, never written elsewhere, never waited for. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"
import { CookieJars, type Jar } from "../src/cookie-jar.ts"

let folder = ""
let jars: CookieJars
const file = (name: string): string => join(folder, name)
const jar: Jar = {
  aead: 15,
  c2s: new Uint8Array(32).fill(1),
  s2c: new Uint8Array(32).fill(2),
  cookies: [new Uint8Array(100).fill(3)],
  address: "192.0.2.1",
  port: 123
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-jars-"))
  jars = new CookieJars(folder)
  jars.save(new Map([["a", jar]]))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it.each([
  ["cookies", "nts-cookies", /nts-cookies cannot be read: a pipe.*exchanged anew/],
  ["key", "nts-cookies.key", /nts-cookies\.key cannot be read: a pipe.*exchanged anew/]
])("a pipe in the place of the %s is not waited for", (_what, name, problem) => {
  rmSync(file(name))
  execFileSync("mkfifo", [file(name)])
  expect(jars.take()).toEqual({ jars: new Map(), problem: expect.stringMatching(problem) })
})

it("cookies that cannot be taken out of their file are not used, and it is said why", () => {
  mkdirSync(file("nts-cookies.new"))
  writeFileSync(join(file("nts-cookies.new"), "x"), "")
  const { jars: taken, problem } = jars.take()
  expect(taken.size).toBe(0)
  expect(problem).toMatch(/nts-cookies cannot be written \(.+\): its cookies could be used twice and are not/)
})

it("a link that somebody put where the next file is written is not followed", () => {
  for (const name of ["nts-cookies.new", "nts-cookies.key"]) {
    rmSync(file(name), { force: true })
    symlinkSync(file("elsewhere"), file(name))
  }
  jars.save(new Map([["b", jar]]))
  expect(existsSync(file("elsewhere"))).toBe(false)
  expect([...jars.take().jars.keys()]).toEqual(["b"])
})

it("a key of another length is replaced, and what it closed is lost", () => {
  renameSync(file("nts-cookies.key"), file("old"))
  writeFileSync(file("nts-cookies.key"), new Uint8Array(33))
  expect(jars.take().problem).toMatch(/does not open/)
  jars.save(new Map([["b", jar]]))
  expect([...jars.take().jars.keys()]).toEqual(["b"])
})
