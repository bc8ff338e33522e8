/** What `query` and `status` end with, and the limits of `--check`. */
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { checkLimits } from "@meridian/config/check-limits"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { healthProblems } from "../src/health.ts"
import { wrapped } from "../src/text-table.ts"

const good = { synchronised: true, stratum: 2, offset: -0.05, rootDistance: 0.01, certificateUntil: 864_000 }

describe("a clock held to limits", () => {
  it.each([
    ["offset=0.1,root-distance=0.02,stratum=2,certificate-days=10", []],
    ["offset=0.01", ["offset 0.05 s, at most 0.01 s was asked for"]],
    [
      "root-distance=0.001,stratum=1",
      ["root distance 0.01 s, at most 0.001 s was asked for", "stratum 2, at most 1 was asked for"]
    ],
    ["certificate-days=11", ["certificate is valid for 10 days, at least 11 were asked for"]]
  ])("of %s", (text, problems) => {
    const limits = checkLimits.parse(text)
    expect(healthProblems(good, limits.ok ? limits.value : {}, 0)).toEqual(problems)
  })

  it("that is not synchronised says that and nothing else", () => {
    expect(healthProblems({ ...good, synchronised: false }, { offset: 0, stratum: 1 }, 0)).toEqual(["not synchronised"])
  })

  it("is beyond a limit where what it limits is not known", () => {
    const unknown = { ...good, offset: undefined, certificateUntil: undefined }
    expect(healthProblems(unknown, { offset: 1, "certificate-days": 1 }, 0)).toEqual([
      "offset is not known, at most 1 s was asked for",
      "no certificate was seen, one valid for 1 days was asked for"
    ])
    expect(healthProblems({ ...good, certificateUntil: -1 }, { "certificate-days": 0 }, 0)).toEqual([
      "certificate has expired, at least 0 were asked for"
    ])
  })

  it.each(["", "offset", "offset=", "offset=-1", "offset=1,offset=2", "stratum=16", "ofset=1", "offset=1=2"])(
    "refuses %j",
    (text) => expect(checkLimits.parse(text).ok).toBe(false)
  )
})

describe("a long line", () => {
  it("is broken between its columns, else between words, at a hundred characters", () => {
    const columns = Array.from({ length: 12 }, (_, index) => `name${index} value`).join("  ")
    expect(
      wrapped(columns)
        .split("\n")
        .map(({ length }) => length <= 100)
    ).toEqual([true, true])
    expect(wrapped(columns).replaceAll("\n    ", "  ")).toBe(columns)
    expect(wrapped("short  line")).toBe("short  line")
    expect(wrapped("word ".repeat(30).trim()).split("\n")).toHaveLength(2)
  })
})

describe("help", () => {
  it("is about one command, and says so where there is none of that name", async () => {
    expect(await meridian(["help", "keys", "list"])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Usage: meridian keys list .*\n[^]*$/) as string
    })
    expect((await meridian(["help", "keys", "list"])).stdout).not.toContain("keys rotate")
    expect((await meridian(["help", "cluster"])).stdout).toContain("Usage: meridian cluster drain")
    const behind = await meridian(["keys", "list", "--state", "/nowhere"])
    expect(behind).toMatchObject({ code: 1, stderr: expect.stringContaining("/nowhere") })
    expect(await meridian(["--state", "/nowhere", "keys", "list"])).toEqual(behind)
    expect(await meridian(["--state=/nowhere", "keys", "list"])).toEqual(behind)
    expect(await meridian(["help", "nosuch"])).toMatchObject({ code: 2, stdout: "" })
    expect((await meridian(["help", "statsu"])).stderr).toBe(
      'meridian help: no command "statsu"; did you mean `meridian help status`?\n'
    )
    const { stdout } = await meridian(["help"])
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100)
  })
})

describe("query and status", () => {
  let node: RunningNode
  let waiting: RunningNode
  let silent: Socket
  const file = join(tmpdir(), `meridian-health-${process.pid}.conf`)
  beforeAll(async () => {
    silent = createSocket("udp4").bind(0, "127.0.0.1")
    await once(silent, "listening")
    writeFileSync(file, `server 127.0.0.1:${silent.address().port}\nsilentstart 0\n`)
    ;[node, waiting] = await Promise.all([
      startNode({ args: ["--workers", "1"] }),
      // A source that never answers: LI 3 is served.
      startNode({ args: ["--workers", "1", "--config", file] })
    ])
  })
  afterAll(async () => {
    silent.close()
    rmSync(file)
    await Promise.all([node.stop(), waiting.stop()])
  })

  const query = (of: RunningNode, ...flags: readonly string[]) => meridian(["query", ...flags, `127.0.0.1:${of.port}`])
  const status = (of: RunningNode, ...flags: readonly string[]) => meridian(["status", ...flags, "--state", of.state])

  it("end with 0 for good time and with 3 for a node that is not synchronised", async () => {
    expect(await query(node)).toMatchObject({ code: 0, stderr: "" })
    expect(await status(node)).toMatchObject({ code: 0, stderr: "" })
    expect(await query(waiting)).toMatchObject({
      code: 3,
      stderr: `meridian query: 127.0.0.1 port ${waiting.port}: not synchronised\n`
    })
    expect(await status(waiting)).toMatchObject({ code: 3, stderr: "meridian status: not synchronised\n" })
    expect(JSON.parse((await query(waiting, "--json")).stdout)).toMatchObject({ problems: ["not synchronised"] })
  })

  it("hold the clock to the limits of --check", async () => {
    const wide = "--check=offset=1,root-distance=1,stratum=10"
    expect((await query(node, wide)).code).toBe(0)
    expect((await status(node, "--check", "root-distance=1,stratum=10")).code).toBe(0)
    for (const ask of [query, status])
      expect(await ask(node, "--check", "stratum=9")).toMatchObject({
        code: 3,
        stderr: expect.stringContaining("stratum 10, at most 9 was asked for") as string
      })
    expect((await status(node, "--check", "certificate-days=1")).stderr).toContain("no certificate was seen")
    expect(await query(node, "--check", "certificate-days=1")).toMatchObject({ code: 2 })
    expect(await query(node, "--check", "ofset=1")).toMatchObject({ code: 2 })
  })
})
