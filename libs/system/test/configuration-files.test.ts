import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { readConfigurationFile } from "@meridian/system/configuration-files"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-configuration-"))
  writeFileSync(join(folder, "ntp.conf"), "port 123\n")
  execFileSync("mkfifo", [join(folder, "pipe")])
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe("a configuration file", () => {
  it("is read, and a folder listed", () => {
    expect(readConfigurationFile(join(folder, "ntp.conf"), undefined)).toMatchObject({ ok: true })
    expect(readConfigurationFile(folder, undefined)).toMatchObject({ ok: true, entries: ["ntp.conf", "pipe"] })
  })

  it("that is a pipe is refused at once: a reload must not wait for its writer", () =>
    expect(readConfigurationFile(join(folder, "pipe"), undefined)).toEqual({
      ok: false,
      reason: "a pipe, socket or device and no regular file",
      missing: false
    }))

  it("that is not there is missing", () =>
    expect(readConfigurationFile(join(folder, "none"), undefined)).toEqual({
      ok: false,
      reason: "it is not there",
      missing: true
    }))

  it("may come from a shell by its descriptor, as in `config check <(…)`", () => {
    const program = `import { readConfigurationFile } from ${JSON.stringify(new URL("../src/configuration-files.ts", import.meta.url).href)}
const read = readConfigurationFile("/dev/stdin", undefined)
process.stdout.write(read.ok && "bytes" in read ? Buffer.from(read.bytes) : "nothing")`
    const shell = 'printf "port 11123\\n" | "$0" --input-type=module -e "$1"'
    expect(execFileSync("sh", ["-c", shell, process.execPath, program], { encoding: "utf8" })).toBe("port 11123\n")
  })
})
