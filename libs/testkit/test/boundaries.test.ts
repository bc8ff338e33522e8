/** The boundary check itself: each planted violation is found, and the tree as it stands has none. */
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { describe, expect, it } from "vitest"

const root = resolve(import.meta.dirname, "../../..")
const check = join(root, "infra/workspace/boundaries.ts")

/** Runs the check over a small tree of packages, with these files on top of empty ones. */
const checkTree = (files: Readonly<Record<string, string>>): string => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-boundaries-"))
  try {
    for (const place of [
      "libs/time",
      "libs/wire",
      "libs/config",
      "libs/udp",
      "libs/testkit",
      "services/worker",
      "services/cli"
    ]) {
      mkdirSync(join(folder, place, "src"), { recursive: true })
      cpSync(join(root, place, "package.json"), join(folder, place, "package.json"))
    }
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text)
    }
    return spawnSync(process.execPath, [check, folder], { encoding: "utf8" }).stderr
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe("the boundary check", () => {
  it.each([
    [
      "a pure lib importing Node",
      "libs/time/src/a.ts",
      'import { hrtime } from "node:process"',
      "not allowed in the pure layer"
    ],
    [
      "a pure lib reading a clock",
      "libs/time/src/a.ts",
      "export const now = () => Date.now()",
      "time and randomness as arguments"
    ],
    [
      "an import against the direction",
      "libs/time/src/a.ts",
      'import { x } from "@meridian/wire/ntp"',
      "time may import only"
    ],
    [
      "an adapter from a model",
      "libs/config/src/a.ts",
      'import { x } from "@meridian/udp/udp"',
      "config may import only"
    ],
    [
      "a service from a service",
      "services/cli/src/a.ts",
      'import { x } from "@meridian/worker-service/serve"',
      "no service may be imported"
    ],
    [
      "a path out of the package",
      "services/cli/src/a.ts",
      'import { x } from "../../worker/src/serve.ts"',
      "leaves its package"
    ],
    ["an undeclared package", "services/worker/src/a.ts", 'import { pino } from "pino"', "pino is not declared"],
    [
      "testkit outside tests",
      "services/cli/src/a.ts",
      'import { x } from "@meridian/testkit/running-node"',
      "only tests import testkit"
    ],
    [
      "an import in an expression",
      "libs/time/src/a.ts",
      'export const f = () => import("node:fs")',
      "not allowed in the pure layer"
    ]
  ])("finds %s", (_name, path, text, message) => {
    expect(checkTree({ [path]: `${text}\n` })).toContain(message)
  })
  it("finds a module that is no entry of its lib, and an entry without a user or a file", () => {
    const found = checkTree({ "libs/wire/src/a.ts": 'import { x } from "@meridian/time/inner"\n' })
    expect(found).toContain("@meridian/time/inner: not an entry of time")
    expect(found).toContain("@meridian/time/timestamp is an entry that nobody imports")
    expect(found).toContain("exports ./timestamp as ./src/timestamp.ts, which is not there")
  })
  it("finds a cycle", () => {
    const found = checkTree({
      "libs/time/src/a.ts": 'import { b } from "./b.ts"\nexport const a = b\n',
      "libs/time/src/b.ts": 'import { a } from "./a.ts"\nexport const b = a\n'
    })
    expect(found).toContain("import cycle")
  })
  it("finds a costly module of Node's in what a worker loads at its start, and says by which way", () => {
    const found = checkTree({
      "services/worker/src/main.ts": 'export * from "./a.ts"\n',
      "services/worker/src/a.ts": 'import { type Udp } from "@meridian/udp/udp"\nexport const a = 1\n',
      "libs/udp/src/udp.ts": 'import { type Stats } from "node:fs"\nexport type Udp = Stats\n'
    })
    expect(found).toContain("libs/udp/src/udp.ts: node:fs costs every worker 10 ms of CPU time")
    expect(found).toContain("(services/worker/src/main.ts → services/worker/src/a.ts → libs/udp/src/udp.ts)")
  })
  it("lets a worker import types of them, and load modules with them later", () => {
    const found = checkTree({
      "services/worker/src/main.ts":
        'import type { Stats } from "node:fs"\nexport const later = (_: Stats) => import("./later.ts")\n',
      "services/worker/src/later.ts": 'import { randomInt } from "node:crypto"\nexport const later = randomInt\n'
    })
    expect(found).not.toContain("of CPU time")
  })
  it("finds that a start to look at is not there", () => {
    expect(checkTree({})).toContain("services/worker/src/main.ts: is not there, though what it loads")
  })
  it("fails when it saw next to nothing", () => {
    expect(checkTree({})).toContain("modules with")
  })
  it("passes over this tree", () => {
    expect(execFileSync(process.execPath, [check], { encoding: "utf8" })).toContain(" 0 problems")
  })
})
