/**
 * ntpq's `:config` at a node that runs, beside the same at the daemon that each ntpq came with: what is taken, what is refused, what comes of it, and
 * that it ends with a reload.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { canMakeNamespaces, type NetworkNamespace } from "@meridian/testkit/network-namespace"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { meridian } from "@meridian/testkit/running-node"
import { type Daemon, startNtpd } from "./daemons.ts"
import { askNtpq, type Ntpq, ntpqPairs } from "./ntpq.ts"
import { CONTROL_KEY, eventually, type Stage, startStage } from "./stage.ts"

const suite = "ntpq's :config beside the real daemons"
const isAvailable =
  peersAvailable(suite, ["chronyd-4.3", ...ntpqPairs.flatMap(({ ntpq, ntpd }) => [ntpq, ntpd])]) &&
  canMakeNamespaces(suite)

let stage: Stage
const folder = mkdtempSync(join(tmpdir(), "meridian-saved-"))
const daemons = new Map<string, Daemon>()
beforeAll(async () => {
  if (!isAvailable) return
  stage = await startStage([`saveconfigdir ${folder}`])
  for (const { ntpd } of ntpqPairs) daemons.set(ntpd, startNtpd(stage, ntpd, CONTROL_KEY))
})
afterAll(async () => {
  for (const daemon of daemons.values()) await daemon.stop()
  await stage?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const ask = (ntpq: Ntpq, commands: readonly string[], where: NetworkNamespace): Promise<readonly string[]> =>
  askNtpq(stage, ntpq, commands, where)
const say = async (ntpq: Ntpq, line: string): Promise<string> =>
  (await ask(ntpq, [`:config ${line}`], stage.network))[0] ?? ""

/** The addresses of sources, once they are as wanted. */
const addressesOf = async (wanted: (all: readonly string[]) => boolean): Promise<readonly string[]> =>
  eventually(async () => (await stage.snapshot()).sources.map(({ address }) => address), wanted)

/** What all of them take, or all refuse. */
const lines = [
  { line: "server 192.0.2.1 noselect minpoll 3", taken: true },
  { line: "server 192.0.2.1 noselect minpoll 3", taken: true },
  { line: "unpeer 192.0.2.1", taken: true },
  { line: "unconfig 192.0.2.1", taken: true },
  { line: "restrict 198.51.100.0 mask 255.255.255.0 nomodify", taken: true },
  { line: "tos minclock 2", taken: true },
  { line: "trustedkey 1 5 7", taken: true },
  { line: "enable monitor", taken: true },
  { line: "# nothing", taken: true },
  { line: "disable stats", taken: false },
  { line: "logfile /tmp/meridian-nowhere.log", taken: false },
  { line: "driftfile /tmp/meridian-nowhere", taken: false },
  { line: "statsdir /tmp/meridian-nowhere/", taken: false },
  { line: "filegen peerstats file p type day enable", taken: false },
  { line: "includefile /etc/ntp.conf", taken: false },
  { line: "saveconfigdir /tmp", taken: false },
  { line: "port 124", taken: false },
  { line: "server", taken: false },
  { line: "server 192.0.2.1 nonsense", taken: false },
  { line: "srever 192.0.2.1", taken: false }
] as const

describe.runIf(isAvailable)("ntpq's :config", () => {
  it("adds and takes back sources while others go on, by name, address and association; show says who said it", async () => {
    const before = await stage.snapshot()
    expect(await say("ntpsec-ntpq", "server 192.0.2.1 noselect iburst minpoll 3 maxpoll 3")).toBe("Config Succeeded")
    const added = await eventually(stage.snapshot, ({ sources }) =>
      sources.some(({ address, reach }) => address === "192.0.2.1" && reach !== "000")
    )
    // The clock's process goes on, with what it knows.
    const clockOf = ({ processes }: typeof before) => processes.find(({ name }) => name === "clock")?.pid
    expect(clockOf(added)).toBe(clockOf(before))
    const shown = await meridian(["config", "show", "--state", stage.node.state])
    expect(shown.stdout).toMatch(/^server 192\.0\.2\.1 minpoll 3 maxpoll 3 iburst noselect +# ntpq under key 5$/m)
    const association = added.sources.find(({ address }) => address === "192.0.2.1")?.detail?.association
    expect(await say("classic-ntpq", `unpeer ${association}`)).toBe("Config Succeeded")
    expect(await addressesOf((all) => !all.includes("192.0.2.1"))).not.toContain("192.0.2.1")
    // One of the file, which comes back with a reload.
    expect(await say("classic-ntpq", "unpeer 192.0.2.2")).toBe("Config Succeeded")
    expect(await addressesOf((all) => !all.includes("192.0.2.2"))).not.toContain("192.0.2.2")
    const reloaded = await meridian(["reload", "--state", stage.node.state])
    expect(reloaded.stdout).toContain("+ server 192.0.2.2")
    expect(await addressesOf((all) => all.includes("192.0.2.2"))).toContain("192.0.2.2")
    expect((await meridian(["config", "show", "--state", stage.node.state])).stdout).not.toContain("ntpq under key")
  })

  it.each(ntpqPairs)("$ntpq is told the same of each line as by its own daemon", async ({ ntpq, ntpd }) => {
    const commands = lines.map(({ line }) => `:config ${line}`)
    const [node, daemon] = [
      await ask(ntpq, commands, stage.network),
      await ask(ntpq, commands, daemons.get(ntpd)!.network)
    ]
    for (const [at, { line, taken }] of lines.entries()) {
      expect([line, node[at]?.split("\n")[0] === "Config Succeeded", node[at]]).toEqual([line, taken, node[at]])
      expect([line, daemon[at] === "Config Succeeded", daemon[at]]).toEqual([line, taken, daemon[at]])
    }
    // A remark, where ntpd says nothing.
    expect(node[1]).toContain("is a source already")
    expect(node[3]).toContain("'unpeer' finds no such source")
    for (const text of [node, daemon]) {
      expect(text[9]).toMatch(/column \d+ enable\/disable stats remote configuration ignored/)
      expect(text[11]).toMatch(/column \d+ driftfile remote configuration ignored/)
    }
    expect(node[16]).toContain("column 0 'port' is settled when the node starts")
    expect(await addressesOf((all) => all.length === 4)).toHaveLength(4)
  })

  it("changes access and limits at once, and nothing beyond the line", async () => {
    const rules = async () => (await ask("ntpsec-ntpq", ["reslist"], stage.network))[0] ?? ""
    const before = await rules()
    expect(await say("ntpsec-ntpq-1.2.3", "restrict 198.51.100.77 ignore")).toBe("Config Succeeded")
    expect(await eventually(rules, (text) => text.includes("198.51.100.77"))).toContain("198.51.100.77")
    expect(await say("ntpsec-ntpq", "unrestrict 198.51.100.77")).toBe("Config Succeeded")
    expect(await eventually(rules, (text) => !text.includes("198.51.100.77"))).not.toContain("198.51.100.77")
    const rows = (text: string): readonly string[] =>
      text.split("\n").flatMap((line) => /(\S+)\/\d+\s*$/.exec(line.trim())?.[0] ?? [])
    expect(rows(await rules()).toSorted()).toEqual(rows(before).toSorted())
    expect(await say("classic-ntpq", "limit average 5 burst 40")).toContain("'limit' limits nobody: no line says")
    expect(await say("classic-ntpq", "restrict default limited")).toBe("Config Succeeded")
    const shown = await meridian(["config", "show", "--state", stage.node.state])
    expect(shown.stdout).toMatch(/^limit average 5 burst 40 kod 0.5 +# ntpq under key 5$/m)
    // The dialect is the file's; `discard` alone would make a classic one of it.
    expect(shown.stdout).toMatch(/^dialect ntpsec/m)
    expect(await say("classic-ntpq", "deny 203.0.113.0/24")).toContain("begin such a list in the configuration file")
  })

  it("saves what the node runs by, once under a name, where saveconfigdir says", async () => {
    const name = "node-2026.conf"
    const saved = await ask("classic-ntpq", [`saveconfig ${name}`], stage.network)
    expect(saved[0]).toContain(`Configuration saved to '${name}'`)
    expect(readFileSync(join(folder, name), "utf8")).toMatch(/^server 192\.0\.2\.2 /m)
    expect((await meridian(["config", "check", join(folder, name)])).code).not.toBe(2)
    const again = await ask("classic-ntpq", [`saveconfig ${name}`, "saveconfig ../x"], stage.network)
    expect(again[0]).toContain(`Unable to save configuration to file '${name}': `)
    expect(again[1]).toContain("saveconfig rejects unsafe file name '../x'")
  })

  it("leaves a node its last source", async () => {
    const all = ["192.0.2.2", "192.0.2.3", "192.0.2.4", `127.127.28.${stage.unit}`]
    const answers: string[] = []
    for (const host of all) answers.push(await say("classic-ntpq", `unpeer ${host}`))
    expect(answers.slice(0, 3)).toEqual(Array.from({ length: 3 }, () => "Config Succeeded"))
    expect(answers[3]).toContain("no source would be left")
    expect((await meridian(["reload", "--state", stage.node.state])).code).toBe(0)
  })
})
