/** What may lie in a socket's place, and what becomes of it. */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { isSocketServed, listenAt } from "../src/sockets/unix-socket.ts"

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-socket-"))
  path = join(folder, "control.sock")
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe("a socket's place", () => {
  it.each<readonly [string, () => void]>([
    ["nothing", () => undefined],
    ["a file", () => writeFileSync(path, "text")],
    ["a pipe", () => void execFileSync("mkfifo", [path])],
    ["a link to itself", () => symlinkSync("control.sock", path)],
    ["a link to nothing", () => symlinkSync("nowhere", path)],
    ["a link to a device", () => symlinkSync("/dev/zero", path)]
  ])("with %s in it is nobody's, and is taken", async (_, lay) => {
    lay()
    expect(await isSocketServed(path)).toBe(false)
    const server = createServer((connection) => connection.destroy())
    await listenAt(server, path)
    expect(await isSocketServed(path)).toBe(true)
    server.close()
  })

  it("with a directory in it is nobody's, and the directory stays", async () => {
    mkdirSync(join(path, "of somebody"), { recursive: true })
    expect(await isSocketServed(path)).toBe(false)
    await expect(listenAt(createServer(), path)).rejects.toMatchObject({ code: "EISDIR" })
    expect(readdirSync(path)).toEqual(["of somebody"])
  })
})
