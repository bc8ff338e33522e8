/** AEAD 30 and a server that exports keys as RFC 8915 says and does not know record 1024: what we make of it, and what chronyd does. */
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import { describe, expect, it, vi } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, type PeerName, peersAvailable } from "@meridian/testkit/real-peers"
import { startRfcExporterServer } from "./rfc-exporter-server.ts"
import { upstream } from "./running-discipline.ts"
import { onStage } from "./stage.ts"

describe("an NTS server with AEAD 30 that does not know record 1024", () => {
  it(
    "is followed after one exchange and one NAK, which has the other context's keys tried",
    onStage(async (stage) => {
      const server = stage.keep(await startRfcExporterServer(stage.folder, "127.0.2.1"))
      const discipline = await stage.start({ sources: [upstream(server.address, server.port, { nts: server.nts })] })
      const report = await discipline.report(({ tracking }) => tracking.state === "synchronised")
      expect(report.sources).toMatchObject([{ verdict: "system-peer", authentication: { kind: "nts" } }])
      expect(Math.abs(report.tracking.offset ?? 1)).toBeLessThan(1e-3)
      expect(server.exchanges()).toBe(1)
      expect(server.outcomes()).toEqual({ "nts-nak-sent": 1, "served-nts": expect.any(Number) as number })
    })
  )

  const chronyds = [
    ["chronyd-4.6", "chronyc-4.6"],
    ["chronyd-newest", "chronyc-newest"]
  ] as const satisfies readonly (readonly [PeerName, PeerName])[]

  it.skipIf(!peersAvailable("AEAD 30 by the RFC", chronyds.flat())).each(chronyds)(
    "is followed by %s in the same way",
    async (name, asker) => {
      await onStage(async (stage) => {
        const server = stage.keep(await startRfcExporterServer(stage.folder, "127.0.2.2"))
        const place = stage.folder.file(name)
        mkdirSync(place)
        chmodSync(place, 0o700)
        const lines = [
          `server ${server.address} nts ntsport ${server.nts.port} iburst minpoll 0 maxpoll 0`,
          `ntstrustedcerts ${server.nts.ca}`,
          `pidfile ${place}/pid`,
          "cmdport 0",
          `bindcmdaddress ${place}/socket`
        ]
        writeFileSync(`${place}/conf`, `${lines.join("\n")}\n`)
        const { command, args, env } = peer(name)!
        const child = spawn(command, [...args, "-x", "-d", "-f", `${place}/conf`], { env, stdio: "ignore" })
        const ended = once(child, "exit")
        stage.atFirst(async () => {
          child.kill("SIGTERM")
          await ended
        })
        const chronyc = peer(asker)!
        const authdata = (): Promise<string> =>
          new Promise((done) => {
            const all = [...chronyc.args, "-n", "-h", `${place}/socket`, "authdata"]
            execFile(chronyc.command, all, { env: chronyc.env, timeout: PATIENCE_MS }, (_, said) => done(said))
          })
        await vi.waitUntil(() => (server.outcomes()["served-nts"] ?? 0) >= 4, { timeout: PATIENCE_MS })
        expect(await authdata()).toMatch(/^127\.0\.2\.2 +NTS +1 +30 +128 /m)
        expect(server.exchanges()).toBe(1)
        expect(server.outcomes()["nts-nak-sent"]).toBe(1)
      })()
    }
  )
})
