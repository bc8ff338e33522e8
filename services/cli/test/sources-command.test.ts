/** `meridian sources` and `meridian tracking` against a control socket that answers what a node answers. */
import { mkdtempSync, rmSync } from "node:fs"
import { createServer, type Server } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { SourceReport, TrackingReport } from "@meridian/ipc/discipline-report"
import { CONTROL_SOCKET_NAME } from "@meridian/ipc/unix-socket"
import { formatSources, runSources, shortSeconds } from "../src/sources-command.ts"
import { formatTracking, runTracking } from "../src/tracking-command.ts"

const source = (change: Partial<SourceReport> = {}): SourceReport => ({
  address: "192.0.2.1",
  port: 123,
  name: "ntp.example",
  mode: "client",
  stratum: 2,
  leap: 0,
  referenceId: "192.0.2.99",
  poll: 6,
  reach: "377",
  verdict: "system-peer",
  reason: "stratum 2 and root distance 2.51 ms are the best of 3 survivors",
  offset: -12.5e-6,
  delay: 1e-3,
  dispersion: 1e-6,
  jitter: 4e-6,
  rootDelay: 0,
  rootDispersion: 0,
  rootDistance: 2.51e-3,
  authentication: { kind: "nts", cookies: 8 },
  lastReply: 34,
  dropped: {},
  ...change
})
const silent = source({
  address: "2001:db8::2",
  name: null,
  stratum: 16,
  reach: "000",
  verdict: "unreachable",
  reason: "no answer to the last eight polls",
  offset: null,
  jitter: null,
  rootDistance: null,
  authentication: { kind: "none" },
  lastReply: null
})
const liar = source({
  address: "192.0.2.3",
  name: "192.0.2.3",
  verdict: "falseticker",
  reason: "5.000 s ± 2.51 ms is outside -1.00 ms … 1.00 ms, where the majority agrees",
  offset: 5,
  authentication: { kind: "symmetric", key: 7 }
})

const tracking = (change: Partial<TrackingReport> = {}): TrackingReport => ({
  mode: "virtual",
  kernel: null,
  state: "synchronised",
  systemPeer: "192.0.2.1",
  stratum: 3,
  leap: 0,
  referenceId: "192.0.2.1",
  referenceTime: 1_767_225_600,
  offset: -4.77e-6,
  offsetDeviation: 1.5e-6,
  frequency: 0.92,
  frequencyDeviation: 0.13,
  servedOffset: -4.7e-6,
  servedFrequency: 0.92,
  rootDelay: 1.4e-5,
  rootDispersion: 1.5e-5,
  poll: 6,
  holdoverSince: null,
  leapArmed: null,
  steps: 0,
  foreignSteps: 0,
  waitingFor: [],
  ...change
})

describe("the table of sources", () => {
  it("has a mark, the figures and the reason of each, in columns", () => {
    const short = { name: null, reason: "the best" }
    const lines = formatSources([source(short), { ...silent, reason: "no answer" }], false)
      .trimEnd()
      .split("\n")
    expect(lines).toHaveLength(7)
    const [first, second] = lines.slice(5)
    expect(first).toMatch(
      /^\^\* {2}192\.0\.2\.1 +2 +6 +377 +34 +-12\.5us +2\.51ms +4\.00us +nts 8 +system-peer: the best$/
    )
    expect(second).toMatch(/^\^\? {2}2001:db8::2 +16 +6 +000 +- +- +- +- +- +unreachable: no answer/)
    const column = lines[4]!.indexOf("verdict")
    expect([first, second].map((line) => line!.indexOf(": ") > column)).toEqual([true, true])
  })

  it("has the words about each on a line of their own where one line is too wide", () => {
    const lines = formatSources([source(), silent, liar], false).trimEnd().split("\n")
    expect(lines[5]).toMatch(/^\^\* {2}192\.0\.2\.1 +2 +6 +377 +34 +-12\.5us +2\.51ms +4\.00us$/)
    expect(lines[6]).toMatch(/^ {4}ntp\.example, nts 8, system-peer: stratum 2/)
    expect(lines[8]).toMatch(/^ {4}unreachable: no answer/)
    expect(lines[9]).toMatch(/^\^x {2}192\.0\.2\.3 +2 .* \+5\.00s/)
    expect(lines[10]).toMatch(/^ {4}key 7, falseticker: 5\.000 s/)
  })

  it("shows the port that is not NTP's own, and fits a hundred columns whatever it shows", () => {
    const far = source({
      address: "2001:db8:1111:2222:3333:4444:5555:6666",
      port: 11_123,
      name: "a-long-name.of-a-server.example.org",
      offset: -0.001_234_5,
      reason: `${"one word after the other ".repeat(9)}ends`
    })
    const text = formatSources([far, source({ port: 1_124, name: null })], false)
    expect(text).toContain("^*  [2001:db8:1111:2222:3333:4444:5555:6666]:11123  ")
    expect(text).toContain("^*  192.0.2.1:1124  ")
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(100)
  })

  it("marks a peer that came by itself", () => {
    const authentication = { kind: "symmetric", key: 5 } as const
    const came = source({ mode: "passive", name: null, reason: "the best", authentication })
    expect(formatSources([came], false)).toMatch(/^<\* {2}192\.0\.2\.1 .* key 5 /m)
  })

  it("fits a terminal of 80 columns", () => {
    const awaited = ["ntp.example: no name server answers"]
    const lines = formatSources([source(), silent, liar], false, awaited, 80).split("\n")
    expect(lines.filter(({ length }) => length > 80)).toEqual([])
    // The legend's lines are whole: no word of theirs stands on a line of its own.
    expect(lines.slice(0, 4).map((line) => line.split(":")[0])).toEqual(["M", "S", "offset", "last"])
  })

  it("has no head and no legend while names wait for their addresses", () => {
    expect(formatSources([], false, ["ntp.example: no name server answers"])).toBe(
      "no source is asked yet:\n   waiting for the address of ntp.example: no name server answers\n"
    )
  })

  it("is coloured only when asked", () => {
    expect(formatSources([source(), liar], false)).not.toContain("\u001B")
    const coloured = formatSources([source(), silent, liar], true)
    expect(coloured.split("\u001B[32m")).toHaveLength(2)
    expect(coloured.split("\u001B[31m")).toHaveLength(2)
  })

  it("says so when there are none", () => {
    expect(formatSources([], false)).toBe("no sources are configured\n")
    const awaited = formatSources([], false, ["ntp.example: no name server answers"])
    expect(awaited).toContain("waiting for the address of ntp.example: no name server answers")
    expect(awaited).not.toContain("no sources are configured")
  })
})

describe("the tracking", () => {
  it("says what is followed and how well the time is known", () => {
    const text = formatTracking(tracking())
    expect(text).toMatch(/^state +synchronised$/m)
    expect(text).toMatch(/^system peer +192\.0\.2\.1$/m)
    expect(text).toMatch(/^offset +-4\.77us \+\/- 1\.50us$/m)
    expect(text).toMatch(/^frequency +0\.920 ppm \+\/- 0\.130 ppm$/m)
    expect(text).toMatch(/^last update +2026-01-01T00:00:00\.000Z$/m)
    expect(text).not.toContain("waiting for")
  })

  it("says how many peers came by themselves, and why others were not taken", () => {
    expect(formatTracking(tracking())).not.toContain("passive")
    const passivePeers = { now: 2, most: 16, taken: 5, refused: { full: 3, unproven: 1 } }
    expect(formatTracking(tracking({ passivePeers }))).toMatch(
      /^passive peers +2 of at most 16; refused: full 3, unproven 1$/m
    )
  })

  it("says how the system's clock is steered, where it is", () => {
    expect(formatTracking(tracking())).toMatch(/^mode +virtual: the system's clock is left alone$/m)
    const kernel = { state: "locked", frequency: -12.5, tick: 10_000, steps: 1 }
    const steered = formatTracking(tracking({ mode: "kernel", kernel }))
    expect(steered).toMatch(/^mode +kernel: steers the system's clock$/m)
    expect(steered).toMatch(/^system clock +locked, -12\.500 ppm, stepped 1 times$/m)
    const far = formatTracking(tracking({ mode: "kernel", kernel: { ...kernel, tick: 10_050 } }))
    expect(far).toContain("locked, -12.500 ppm and tick 10050")
  })

  it("says what is waited for, and when a leap second comes", () => {
    const text = formatTracking(
      tracking({
        state: "unset",
        stratum: 16,
        systemPeer: null,
        referenceTime: null,
        offset: null,
        frequency: null,
        leapArmed: { leap: "insert", at: 1_767_225_600, origin: "file" },
        waitingFor: ["an answer from 192.0.2.1 port 123 (asked 3 times)"]
      })
    )
    expect(text).toMatch(/^stratum +unsynchronised$/m)
    expect(text).toMatch(/^leap second +insert before 2026-01-01T00:00:00\.000Z, by file$/m)
    expect(text).toMatch(/^waiting for an answer from 192\.0\.2\.1 port 123 \(asked 3 times\)$/m)
  })
})

describe("seconds for people", () => {
  it.each([
    [0, "0.00ns"],
    [1.23456e-9, "1.23ns"],
    [-2.5e-3, "-2.50ms"],
    [0.25, "250ms"],
    [5, "5.00s"],
    [864_000, "10d"],
    [2.54e-21, "0.00ns"],
    [-2.54e-21, "0.00ns"],
    [-1.5e-10, "-0.15ns"]
  ])("%d is %s", (seconds, text) => expect(shortSeconds(seconds)).toBe(text))
})

describe("the commands", () => {
  let folder: string
  let server: Server
  const resources: Record<string, unknown> = { "/sources": [source()], "/tracking": tracking() }

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "meridian-cli-"))
    server = createServer(({ url = "" }, response) => {
      response.writeHead(url in resources ? 200 : 404)
      response.end(JSON.stringify(resources[url] ?? {}))
    })
    await new Promise<void>((listening) => server.listen(join(folder, CONTROL_SOCKET_NAME), listening))
  })
  afterEach(async () => {
    server.closeAllConnections()
    await new Promise((closed) => server.close(closed))
    rmSync(folder, { recursive: true, force: true })
  })

  const run = async (command: typeof runSources, args: readonly string[]) => {
    const said: string[] = []
    const complained: string[] = []
    vi.spyOn(process.stdout, "write").mockImplementation((text) => said.push(String(text)) > 0)
    vi.spyOn(process.stderr, "write").mockImplementation((text) => complained.push(String(text)) > 0)
    const code = await command(args)
    vi.restoreAllMocks()
    return { code, said: said.join(""), complained: complained.join("") }
  }

  it("ask the node and print for people or machines", async () => {
    expect(await run(runSources, ["--state", folder])).toMatchObject({
      code: 0,
      said: expect.stringContaining("ntp.example, nts 8, system-peer")
    })
    const sources = await run(runSources, ["--state", folder, "--json"])
    expect(JSON.parse(sources.said)).toEqual([source()])
    const told = await run(runTracking, ["--state", folder, "--json"])
    expect(JSON.parse(told.said)).toEqual(tracking())
  })

  it("end with 1 where no node runs, and with 2 for a flag that is none", async () => {
    const nowhere = await run(runTracking, ["--state", join(folder, "nowhere")])
    expect(nowhere).toMatchObject({ code: 1, complained: expect.stringContaining("no node runs with") })
    expect((await run(runSources, ["--jsno"])).code).toBe(2)
    expect((await run(runSources, ["--help"])).said).toContain("meridian sources")
  })
})
