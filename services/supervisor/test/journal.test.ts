/** The lines of a node's log: what is said, once, and how seldom. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort, meridian, startNode } from "@meridian/testkit/running-node"
import { expect, it } from "vitest"
import { Journal } from "../src/journal.ts"

const source = (address: string, reach: string) => ({
  address,
  name: null,
  reach,
  reason: "",
  stratum: 2,
  offset: 0.001,
  rootDistance: 0.02
})
const generation = (id: number, activation: number) => ({ id, activation, retirement: 1e12 })

interface Scene {
  readonly synchronised?: boolean
  readonly systemPeer?: string | null
  readonly sources?: readonly object[]
  readonly generations?: readonly object[]
  readonly limited?: number
  readonly crowded?: number
}

const watch = () => {
  const lines: string[] = []
  const journal = new Journal({
    inform: (message) => void lines.push(message),
    warn: (message) => void lines.push(`warning: ${message}`)
  })
  /** The lines of a picture that is taken so many seconds after the start. */
  const at = (seconds: number, scene: Scene): readonly string[] => {
    const {
      synchronised = true,
      systemPeer = "192.0.2.1",
      sources = [],
      generations = [],
      limited = 0,
      crowded = 0
    } = scene
    const picture = {
      at: seconds,
      monotonic: seconds,
      status: {
        clock: { synchronised, stratum: 3 },
        keys: { masterKeyGenerations: generations },
        ntsKe: [{}],
        totals: { dropped: { "rate-limited": limited, "crowded-out": crowded }, served: {} }
      },
      tracking: { systemPeer, state: "synchronised", waitingFor: synchronised ? [] : ["an answer from 192.0.2.1"] },
      sources
    }
    lines.length = 0
    journal.look(picture as unknown as NodeSnapshot)
    return [...lines]
  }
  return at
}

it("says whom the node follows, that it is synchronised, and that it is not any more", () => {
  const at = watch()
  expect(at(0, { synchronised: false, systemPeer: null })).toEqual([])
  const sources = [source("192.0.2.1", "377"), source("192.0.2.2", "377")]
  expect(at(10, { sources })).toEqual([
    "synchronised, stratum 3",
    "follows 192.0.2.1, stratum 2, offset 1.000 ms, root distance 20.000 ms"
  ])
  expect(at(11, { sources })).toEqual([])
  expect(at(100, { sources, systemPeer: "192.0.2.2" })).toEqual([
    "follows 192.0.2.2 in place of 192.0.2.1, stratum 2, offset 1.000 ms, root distance 20.000 ms"
  ])
  expect(at(200, { sources: [source("192.0.2.1", "0"), source("192.0.2.2", "377")], systemPeer: "192.0.2.2" })).toEqual(
    ["warning: source 192.0.2.1 is lost: no answer to eight polls"]
  )
  expect(at(300, { synchronised: false, systemPeer: null })).toEqual([
    "warning: no longer synchronised; waiting for an answer from 192.0.2.1",
    "warning: follows nobody any more; it was 192.0.2.2; waiting for an answer from 192.0.2.1"
  ])
})

it("tells two servers at one address apart", () => {
  const at = watch()
  const pair = (first: string, second: string) => [
    { ...source("192.0.2.1", first), port: 1123, verdict: "candidate" },
    { ...source("192.0.2.1", second), port: 123, verdict: "system-peer" },
    { ...source("2001:db8::1", "377"), port: 1123 }
  ]
  expect(at(0, { sources: pair("377", "377") })).toEqual([
    "synchronised, stratum 3",
    "follows 192.0.2.1, stratum 2, offset 1.000 ms, root distance 20.000 ms"
  ])
  expect(at(1, { sources: pair("0", "377") })).toEqual([
    "warning: source 192.0.2.1:1123 is lost: no answer to eight polls"
  ])
  for (let second = 2; second < 200; second++) expect(at(second, { sources: pair("0", "377") })).toEqual([])
  expect(at(200, { sources: pair("377", "0") })).toEqual([
    "source 192.0.2.1:1123 answers again",
    "warning: source 192.0.2.1 is lost: no answer to eight polls"
  ])
})

it("says one line of a kind a minute, and then how it ended, or nothing where it is as it was", () => {
  const at = watch()
  at(0, {})
  const said = Array.from({ length: 59 }, (_, second) => at(second + 1, { systemPeer: `192.0.2.${2 + (second % 2)}` }))
  expect(said.flat()).toEqual([])
  expect(at(60, { systemPeer: "192.0.2.2" })).toEqual([
    expect.stringMatching(/^follows 192\.0\.2\.2 in place of .* \(after \d+ changes in a minute\)$/)
  ])
  expect(at(70, { systemPeer: "192.0.2.9" })).toEqual([])
  expect(at(130, { systemPeer: "192.0.2.9" })).toEqual(["follows 192.0.2.9 in place of 192.0.2.2"])
})

it("says which master key is active, and which comes next", () => {
  const at = watch()
  expect(at(0, { generations: [generation(1, 0)] })).toContain("NTS key generation 1 is active")
  expect(at(100, { generations: [generation(1, 0), generation(2, 500)] })).toEqual([
    "NTS key generation 1 stays active; 2 is handed out and comes next"
  ])
  expect(at(500, { generations: [generation(1, 0), generation(2, 500)] })).toEqual([
    "NTS key generation 2 is active in place of 1"
  ])
})

it("counts clients over their limits, a line a minute", () => {
  const at = watch()
  at(0, { limited: 5 })
  expect(at(1, { limited: 12 })).toEqual([expect.stringContaining("clients over their limits: 7 requests")])
  expect(at(30, { limited: 500 })).toEqual([])
  expect(at(61, { limited: 1_012 })).toEqual([expect.stringContaining("clients over their limits: 1000 requests")])
  expect(at(200, { limited: 1_012 })).toEqual([])
})

it("counts requests that were passed over for those who are known, a line a minute beside that of limits", () => {
  const at = watch()
  at(0, {})
  expect(at(1, { crowded: 70_000, limited: 3 })).toEqual([
    expect.stringContaining("clients over their limits: 3 requests"),
    "more requests than can be answered: 70000 from addresses not known from before were passed over since the last such line"
  ])
  expect(at(30, { crowded: 900_000, limited: 3 })).toEqual([])
  expect(at(62, { crowded: 1_070_000, limited: 3 })).toEqual([expect.stringContaining(": 1000000 from addresses")])
})

it("a node's log file has a line for its start, its addresses, its clock, its keys and each reload", async () => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-journal-"))
  const [log, configuration] = [join(folder, "node.log"), join(folder, "ntp.conf")]
  writeFileSync(configuration, `server 127.127.1.0\nlogfile ${log}\nnts enable\nlisten 127.0.0.1\n`)
  const ntsPort = String(await freePort())
  const node = await startNode({ args: ["--config", configuration, "--workers", "1", "--nts-port", ntsPort] })
  const messages = (): readonly string[] =>
    readFileSync(log, "utf8")
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { readonly msg: string }).msg)
  const line = async (pattern: RegExp): Promise<void> => {
    for (const end = performance.now() + PATIENCE_MS; !messages().some((one) => pattern.test(one)); await sleep(100))
      if (performance.now() > end) throw new Error(`no line ${pattern} in\n${messages().join("\n")}`)
  }
  try {
    await line(/^Meridian \S+ has started: process \d+, 1 workers, \w+ I\/O, state in .*, by .*ntp\.conf$/)
    await line(new RegExp(`^answers on 127\\.0\\.0\\.1:${node.port}; NTS key exchange on TCP \\d+$`))
    await line(/^synchronised, stratum \d+$/)
    await line(/^follows this machine's own clock$/)
    await line(/^NTS key generation \d+ is active/)
    await meridian(["reload", "--state", node.state])
    await line(/^reloaded by meridian \S+: nothing has changed$/)
    writeFileSync(
      configuration,
      `server 127.127.1.0\nlogfile ${log}\nnts enable\nlisten 127.0.0.1\nrestrict default nomodify\n`
    )
    await meridian(["reload", "--state", node.state])
    await line(/^reloaded by meridian \S+: \d+ lines? taken up, 0 at the next start, 0 problems$/)
    expect(messages().length).toBeLessThan(40)
  } finally {
    await node.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})
