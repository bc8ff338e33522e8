/**
 * What ntpq's `ntsinfo` and `ntskeinfo` say of a node, after so many key exchanges and packets as its clients know of: our own client, which is told
 * how often to ask, chronyd and NTPsec's ntpd, which count what they sent, and strangers. And the same of the node as a client.
 */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { NodeStatus } from "@meridian/ipc"
import { ntsKeFigures, ntsServerFigures } from "@meridian/ipc/nts-figures"
import { canMakeNamespaces, type NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { meridian } from "@meridian/testkit/running-node"
import { type Daemon, startNtsChronyd, startNtsNtpd } from "./daemons.ts"
import { CONTROL_KEY, eventually, type Stage, startStage } from "./stage.ts"

/** The first that tells connections without TLS apart. */
const NTPQ = "ntpsec-ntpq-1.2.3"

const suite = "ntpq's counters of NTS"
const isAvailable =
  peersAvailable(suite, ["chronyd-4.3", "chronyd-newest", "chronyc-newest", "ntpsec-ntpd", "ntpsec-ntpq", NTPQ]) &&
  canMakeNamespaces(suite)

let stage: Stage
const daemons: Daemon[] = []
beforeAll(async () => {
  if (isAvailable) stage = await startStage()
})
afterAll(async () => {
  for (const daemon of daemons) await daemon.stop()
  await stage?.stop()
})

type Counters = Readonly<Record<string, number>>

/** The numbers of both screens by their labels. */
const countersOf = async (network: NetworkNamespace): Promise<Counters> => {
  const { stdout } = await stage.run(NTPQ, ["-n", "-c", "ntsinfo", "-c", "ntskeinfo", "127.0.0.1"], network)
  return Object.fromEntries(
    [...stdout.matchAll(/^ ?(NTS[^:]*?):? +(\d+)\s*$/gm)].map(([, label = "", count]) => [label, Number(count)])
  )
}

/** Asks until they are what they must be: pictures are a second apart. */
const counted = async (wanted: Counters): Promise<void> => {
  const names = Object.keys(wanted)
  const picked = async () => {
    const all = await countersOf(stage.network)
    return Object.fromEntries(names.map((name) => [name, all[name]]))
  }
  const isThere = (found: Counters) => names.every((name) => found[name] === wanted[name])
  expect(await eventually(picked as () => Promise<Counters>, isThere)).toEqual(wanted)
}

/** The first number behind a label of `chronyc ntpdata`. */
const figureOf = (text: string, label: string): number => Number(new RegExp(`^${label} +: (\\d+)`, "m").exec(text)?.[1])

describe.runIf(isAvailable)("ntpq's counters of NTS", () => {
  it("are what clients did: ours, strangers, chronyd and NTPsec", async () => {
    const { within } = stage.network
    const certificate = join(stage.node.state, "nts-development-certificate.pem")
    // Whoever has no time yet is no answer.
    expect(
      (await eventually(stage.snapshot, ({ status }) => status.clock.synchronised)).status.clock.synchronised
    ).toBe(true)
    const query = ["query", "--nts", "--ca", certificate, "--count", "4", "127.0.0.1"]
    expect((await meridian(query, {}, within)).code).toBe(0)
    // Eight cookies by the exchange, one by each reply.
    await counted({
      "NTS KE serves good": 1,
      "NTS KE serves bad": 0,
      "NTS server recvs good": 4,
      "NTS server recvs w error": 0,
      "NTS server sends": 4,
      "NTS make cookies": 12,
      "NTS decode cookies current": 4
    })

    const [program, ...rest] = [...within, process.execPath, join(import.meta.dirname, "nts-strangers.ts")]
    await promisify(execFile)(program, [...rest, "2", "3", "5"], { timeout: PATIENCE_MS })
    await counted({
      "NTS KE serves good": 1,
      "NTS KE serves bad": 3,
      "NTS KE serves no-TLS": 2,
      "NTS server recvs good": 4,
      "NTS server recvs w error": 5,
      "NTS server sends": 4,
      "NTS make cookies": 12,
      "NTS decode cookies current": 4,
      "NTS decode cookies too old": 5,
      "NTS decode cookies error": 0
    })
    const chronyds = (["4.3", "newest"] as const).map((version) => ({
      chronyc: `chronyc-${version}` as const,
      ...startNtsChronyd(stage, `chronyd-${version}`, certificate)
    }))
    const ntpd = startNtsNtpd(stage, CONTROL_KEY)
    daemons.push(...chronyds, ntpd)
    const asked = async ({ chronyc, socket }: (typeof chronyds)[number], ...words: readonly string[]) =>
      (await stage.run(chronyc, ["-n", "-h", socket, ...words])).stdout
    const ntpData = (each: (typeof chronyds)[number]) => asked(each, "ntpdata", "127.0.0.1")
    for (const each of chronyds)
      expect(
        await eventually(
          async () => figureOf(await ntpData(each), "Total valid RX"),
          (count) => count >= 4
        )
      ).toBeGreaterThanOrEqual(4)
    const ofNtpd = () => countersOf(ntpd.network)
    await eventually(ofNtpd, (counters) => (counters["NTS client recvs good"] ?? 0) >= 4)
    // Nothing is sent from here on; of what was, the answer may be on its way.
    await eventually(ofNtpd, (all) => all["NTS client sends"] === all["NTS client recvs good"])
    for (const each of chronyds) expect(await asked(each, "offline")).toContain("200 OK")
    const login = ["-k", stage.keys, "-a", String(CONTROL_KEY), "-c", ":config unpeer 192.0.2.1", "127.0.0.1"]
    expect((await stage.run("ntpsec-ntpq", login, ntpd.network)).stdout).toContain("Config Succeeded")
    for (const each of chronyds)
      await eventually(
        () => ntpData(each),
        (text) => figureOf(text, "Total TX") === figureOf(text, "Total valid RX")
      )
    const told = await Promise.all(chronyds.map(ntpData))
    const sum = (label: string) => told.reduce((all, text) => all + figureOf(text, label), 0)
    const theirs = await ofNtpd()
    expect(theirs["NTS KE client probes good"]).toBe(1)
    const sent = sum("Total TX") + theirs["NTS client sends"]!
    const received = sum("Total valid RX") + theirs["NTS client recvs good"]!
    expect(sent).toBeGreaterThanOrEqual(12)
    await counted({
      "NTS KE serves good": 4,
      "NTS KE serves bad": 3,
      "NTS server recvs good": 4 + sent,
      "NTS server recvs w error": 5,
      "NTS server sends": 4 + received,
      "NTS decode cookies current": 4 + sent
    })
  })

  it("are what the node itself sends as a client, and hears", async () => {
    const socket = join(stage.node.state, "chronyd.sock")
    expect((await stage.run("chronyc-newest", ["-h", socket, "offline", "192.0.2.4"])).stdout).toContain("200 OK")
    const pair = async () => {
      const [node, status] = await Promise.all([
        countersOf(stage.network),
        meridian(["status", "--json", "--state", stage.file("nts-state")])
      ])
      const { totals, ntsKe } = JSON.parse(status.stdout) as NodeStatus
      return { node, server: ntsServerFigures(totals, ntsKe), ke: ntsKeFigures(ntsKe) }
    }
    const { node, server, ke } = await eventually(pair, (found) => found.node["NTS client sends"] === found.server.good)
    expect(node["NTS client sends"]).toBeGreaterThanOrEqual(4)
    expect(node).toMatchObject({
      "NTS KE client probes good": ke.good,
      "NTS client sends": server.good,
      "NTS client recvs good": server.sent,
      "NTS client recvs w error": 0
    })
  })
})
