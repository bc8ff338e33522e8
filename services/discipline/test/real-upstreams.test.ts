/** The real process with real servers: chronyd plain and with NTS, NTPsec's ntpd with an AES key. */
import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { defaultTos, type DisciplineReport } from "@meridian/ipc/discipline-report"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { onStage } from "./stage.ts"
import { startFakeServer } from "./fake-server.ts"
import { startNtpsec } from "./real-upstreams.ts"
import { servedOffset, upstream } from "./running-discipline.ts"

describe.skipIf(!peersAvailable("discipline", ["chronyd-4.3"])).concurrent("chronyd", () => {
  it(
    "is followed: stratum, reference id, root values and the served line",
    onStage(async (stage) => {
      const server = await stage.chronyd("127.0.2.1")
      const discipline = await stage.start({ sources: [upstream(server.address, server.port)] })
      const report = await discipline.report(({ tracking }) => tracking.state === "synchronised")
      expect(report.tracking).toMatchObject({ systemPeer: "127.0.2.1", stratum: 3, referenceId: "127.0.2.1", leap: 0 })
      expect(report.tracking.waitingFor).toEqual([])
      expect(report.sources).toEqual([
        expect.objectContaining({ verdict: "system-peer", stratum: 2, authentication: { kind: "none" } })
      ])
      const page = discipline.page()
      expect(page).toMatchObject({ stratum: 3, leap: 0, referenceId: 0x7f000201 })
      expect(Math.abs(servedOffset(page))).toBeLessThan(1e-3)
      expect(page.rootDispersion).toBeGreaterThan(0)
      expect(discipline.events[0]).toMatchObject({ _tag: "SetReachability", source: "127.0.2.1", reachable: true })
      expect(discipline.events[1]).toMatchObject({
        _tag: "ChoosePeer",
        peer: "127.0.2.1",
        measurements: [{ source: "127.0.2.1", stratum: 2 }]
      })
    })
  )

  it(
    "is measured in interleaved mode",
    onStage(async (stage) => {
      const server = await stage.chronyd("127.0.2.1")
      const statsdir = stage.folder.path
      const discipline = await stage.start({
        sources: [upstream(server.address, server.port, { xleave: true })],
        statsdir,
        filegen: [{ name: "rawstats", file: "rawstats", type: "none", link: false }]
      })
      const report = await discipline.report(({ sources: [source] }) => source?.interleaved === true)
      expect(report.sources[0]?.verdict).toBe("system-peer")
      expect(Math.abs(report.tracking.offset ?? 1)).toBeLessThan(1e-3)
    })
  )

  it(
    "with NTS is measured in interleaved mode, and every reply brings its cookie",
    onStage(async (stage) => {
      const { server, nts } = await stage.chronydWithNts("127.0.2.1")
      const discipline = await stage.start({
        sources: [upstream(server.address, server.port, { nts, xleave: true })]
      })
      const isInterleaved = ({ sources: [source] }: DisciplineReport): boolean => source?.interleaved === true
      await discipline.report(isInterleaved)
      const report = await discipline.report(
        (it) => isInterleaved(it) && (it.sources[0]?.reach ?? "") >= "037" && it.tracking.state === "synchronised"
      )
      expect(report.sources[0]).toMatchObject({ verdict: "system-peer", authentication: { kind: "nts" } })
      const { authentication, dropped } = report.sources[0]!
      expect(authentication.kind === "nts" && authentication.cookies).toBeGreaterThanOrEqual(7)
      // The first interleaved reply tells of an exchange that was measured already; nothing else may go astray.
      expect(dropped).toEqual({ "measured-already": 1 })
    })
  )

  it(
    "as a symmetric peer and as a pool is followed",
    onStage(async (stage) => {
      const { address, port } = await stage.chronyd("127.0.0.1")
      const peer = await stage.start({ sources: [upstream(address, port, { kind: "peer" })] })
      const asPeer = await peer.report(({ tracking }) => tracking.state === "synchronised")
      expect(asPeer.sources).toEqual([expect.objectContaining({ mode: "active", verdict: "system-peer" })])
      expect(Math.abs(asPeer.tracking.offset ?? 1)).toBeLessThan(1e-3)
      await peer.stop()
      const pool = await stage.start({ sources: [upstream("localhost", port, { kind: "pool" })] })
      const asPool = await pool.report(({ tracking }) => tracking.systemPeer === address)
      expect(pool.source(asPool, address)).toMatchObject({ name: "localhost", verdict: "system-peer" })
    })
  )

  it(
    "as one of three, when it is killed, loses its place to another, and the event says so",
    onStage(async (stage) => {
      const [first, second] = [await stage.chronyd("127.0.2.1"), await stage.chronyd("127.0.2.2")]
      const liar = stage.keep(await startFakeServer("127.0.2.3", () => ({ offset: 5 })))
      const all = [first, second, liar]
      const discipline = await stage.follow(all)
      const before = await discipline.report(
        ({ tracking, sources }) =>
          tracking.state === "synchronised" &&
          sources.filter(({ verdict }) => verdict === "candidate").length === 1 &&
          sources.some(({ verdict }) => verdict === "falseticker")
      )
      expect(discipline.source(before, liar.address)).toMatchObject({ verdict: "falseticker" })
      const peer = before.tracking.systemPeer
      const other = peer === first.address ? second.address : first.address
      await all.find(({ address }) => address === peer)!.stop()
      // With one true and one false source left nobody has a majority.
      const split = await discipline.report(({ sources }) =>
        sources.every(({ verdict }) => verdict === "falseticker" || verdict === "unreachable")
      )
      expect(split.tracking).toMatchObject({ state: "holdover", stratum: 3 })
      await liar.stop()
      const after = await discipline.report(({ tracking }) => tracking.systemPeer === other)
      expect(after.tracking).toMatchObject({ state: "synchronised", stratum: 3, referenceId: other })
      expect(discipline.source(after, peer!)).toMatchObject({ verdict: "unreachable" })
      const chosen = await discipline.event(
        (event) => event._tag === "ChoosePeer" && event.reason.includes("best of 1")
      )
      expect(chosen).toMatchObject({
        peer: other,
        measurements: expect.arrayContaining([expect.objectContaining({ source: other })])
      })
    })
  )

  it(
    "with NTS is followed, its cookies last, and a restart uses the kept ones",
    onStage(async (stage) => {
      const { server, nts } = await stage.chronydWithNts("127.0.2.1")
      const sources = [upstream(server.address, server.port, { nts })]
      const discipline = await stage.start({ sources })
      const report = await discipline.report(({ tracking }) => tracking.state === "synchronised")
      expect(report.sources[0]).toMatchObject({ verdict: "system-peer", authentication: { kind: "nts" } })
      const { authentication } = report.sources[0]!
      expect(authentication.kind === "nts" && authentication.cookies).toBeGreaterThanOrEqual(7)
      await discipline.stop()

      // Nobody to exchange keys with any more: only kept cookies can help.
      const again = await stage.start({
        sources: [{ ...sources[0]!, nts: { ...nts, ca: stage.folder.file("no-such-file") } }]
      })
      const resumed = await again.report(({ sources: [source] }) => source?.verdict === "system-peer")
      expect(resumed.sources[0]?.authentication.kind).toBe("nts")
      expect(again.warnings).toEqual([])
    })
  )

  it(
    "with NTS under a certificate that nobody vouches for is not followed, and it is said why",
    onStage(async (stage) => {
      const { server, nts: trusted } = await stage.chronydWithNts("127.0.2.1")
      const nts = { ...trusted, ca: null }
      const discipline = await stage.start({ sources: [upstream(server.address, server.port, { nts })] })
      const report = await discipline.report(({ tracking }) =>
        tracking.waitingFor.some((it) => it.includes("NTS keys"))
      )
      expect(report.tracking.stratum).toBe(16)
      expect(report.sources[0]).toMatchObject({ authentication: { kind: "nts", cookies: 0 }, reach: "000" })
      await vi.waitFor(() => expect(discipline.warnings.join()).toMatch(/self.signed certificate/), PATIENCE_MS)
    })
  )
})

describe.skipIf(!peersAvailable("discipline", ["ntpsec-ntpd"]) || !canMakeNamespaces("NTPsec as upstream"))(
  "NTPsec's ntpd",
  () => {
    const namespace = `meridian-${process.pid}`
    const key = "0102030405060708090a0b0c0d0e0f10"

    // It answers on port 123 and no other, so it gets a network of its own.
    beforeEach(() => {
      execFileSync("ip", ["netns", "add", namespace])
      execFileSync("ip", ["-n", namespace, "link", "set", "lo", "up"])
    })
    afterEach(() => void execFileSync("ip", ["netns", "delete", namespace]))

    it(
      "with an AES key is followed once the key is told, and not before",
      onStage(async (stage) => {
        writeFileSync(stage.folder.file("keys"), `5 AES ${key}\n`, { mode: 0o600 })
        stage.keep(await startNtpsec(stage.folder, namespace, [`keys ${stage.folder.file("keys")}`, "trustedkey 5"]))
        const discipline = await stage.start(
          // A server that has just begun claims little.
          { sources: [upstream("127.0.0.1", 123, { keyId: 5 })], tos: { ...defaultTos, maxdist: 16 } },
          namespace
        )
        const waiting = await discipline.report(({ sources: [source] }) => (source?.dropped["no-key"] ?? 0) > 0)
        expect(waiting.tracking.stratum).toBe(16)
        const keys: ServingKeys = {
          type: "keys",
          generations: [],
          symmetric: [{ id: 5, algorithm: "AES-128", secret: new Uint8Array(Buffer.from(key, "hex")) }],
          trusted: [{ first: 5, last: 5 }],
          sendCryptoNak: false
        }
        discipline.useKeys(keys)
        const report = await discipline.report(({ tracking }) => tracking.state === "synchronised")
        expect(report.tracking).toMatchObject({ systemPeer: "127.0.0.1", stratum: 7 })
        expect(report.sources[0]).toMatchObject({
          authentication: { kind: "symmetric", key: 5 },
          verdict: "system-peer"
        })
      })
    )
  }
)
