import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

let folder: string
const path = (name: string): string => join(folder, name)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-regular-"))
  writeFileSync(path("text"), "0123456789")
  writeFileSync(path("empty"), "")
  symlinkSync("text", path("link"))
  symlinkSync("loop", path("loop"))
  symlinkSync("nowhere", path("dangling"))
  execFileSync("mkfifo", [path("pipe")])
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe("a file that an operator names", () => {
  it.each([
    ["text", "0123456789"],
    ["link", "0123456789"],
    ["empty", ""]
  ])("%s is read whole", (name, text) => expect(readRegularFile(path(name), 10).toString()).toBe(text))

  it.each([
    ["a missing file", () => path("none"), "ENOENT"],
    ["a link to nowhere", () => path("dangling"), "ENOENT"],
    ["a link to itself", () => path("loop"), "ELOOP"],
    ["a path through a file", () => path("text/x"), "ENOTDIR"],
    ["a folder", () => folder, "EISDIR"],
    ["a pipe that nobody writes to", () => path("pipe"), "a pipe, socket or device and no regular file"],
    ["a device without end", () => "/dev/zero", "a pipe, socket or device and no regular file"]
  ])("%s is refused at once", (_what, place, reason) => {
    expect(() => readRegularFile(place(), 10)).toThrow(FileNotRead)
    expect(() => readRegularFile(place(), 10)).toThrow(new FileNotRead(place(), reason))
  })

  it("a longer one than is taken in is not read", () => {
    expect(() => readRegularFile(path("text"), 9)).toThrow(/10 bytes, more than 9/)
  })
})
