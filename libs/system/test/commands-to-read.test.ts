import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { execFileSync } from "node:child_process"
import { commandsToRead } from "@meridian/system/commands-to-read"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

const isRoot = process.getuid?.() === 0
/** Of nobody that this machine knows. */
const READER = { uid: 54_321, gid: 54_322 }

describe.runIf(isRoot)("commands that let a user read a file", () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "meridian-access-"))
    chmodSync(folder, 0o755)
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it("name each closed folder and the file, as certbot lays them out, and are enough", () => {
    const [live, archive] = [join(folder, "live"), join(folder, "archive")]
    for (const closed of [live, archive]) mkdirSync(closed, { mode: 0o700 })
    for (const site of [live, archive]) mkdirSync(join(site, "time.example"))
    writeFileSync(join(archive, "time.example/privkey1.pem"), "key", { mode: 0o600 })
    symlinkSync("../../archive/time.example/privkey1.pem", join(live, "time.example/privkey.pem"))
    const path = join(live, "time.example/privkey.pem")
    const commands = commandsToRead(path, READER)
    expect(commands).toEqual([
      `chgrp 54322 ${live} && chmod g+x ${live}`,
      `chgrp 54322 ${archive} && chmod g+x ${archive}`,
      `chgrp 54322 ${archive}/time.example/privkey1.pem && chmod g+r ${archive}/time.example/privkey1.pem`
    ])
    const read = (): string =>
      execFileSync("setpriv", ["--reuid=54321", "--regid=54322", "--clear-groups", "cat", path], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"]
      })
    expect(read).toThrow("failed")
    for (const line of commands) execFileSync("sh", ["-c", line])
    expect(read()).toBe("key")
    expect(commandsToRead(path, READER)).toEqual([])
  })

  it("are chmod alone for a file of the user's or its group's, and quote what a shell would not take", () => {
    const path = join(folder, "it's mine")
    writeFileSync(path, "")
    chmodSync(path, 0)
    chownSync(path, READER.uid, 0)
    expect(commandsToRead(path, READER)).toEqual([`chmod u+r '${folder}/it'\\''s mine'`])
    chownSync(path, 0, READER.gid)
    expect(commandsToRead(path, READER)).toEqual([`chmod g+r '${folder}/it'\\''s mine'`])
  })

  it("are none for a file that is not there, that links to itself, or for root", () => {
    symlinkSync("loop", join(folder, "loop"))
    expect(commandsToRead(join(folder, "loop"), READER)).toEqual([])
    expect(commandsToRead(join(folder, "nothing"), READER)).toEqual([])
    expect(commandsToRead("/etc/shadow", { uid: 0, gid: 0 })).toEqual([])
  })
})
