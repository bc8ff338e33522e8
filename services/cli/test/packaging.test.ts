import { execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort, meridian } from "@meridian/testkit/running-node"
import { bundlePrograms, programs } from "../../../infra/packaging/bundles.ts"
import { layOut } from "../../../infra/packaging/contents.ts"
import { writeManuals } from "../../../infra/packaging/manuals.ts"

const root = resolve(import.meta.dirname, "../../..")
const starters = readdirSync(join(root, "infra/packaging/starters"))

describe("the tree that packages hold", () => {
  let folder = ""
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "meridian-packaging-"))
    layOut(folder)
    await bundlePrograms(root, folder)
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

  it("has each program with all that it imports, so that nothing is looked for elsewhere", () => {
    const files = globSync("{libs,services}/*/src/**/*.{js,ts}", { cwd: folder, exclude: ["**/page/**"] })
    for (const program of programs(root)) expect(files).toContain(program)
    for (const file of files) {
      const text = readFileSync(join(folder, file), "utf8")
      const imports = [...text.matchAll(/^(?:import|export)\b[^"\n]*?(?:from )?"([^"]+)";?$|\bimport\("([^"]+)"\)/gm)]
      for (const [, at, late] of imports) {
        const name = at ?? late ?? ""
        const isThere = name.startsWith("node:") || existsSync(resolve(folder, dirname(file), name))
        expect({ file, name, isThere }).toEqual({ file, name, isThere: true })
      }
    }
    expect(files.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0)).toBeLessThan(6_000_000)
    expect(existsSync(join(folder, "node_modules/effect"))).toBe(false)
  })

  it("has one keeper of early signals in a supervisor, that which was loaded first", () => {
    const early = "services/supervisor/src/early-signals"
    expect(readFileSync(join(folder, "services/supervisor/src/main.js"), "utf8")).toContain(
      `from "../../../${early}.js"`
    )
    expect(readFileSync(join(folder, `${early}.ts`), "utf8")).toContain("./early-signals.js")
  })

  it("has one clockwork of turns in a process, its heartbeat's and its own", () => {
    for (const program of ["libs/ipc/src/heartbeat", "services/worker/src/main"])
      expect(readFileSync(join(folder, `${program}.js`), "utf8")).toContain('from "../../../libs/ipc/src/turns.js"')
  })

  it("starts every program, which finds its modules", () => {
    for (const program of programs(root)) {
      const { stderr, status } = spawnSync(process.execPath, [join(folder, program), "--help"], {
        encoding: "utf8",
        timeout: PATIENCE_MS
      })
      expect({ program, ended: status !== null, stderr }).toEqual({
        program,
        ended: true,
        stderr: expect.not.stringMatching(/ERR_|Error/) as string
      })
    }
  })

  it("says under what licence the others' code in it is", () => {
    for (const name of ["effect", "pino", "@nats-io/nats-core", "@noble/ciphers", "smol-toml"])
      expect(readdirSync(join(folder, "licenses", name)).length).toBeGreaterThan(0)
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
    const folder = mkdtempSync(join(tmpdir(), "meridian-init-"))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = join(folder, "ntp.conf")
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
