/** `meridian top`: what it draws fits any terminal, whatever a node says; and the command itself on a real one. */
import { resolve } from "node:path"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { hasTerminals, onTerminal, type TerminalStep } from "@meridian/testkit/terminal"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { askNode } from "../src/node-client.ts"
import { panels, topScreen } from "../src/top-screen.ts"

const cli = resolve(import.meta.dirname, "../bin/meridian.mjs")
const ESCAPE = "\u001B"
const colourless = (line: string): string => line.replaceAll(new RegExp(`${ESCAPE}\\[\\d+m`, "g"), "")

if (!hasTerminals()) process.stderr.write("meridian top: its terminal tests are skipped, python3 is not here\n")

let node: RunningNode
let snapshot: NodeSnapshot

beforeAll(async () => {
  node = await startNode({ args: ["--listen", "127.0.0.1", "--workers", "1"] })
  snapshot = (await askNode<NodeSnapshot>(node.state, "/snapshot")) as NodeSnapshot
})
afterAll(() => node.stop())

const sourceOf = (name: string, verdict: string) => ({
  address: "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
  name,
  mode: "client",
  verdict,
  reason: name,
  stratum: 2,
  poll: 6,
  reach: "377",
  lastReply: 12,
  offset: -1.5e-3,
  rootDistance: 0.02,
  jitter: 1e-6,
  authentication: { kind: "nts", cookies: 8 }
})

describe("the screen", () => {
  it("fits any terminal, whatever there is to show", () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constant(`${ESCAPE}[2J${"long ".repeat(99)}`))
    const verdict = fc.constantFrom("system-peer", "falseticker", "unreachable", "candidate")
    fc.assert(
      fc.property(
        fc.array(fc.tuple(text, verdict), { maxLength: 40 }),
        fc.integer({ min: 40, max: 240 }),
        fc.integer({ min: 12, max: 80 }),
        fc.constantFrom(...panels),
        fc.boolean(),
        fc.option(text, { nil: undefined }),
        (names, width, height, panel, colours, trouble) => {
          const sources = names.map(([name, found]) => sourceOf(name, found)) as never
          const lines = topScreen({ ...snapshot, sources }, { width, height, panel, colours, trouble })
          expect(lines).toHaveLength(height)
          for (const line of lines) {
            expect(colourless(line).length).toBeLessThanOrEqual(width)
            expect(colours ? colourless(line) : line).not.toMatch(/\p{Cc}/u)
          }
          expect(lines.at(-1)).toContain("q quit")
        }
      ),
      { numRuns: 100 }
    )
  })

  it("drops columns by their worth, and keeps source, offset and verdict at 80", () => {
    const sources = [sourceOf("ntp1.example", "system-peer")] as never
    const at = (width: number): string =>
      topScreen(
        { ...snapshot, sources },
        { width, height: 24, panel: "clients", colours: false, trouble: undefined }
      ).find((line) => line.includes("source "))!
    expect(at(80)).toMatch(/^S {2}source .*offset.*verdict$/)
    expect(at(200)).toMatch(/stratum|st .*poll .*jitter .*auth .*verdict .*reason/)
  })

  it("says what is wrong, and that there is no newer picture", () => {
    const view = { width: 80, height: 24, panel: "workers", colours: false } as const
    const drained = {
      ...snapshot.status,
      missing: ["something"],
      drain: { state: "draining", waitingFor: [] }
    } as const
    const shown = topScreen({ ...snapshot, status: drained }, { ...view, trouble: undefined })
    expect(shown[1]).toMatch(/draining; something$/)
    expect(topScreen(snapshot, { ...view, trouble: "the node in /x does not run" })[1]).toBe(
      "the node in /x does not run"
    )
  })
})

describe.runIf(hasTerminals())("on a terminal", () => {
  const top = (steps: readonly TerminalStep[], ...args: readonly string[]) => {
    const program = [process.execPath, cli, "top", "--state", node.state, ...args]
    const { NODE_OPTIONS: _options, NO_COLOR: _colour, ...env } = process.env
    return onTerminal(program, steps, { ...env, TERM: "xterm" })
  }
  /** The lines of the last screen that was drawn whole. */
  const lastScreen = (drawn: string): readonly string[] =>
    (drawn.split(`${ESCAPE}[H`).findLast((screen) => screen.includes("q quit")) ?? "")
      .replaceAll(new RegExp(`${ESCAPE}\\[[?\\d]*[KJhlm]`, "g"), "")
      .split("\r\n")

  it("draws at once, follows a resize and keys, ends at q and gives the terminal back", () => {
    const { parts, code, restored } = top([
      { wait: "q quit", resize: [120, 40] },
      { wait: "q quit", type: "w" },
      { wait: "restarts", type: "q" },
      { wait: "\u001B[?1049l" }
    ])
    expect([code, restored]).toEqual([0, true])
    expect(parts[0]).toContain("\u001B[?1049h")
    const [narrow, wide] = [lastScreen(parts[0]!), lastScreen(parts[1]!)]
    expect([narrow.length, wide.length]).toEqual([24, 40])
    expect(narrow.every((line) => line.length <= 80)).toBe(true)
    expect(narrow[0]).toContain("Meridian")
    expect(parts[0]).toContain(`${ESCAPE}[1m`)
  })

  it("has no colours where none are wanted, and gives the terminal back at a signal too", () => {
    const { parts, code, restored } = top([{ wait: "q quit", signal: 15 }, { wait: "\u001B[?1049l" }], "--no-colour")
    expect([code, restored]).toEqual([0, true])
    expect(parts.join("")).not.toMatch(new RegExp(`${ESCAPE}\\[\\d+m`))
  })
})

describe("without a terminal", () => {
  it("prints one screen when told to, else says what it needs", async () => {
    const once = await meridian(["top", "--once", "--state", node.state])
    expect(once.code).toBe(0)
    expect(once.stdout).toMatch(/^\S+ {2}Meridian .*\n/)
    expect(once.stdout).not.toContain(ESCAPE)
    expect(once.stdout.split("\n").every((line) => line.length <= 80)).toBe(true)
    expect(await meridian(["top", "--state", node.state])).toMatchObject({
      code: 2,
      stderr: "meridian top: expected a terminal to show itself on; --once prints one screen\n"
    })
    expect(await meridian(["top", "--once", "--state", "/nowhere"])).toMatchObject({ code: 1 })
  })
})
