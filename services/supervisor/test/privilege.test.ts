/**
 * Who may set the clock. What the kernel makes of it is tried with a harmless capability in CAP_SYS_TIME's place
 * (CAP_NET_BIND_SERVICE), in processes that have no CAP_SYS_TIME: nothing here could set a clock.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { CAP_SYS_TIME, hasCapability, parseCapabilities, readCapabilities } from "@meridian/system/capabilities"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { startNode } from "@meridian/testkit/running-node"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { timePrivilege } from "../src/privilege.ts"

const BIND = 10
const program = resolve(import.meta.dirname, "privileged-process.ts")
const withoutSysTime = ["setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time"]
const isRoot = process.getuid?.() === 0

let folder: string
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "meridian-privilege-"))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

interface Settled {
  readonly kept: { readonly forClock: boolean; readonly warning?: string }
  readonly own: Record<string, boolean>
  readonly only: boolean
  readonly plain: Record<string, boolean>
  readonly clock: Record<string, boolean> | null
  readonly after: Record<string, boolean>
}

const settle = (asked: boolean, user?: string, launch: readonly string[] = []): Settled => {
  const line = ["--bounding-set", "-sys_time", "--inh-caps", "-sys_time", ...launch, process.execPath, program]
  const words = [...line, String(BIND), asked ? "asked" : "not-asked", folder, ...(user === undefined ? [] : [user])]
  return JSON.parse(execFileSync("setpriv", words, { encoding: "utf8" })) as Settled
}

const nowhere = { inheritable: false, permitted: false, effective: false, bounding: false, ambient: false }

describe("the right to set the clock", () => {
  it.each([
    [{ steers: false, isRoot: true, changesUser: true, has: true }, "give-up"],
    [{ steers: false, isRoot: true, changesUser: false, has: true }, "give-up"],
    [{ steers: false, isRoot: false, changesUser: false, has: true }, "give-up"],
    [{ steers: true, isRoot: true, changesUser: true, has: true }, "keep-through"],
    [{ steers: true, isRoot: true, changesUser: true, has: false }, "give-up"],
    [{ steers: true, isRoot: true, changesUser: false, has: true }, "stay-root"],
    [{ steers: true, isRoot: false, changesUser: false, has: true }, "reserve"],
    [{ steers: true, isRoot: false, changesUser: false, has: false }, "give-up"]
  ] as const)("of %o: %s", (question, answer) => expect(timePrivilege(question)).toBe(answer))

  it("is read from what /proc says", () => {
    const sets = parseCapabilities("CapInh:\t0000000002000000\nCapPrm:\t0\nCapEff:\tnone\nCapBnd:\t000001ffffffffff\n")
    expect(hasCapability(sets.inheritable, CAP_SYS_TIME)).toBe(true)
    expect(sets).toMatchObject({ permitted: 0n, effective: 0n, bounding: 0x1ffffffffffn, ambient: 0n })
    expect(readCapabilities(2 ** 30).bounding).toBe(0n)
  })
})

describe.runIf(isRoot)("a process that was started by root", () => {
  it("keeps one right through the change of user, in effect nowhere, and hands it to the clock's process alone", () => {
    const { kept, own, only, plain, clock, after } = settle(true, "nobody")
    expect(kept).toEqual({ forClock: true })
    expect(own).toMatchObject({ permitted: true, effective: false, ambient: false })
    expect(only).toBe(true)
    expect(plain).toMatchObject({ permitted: false, effective: false, ambient: false })
    expect(clock).toMatchObject({ permitted: true, effective: true, ambient: true })
    expect(after).toEqual(plain)
  })

  it("that is not asked gives it up, and no child gets it back, root's neither", () => {
    for (const user of ["nobody", undefined]) {
      const { kept, own, plain, clock } = settle(false, user)
      expect(kept).toEqual({ forClock: false })
      expect(own).toEqual(nowhere)
      expect(plain).toEqual(nowhere)
      expect(clock).toBeNull()
    }
  })

  it("that stays root says that all have it", () => {
    const { kept, plain } = settle(true)
    expect(kept).toEqual({ forClock: false, warning: expect.stringContaining("--user NAME") })
    expect(plain).toMatchObject({ permitted: true })
  })

  it("as a user with an ambient right keeps it from the others", () => {
    const launch = [
      "setpriv",
      "--reuid",
      "nobody",
      "--clear-groups",
      "--inh-caps",
      "+net_bind_service",
      "--ambient-caps"
    ]
    execFileSync("chmod", ["755", folder])
    const { kept, own, plain, clock } = settle(true, undefined, [...launch, "+net_bind_service"])
    expect(kept.forClock).toBe(true)
    expect(own).toMatchObject({ permitted: true, effective: false, ambient: false })
    expect(plain).toMatchObject({ permitted: false, effective: false, ambient: false })
    expect(clock).toMatchObject({ permitted: true, effective: true })
  })
})

describe("a node", () => {
  const childrenOf = (pid: number): readonly number[] =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, "ascii").trim().split(" ").filter(Boolean).map(Number)

  it("that is not told to steer has the right nowhere", async () => {
    const node = await startNode({ args: ["--workers", "1", "--listen", "127.0.0.1"] })
    try {
      const pids = [node.process.pid as number, ...childrenOf(node.process.pid as number)]
      expect(pids.length).toBeGreaterThanOrEqual(3)
      for (const pid of pids) {
        const { permitted, effective, ambient, inheritable, bounding } = readCapabilities(pid)
        const sets = [permitted, effective, ambient, inheritable, ...(isRoot ? [bounding] : [])]
        expect(sets.map((set) => hasCapability(set, CAP_SYS_TIME))).not.toContain(true)
      }
    } finally {
      await node.stop()
    }
  })

  it("that is told to, and may not, says how to give the right and serves in virtual mode", async () => {
    // A source that answers nobody is enough of one.
    const file = join(folder, "ntp.conf")
    execFileSync("sh", ["-c", `printf 'server 127.0.0.1:9\\ndiscipline kernel\\n' > ${file}`])
    const args = ["--workers", "1", "--listen", "127.0.0.1", "--config", file]
    const node = await startNode({ within: isRoot ? withoutSysTime : [], args })
    try {
      for (let waited = 0; !node.stderr().includes("AmbientCapabilities") && waited < PATIENCE_MS; waited += 50)
        await sleep(50)
      expect(node.stderr()).toMatch(/kernel mode: .*AmbientCapabilities=CAP_SYS_TIME.*--user NAME.*virtual mode/)
    } finally {
      await node.stop()
    }
  })
})
