import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort, meridian } from "@meridian/testkit/running-node"
import { layOut } from "../../../infra/packaging/contents.ts"
import { writeManuals } from "../../../infra/packaging/manuals.ts"
import { keepUsedOfEffect, namesUsed } from "../../../infra/packaging/used-of-effect.ts"

const root = resolve(import.meta.dirname, "../../..")
const starters = readdirSync(join(root, "infra/packaging/starters"))

describe("the tree that packages hold", () => {
  let folder = ""
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "meridian-packaging-"))
    layOut(folder)
    await keepUsedOfEffect(root, folder)
    // Compiled where a package is made; here its place is enough.
    mkdirSync(join(folder, "bin"))
    writeFileSync(join(folder, "bin/meridian"), "")
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it("holds all that a node needs to serve, and nothing of the tests", async () => {
    const cli = join(folder, "services/cli/bin/meridian.mjs")
    const port = await freePort()
    const run = (...args: readonly string[]): string =>
      execFileSync(process.execPath, [cli, ...args], { encoding: "utf8" })
    const node = spawn(
      process.execPath,
      [cli, "up", "--port", String(port), "--state", join(folder, "state"), "--workers", "1"],
      {
        stdio: ["ignore", "pipe", "ignore"]
      }
    )
    let screen = ""
    node.stdout.on("data", (chunk: Buffer) => (screen += chunk.toString()))
    const ended = once(node, "close")
    run("waitsync", "--state", join(folder, "state"), String(PATIENCE_MS / 1e3))
    expect(run("query", `127.0.0.1:${port}`)).toContain("stratum 10")
    await vi.waitUntil(() => screen.includes("Ctrl-C"), { timeout: PATIENCE_MS })
    node.kill()
    expect(await ended).toEqual([0, null])
    expect(screen).toContain(`Try next\n  ${join(folder, "bin/meridian")} query 127.0.0.1:${port}\n`)
    expect(existsSync(join(folder, "libs/testkit"))).toBe(false)
    expect(existsSync(join(folder, "services/cli/test"))).toBe(false)
    expect(existsSync(join(folder, "node_modules/vitest"))).toBe(false)
  })

  it("has of Effect what our modules name, under the names they use", async () => {
    for (const [module, names] of namesUsed(root)) {
      const whole = (await import(join(root, "node_modules/effect/dist", `${module}.js`))) as Record<string, unknown>
      const kept = (await import(join(folder, "node_modules/effect/dist", `${module}.js`))) as Record<string, unknown>
      const named = [...names].filter((name) => name in whole)
      expect({ module, names: Object.keys(kept).sort() }).toEqual({ module, names: named.sort() })
    }
    const size = execFileSync("du", ["-sk", join(folder, "node_modules/effect")], { encoding: "utf8" })
    expect(Number.parseInt(size, 10)).toBeLessThan(1_000)
  })

  it("has man pages and completions for every command", () => {
    writeManuals(join(folder, "share"))
    const page = execFileSync("gzip", ["-dc", join(folder, "share/man/man8/meridian.8.gz")], { encoding: "utf8" })
    for (const command of ["UP", "STATUS", "WAITSYNC", "KEYS ROTATE"]) expect(page).toContain(`.SH ${command}\n`)
    const completion = join(folder, "share/bash-completion/completions/meridian")
    const words = execFileSync(
      "bash",
      ["-c", `. ${completion}; COMP_WORDS=(meridian keys ""); COMP_CWORD=2; _meridian; echo \${COMPREPLY[@]}`],
      {
        encoding: "utf8"
      }
    )
    expect(words).toMatch(/list.*rotate.*revoke.*export/)
  })
})

describe("a starter", () => {
  it.each(starters)("%s has no error", async (name) => {
    const { stdout, stderr } = await meridian(["config", "check", join(root, "infra/packaging/starters", name)])
    expect(stdout + stderr).not.toMatch(/: error:/)
  })

  it("for a member of the pool follows no name of the pool", () => {
    const text = readFileSync(join(root, "infra/packaging/starters/pool-member.conf"), "utf8")
    expect(text.split("\n").filter((line) => /^\s*(?:pool|server)\b.*pool\.ntp\.org/.test(line))).toEqual([])
  })
})

describe("meridian init", () => {
  it.each(starters)("shows %s", async (name) => {
    const { stdout, code } = await meridian(["init", basename(name, ".conf")])
    expect(code).toBe(0)
    expect(stdout).toBe(readFileSync(join(root, "infra/packaging/starters", name), "utf8"))
  })

  it("writes no file twice", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "meridian-init-")), "ntp.conf")
    expect((await meridian(["init", "client", "--out", file])).code).toBe(0)
    const again = await meridian(["init", "lan-server", "--out", file])
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("was left alone") as string })
    expect(readFileSync(file, "utf8")).toContain("answers nobody else")
  })

  it("names the purposes where it is given none, or a wrong one", async () => {
    const { code, stderr } = await meridian(["init", "toaster"])
    expect(code).toBe(2)
    expect(stderr).toContain("pool-member")
  })
})

describe("meridian waitsync", () => {
  it("says after its time that there is no node", async () => {
    const began = performance.now()
    const { code, stderr } = await meridian(["waitsync", "--state", "/nonexistent", "0"])
    expect(code).toBe(1)
    expect(stderr).toContain("after 0 s")
    expect(performance.now() - began).toBeLessThan(PATIENCE_MS)
    await setTimeout(0)
  })

  it("refuses what is no time", async () => {
    expect((await meridian(["waitsync", "soon"])).code).toBe(2)
  })
})
