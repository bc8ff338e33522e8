/** Another configuration for a running node: what it takes up at once, what it names, and what a bad file does. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterAll, describe, expect, it } from "vitest"
import { startLoad } from "@meridian/testkit/ntp-load"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { type Finished, meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"

const folder = mkdtempSync(join(tmpdir(), "meridian-reload-"))
const nodes: RunningNode[] = []
const file = join(folder, "ntp.conf")
const write = (...lines: readonly string[]): void => writeFileSync(file, [...lines, ""].join("\n"))

const start = async (...args: readonly string[]): Promise<RunningNode> => {
  const node = await startNode({ args: ["--workers", "2", ...args] })
  nodes.push(node)
  return node
}
const ask = (node: RunningNode, ...words: readonly string[]): Promise<Finished> =>
  meridian([...words, "--state", node.state])

interface Source {
  readonly address: string
  readonly reach: string
}
const sourcesOf = async (node: RunningNode): Promise<readonly Source[]> =>
  JSON.parse((await ask(node, "sources", "--json")).stdout) as Source[]
const until = async (holds: () => Promise<boolean>): Promise<void> => {
  for (let waited = 0; !(await holds()); waited += 200) {
    expect(waited).toBeLessThan(PATIENCE_MS)
    await setTimeout(200)
  }
}

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()))
  rmSync(folder, { recursive: true, force: true })
})

describe("a reload", () => {
  it("changes sources and access under load: nothing is lost, and a source that stays keeps its reach register", async () => {
    const upstream = await start()
    const server = (address: string): string => `server ${address}:${upstream.port} minpoll 0 maxpoll 0`
    write(server("127.0.0.1"), server("127.0.0.2"), "restrict default limited", "limit average 1000 burst 20")
    const node = await start("--config", file)
    await until(async () => (await sourcesOf(node)).every(({ reach }) => reach === "377"))
    const before = (await node.status()).workers.map(({ pid }) => pid)
    const load = await startLoad({ port: node.port, sources: 50, rate: 20_000 })
    await setTimeout(500)
    write(server("127.0.0.1"), server("127.0.0.3"), "unrestrict default limited noquery", "restrict 127.0.0.77 ignore")
    const check = await ask(node, "reload", "--check")
    expect(check).toMatchObject({ code: 0, stderr: "" })
    expect(check.stdout).toContain("would be made")
    const done = await ask(node, "reload")
    expect(done).toMatchObject({ code: 0, stderr: "" })
    expect(done.stdout).toContain(`+ ${server("127.0.0.3")} (${file}:2:1)`)
    expect(done.stdout).toContain(`- ${server("127.0.0.2")}`)
    await until(async () => !(await sourcesOf(node)).some(({ address }) => address === "127.0.0.2"))
    // One that began anew would have to be asked seven times first. The last of eight may be under way.
    const kept = (await sourcesOf(node)).find(({ address }) => address === "127.0.0.1")
    expect(["377", "376"]).toContain(kept?.reach)
    await until(async () =>
      (await sourcesOf(node)).some(({ address, reach }) => address === "127.0.0.3" && reach !== "000")
    )
    const { sent, lost, wrong } = await load.finish()
    expect({ lost, wrong }).toEqual({ lost: [], wrong: 0 })
    expect(sent).toBeGreaterThan(500)
    expect((await node.status()).workers.map(({ pid }) => pid)).toEqual(before)
    const shown = (await ask(node, "config", "show")).stdout
    expect(shown).toContain("restrict 127.0.0.77 ignore")
    expect(shown).not.toContain("127.0.0.2:")
  })

  it("names what waits for a start with its line, and takes up the rest", async () => {
    write("mru maxage 100")
    const node = await start("--config", file)
    write("restrict default noquery", "mru maxmem 2048 maxage 50", "cluster clock-days 50", "tos minsane 2")
    const { code, stdout } = await ask(node, "reload", "--json")
    expect(code).toBe(0)
    const report = JSON.parse(stdout) as { changes: string[]; waiting: string[] }
    expect(report.waiting).toEqual([
      expect.stringMatching(/cluster clock-days.*:3:\d+\); at the next start of the node$/)
    ])
    expect(report.changes).toEqual([
      `tos minsane 1 -> tos minsane 2 (${file}:4:1); the clock's process starts anew`,
      `+ restrict default noquery (${file}:1:1)`,
      `mru maxmem 16384 -> mru maxmem 2048 (${file}:2:1)`,
      `mru maxage 100 -> mru maxage 50 (${file}:2:1)`
    ])
    expect((await ask(node, "reload")).stdout).toContain("0 changes made, 1 waits for the next start")
  })

  it("of a bad file changes nothing, and says so in the exit code and in the log", async () => {
    write("restrict 127.0.0.88 ignore")
    const node = await start("--config", file)
    write("restrict default ignore", "prot 123")
    const { code, stderr } = await ask(node, "reload")
    expect(code).toBe(2)
    expect(stderr).toContain(`${file}:2:1: error: found 'prot', expected a directive; did you mean 'port'?`)
    expect(stderr).toContain("nothing was changed")
    expect(node.stderr()).toContain("the new configuration cannot be used")
    expect((await ask(node, "query", `127.0.0.1:${node.port}`)).code).not.toBe(1)
    // An editor truncates a file before it writes it: that is no wish to be open to everybody.
    writeFileSync(file, "")
    expect((await ask(node, "reload")).code).toBe(2)
    expect(node.stderr()).toContain("the configuration file is empty now; the node runs on by what it had")
    rmSync(file)
    expect(await ask(node, "reload")).toMatchObject({ code: 2 })
    node.process.kill("SIGHUP")
    await until(async () => node.stderr().includes("the workers are replaced"))
    expect((await ask(node, "config", "show")).stdout).toContain("restrict 127.0.0.88 ignore")
    expect((await meridian(["query", `127.0.0.1:${node.port}`])).code).toBe(0)
  })

  it("of a directory of servers follows what a DHCP hook wrote there", async () => {
    const upstream = nodes[0]!
    const directory = join(folder, "dhcp")
    write(`sourcedir ${directory}`, "server 127.0.0.9 noselect")
    const node = await start("--config", file)
    await until(async () => (await sourcesOf(node)).map(({ address }) => address).join() === "127.0.0.9")
    mkdirSync(directory)
    writeFileSync(join(directory, "eth0.sources"), `server 127.0.0.1:${upstream.port} iburst minpoll 0 maxpoll 0\n`)
    expect((await ask(node, "reload")).stdout).toContain(`(${directory}/eth0.sources:1:1)`)
    await until(async () =>
      (await sourcesOf(node)).some(({ address, reach }) => address === "127.0.0.1" && reach !== "000")
    )
  })
})
