/** The operator's commands against a coordinator that says what the test wants, over a real socket. */
import { execFile } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { meridian } from "@meridian/testkit/running-node"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { describeLine } from "../src/log-command.ts"
import { defaultPolicy } from "@meridian/events"
import { state } from "./sample-state.ts"

let folder = ""
let server: Server | undefined
const asked: { method: string; url: string; body: string }[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-operator-"))
  asked.length = 0
})
afterEach(() => {
  server?.close()
  server?.closeAllConnections()
  server = undefined
  rmSync(folder, { recursive: true, force: true })
})

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  let text = ""
  for await (const chunk of request as AsyncIterable<Buffer>) text += chunk.toString()
  return text
}

const answering = async (answer: (response: ServerResponse) => void): Promise<void> => {
  server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      asked.push({ method: request.method ?? "", url: request.url ?? "", body })
      answer(response)
    })
  })
  server.listen(join(folder, "coordinator.sock"))
  await once(server, "listening")
}
const says = (value: unknown, status = 200): Promise<void> =>
  answering((response) => {
    response.writeHead(status, { "content-type": "application/json" })
    response.end(typeof value === "string" ? value : JSON.stringify(value))
  })
const run = (...args: string[]) => meridian([...args, "--state", folder])

describe("asking", () => {
  it.each([
    [["keys", "rotate"], "POST", "/keys/rotate", { kind: "nts" }],
    [["keys", "rotate", "--kind", "symmetric"], "POST", "/keys/rotate", { kind: "symmetric" }],
    [["keys", "revoke", "3"], "POST", "/keys/revoke", { generation: 3, reason: "revoked by an operator" }],
    [
      ["keys", "revoke", "4", "--kind", "symmetric", "--reason", "lost"],
      "POST",
      "/keys/revoke",
      { set: 4, reason: "lost" }
    ],
    [["cluster", "drain", "b", "--reason", "repair"], "POST", "/cluster/drain", { node: "b", reason: "repair" }],
    [["cluster", "undrain", "b"], "POST", "/cluster/undrain", { node: "b" }]
  ])("%j", async (args, method, url, body) => {
    await says({ events: [{ id: "e.9", type: "Something", subject: "keys.nts", version: 12 }] })
    const { code, stdout } = await run(...args)
    expect(code).toBe(0)
    expect(stdout).toBe("  recorded   in           event\n  Something  keys.nts 12  e.9\n")
    expect(asked.map((it) => ({ ...it, body: JSON.parse(it.body) as unknown }))).toEqual([
      { method, url, body: { ...body, author: expect.stringMatching(/^meridian \S/) as string } }
    ])
  })

  it("says so where nothing was to do, and hands JSON on for machines", async () => {
    await says({ events: [] })
    expect((await run("keys", "rotate")).stdout).toBe("nothing to do: it is so already\n")
    expect(JSON.parse((await run("keys", "rotate", "--json")).stdout)).toEqual({ events: [] })
  })

  it("asks for a moment in universal time, whatever zone it was given in", async () => {
    await says({ at: "", leader: null, generations: [], symmetricSets: [], clocks: [], dropped: [], quarantined: 0 })
    expect((await run("explain", "--at", "2026-11-21T12:00:00+01:00")).code).toBe(0)
    expect(asked[0]?.url).toBe(`/explain?at=${encodeURIComponent("2026-11-21T11:00:00.000Z")}`)
    expect(await run("explain", "--at", "2026-13-41")).toMatchObject({ code: 2 })
  })

  it("shows the policy, and sets some of it with units", async () => {
    await says({ ...state, policy: defaultPolicy, events: [] })
    const { stdout } = await run("policy")
    expect(stdout).toMatch(/ntsRotationMs +86400000 +1 d +from one NTS generation to the next/)
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100)
    expect(JSON.parse((await run("policy", "--json")).stdout)).toEqual(defaultPolicy)
    expect(await run("policy", "ntsRotationMs=12h", "ntsAcceptPast=20")).toMatchObject({ code: 0 })
    expect(asked.at(-1)).toMatchObject({ method: "POST", url: "/policy" })
    expect(JSON.parse(asked.at(-1)?.body ?? "")).toMatchObject({
      changes: { ntsRotationMs: 43_200_000, ntsAcceptPast: 20 }
    })
    const cases = [
      ["ntsRotationsMs=5", "did you mean ntsRotationMs?"],
      ["ntsAcceptPast=5h", "expected NAME=VALUE"],
      ["ntsAcceptPast", "expected NAME=VALUE"],
      ["ntsAcceptPast=-1", "expected NAME=VALUE"]
    ] as const
    for (const [word, why] of cases) {
      const refused = await run("policy", word)
      expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining(why) as string])
    }
  })

  it("lists keys, of one kind or both", async () => {
    await says(state)
    expect(JSON.parse((await run("keys", "list", "--json")).stdout)).toEqual({
      nts: state.ntsKeys,
      symmetric: state.symmetricSets
    })
    const only = (await run("keys", "list", "--kind", "symmetric")).stdout
    expect(only).toContain("10001 AES-128")
    expect(only).not.toContain("NTS")
  })

  it("writes exported keys whole and for their owner alone, and over the file of before", async () => {
    await answering((response) => response.end("10001 AES 00ff\n"))
    const file = join(folder, "ntp.keys")
    writeFileSync(file, "old", { mode: 0o644 })
    const { code, stdout } = await run("keys", "export", "--out", file)
    expect(code).toBe(0)
    expect(stdout).not.toContain("00ff")
    expect(readFileSync(file, "utf8")).toBe("10001 AES 00ff\n")
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect((await run("keys", "export")).stdout).toBe("10001 AES 00ff\n")
    const nowhere = await run("keys", "export", "--out", join(folder, "none", "ntp.keys"))
    expect(nowhere).toMatchObject({ code: 1 })
    expect(nowhere.stderr).toContain("it is not there")
  })
})

describe("the log", () => {
  const event = {
    seq: 3,
    event: {
      type: "NtsGenerationPublished",
      schema: 1,
      id: "e.1",
      time: "2026-11-21T12:00:00.123Z",
      node: "a",
      cause: "e",
      subject: "keys.nts",
      version: 2,
      data: { generation: 1, reason: "two words", sealed: { slot: "nts.1.x", box: "SECRETBOX" } }
    }
  }
  const dropped = { dropped: { subject: "clock.a", events: 5, firstVersion: 6, firstSeq: 9 } }
  const lines = [
    dropped,
    event,
    { quarantined: { seq: 4, subject: "policy", reason: "malformed", detail: "not JSON" } }
  ]
  const stream = (response: ServerResponse): void =>
    void response.end(lines.map((it) => `${JSON.stringify(it)}\n`).join(""))

  it("is shown a line an event, without boxes, with what was dropped and put aside", async () => {
    await answering(stream)
    const { code, stdout } = await run("log", "--from", "3", "--subject", "keys.nts")
    expect(code).toBe(0)
    expect(asked[0]?.url).toBe("/log?from=3&subject=keys.nts")
    expect(stdout.trimEnd().split("\n")).toEqual([
      "      -  5 events of clock.a were dropped by retention; the first left is at 9",
      '      3  2026-11-21 12:00:00Z  keys.nts 2          NtsGenerationPublished      a: generation=1 reason="two words"',
      "      4  put aside, malformed: a commit in policy: not JSON"
    ])
  })

  it("is one JSON object a line for machines, as the coordinator has it", async () => {
    await answering(stream)
    const { stdout } = await run("log", "--json")
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown)
    ).toEqual(lines)
  })

  it("is followed line by line as it grows, until interrupted", async () => {
    let grow: (() => void) | undefined
    await answering((response) => {
      response.write(`${JSON.stringify(event)}\n`)
      grow = () => void response.write(`${JSON.stringify({ ...event, seq: 5 })}\n`)
    })
    const cli = resolve(import.meta.dirname, "../bin/meridian.mjs")
    const child = execFile(process.execPath, [cli, "log", "--follow", "--json", "--state", folder])
    let text = ""
    const seen = (count: number): Promise<void> =>
      new Promise((done) => {
        const look = (): void => void (text.split("\n").length > count && done())
        child.stdout?.on("data", look)
        look()
      })
    child.stdout?.on("data", (chunk: string) => (text += chunk))
    await seen(1)
    grow?.()
    await seen(2)
    expect(asked[0]?.url).toBe("/log?from=1&follow=1")
    child.kill("SIGINT")
    expect(await once(child, "exit")).toEqual([0, null])
  })

  it("tells an end in the middle from the end", async () => {
    await answering((response) => {
      response.write(`${JSON.stringify(event)}\n`)
      setImmediate(() => response.destroy())
    })
    const { code, stderr } = await run("log", "--json")
    expect(code).toBe(1)
    expect(stderr).toContain("in the middle of its answer")
  })

  it("are a line each for grep, and fit a hundred columns of a terminal", () => {
    const measurements = Array.from({ length: 4 }, () => ({ source: "192.0.2.1", offset: -0.000123456, delay: 0.0123 }))
    const wide = { ...event, event: { ...event.event, data: { reason: "the best of the survivors", measurements } } }
    expect(describeLine(wide)).not.toContain("\n")
    const lines = describeLine(wide, true).split("\n")
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(100)
    const flat = (text: string): string => text.replaceAll(/\s/g, "")
    expect(flat(lines.join(""))).toBe(flat(describeLine(wide)))
  })

  it("cannot steer the terminal", () => {
    const forged = { ...event, event: { ...event.event, node: "\u001B[2Ja", data: { reason: "x\u009B31m\r\n" } } }
    // eslint-disable-next-line no-control-regex
    expect(describeLine(forged)).not.toMatch(/[\u0000-\u001F\u007F-\u009F]/)
  })
})

describe("what goes wrong is one line with what to do", () => {
  const oneLine = ({ stderr, stdout }: { readonly stderr: string; readonly stdout: string }): void => {
    expect(stdout).toBe("")
    expect(stderr.trimEnd().split("\n")).toHaveLength(1)
  }

  it("no coordinator", async () => {
    for (const args of [["log"], ["keys", "list"], ["cluster", "status"], ["explain"]]) {
      const finished = await run(...args)
      expect(finished).toMatchObject({ code: 1 })
      expect(finished.stderr).toContain("start a node with `meridian up` or name another with --state DIR")
      oneLine(finished)
    }
  })

  it.each([
    [409, { error: { tag: "CommandRefused", message: "wait\nfor it" } }, 1, "meridian keys rotate: wait for it\n"],
    [400, { error: { tag: "Malformed", message: "expected kind" } }, 2, "meridian keys rotate: expected kind\n"],
    [503, { error: {} }, 1, "meridian keys rotate: answered with status 503\n"]
  ])("status %i", async (status, body, code, stderr) => {
    await says(body, status)
    expect(await run("keys", "rotate")).toEqual({ code, stdout: "", stderr })
  })

  it("an answer that is none", async () => {
    await says("<html>")
    const finished = await run("cluster", "status")
    expect(finished).toMatchObject({ code: 1 })
    expect(finished.stderr).toContain("not JSON")
    oneLine(finished)
  })

  it.each([
    [["keys"], "expected list, rotate, revoke, export"],
    [["keys", "rotat"], "did you mean `meridian keys rotate`?"],
    [["cluster", "constructor"], "expected init, status, rekey, drain, undrain"],
    [["keys", "revoke", "0"], "expected the number of a generation"],
    [["keys", "revoke", "1e3"], "expected the number of a generation"],
    [["keys", "rotate", "--kind", "md5"], "expected nts or symmetric"],
    [["log", "--from", "0"], "--from"],
    [["cluster", "drain"], "NODE is missing"]
  ])("%j", async (args, text) => {
    const finished = await run(...args)
    expect(finished).toMatchObject({ code: 2 })
    expect(finished.stderr).toContain(text)
    oneLine(finished)
  })
})

describe("cluster init", () => {
  it("makes 32 random bytes for the owner alone, says how to go on, and never replaces a key", async () => {
    const files = [join(folder, "cluster-key"), join(folder, "deep", "key")]
    const first = await run("cluster", "init")
    expect(first).toMatchObject({ code: 0, stderr: "" })
    expect(first.stdout).toContain(`scp -p ${files[0]}`)
    expect(await run("cluster", "init", "--out", files[1] ?? "", "--json")).toMatchObject({ code: 0 })
    const keys = files.map((file) => readFileSync(file, "utf8"))
    for (const [index, key] of keys.entries()) {
      expect(key).toMatch(/^[0-9a-f]{64}\n$/)
      expect(statSync(files[index] ?? "").mode & 0o777).toBe(0o600)
    }
    expect(keys[0]).not.toBe(keys[1])
    expect(first.stdout).not.toContain(keys[0]?.trim())
    const again = await run("cluster", "init")
    expect(again).toMatchObject({ code: 1, stdout: "" })
    expect(again.stderr).toContain("nothing was changed")
    expect(readFileSync(files[0] ?? "", "utf8")).toBe(keys[0])
  })
})
