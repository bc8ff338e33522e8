/** A node follows unmodified classic ntpd 4.2.8p15 by Autokey: trusted certificates, and all schemes with MERIDIAN_LONG=1. */
import { existsSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { meridian } from "@meridian/testkit/running-node"
import { cryptostats, hasFlags } from "./autokey-hosts.ts"
import { alice, chosen, isAvailable, makeKeys, SLOW_MS } from "./autokey-schemes.ts"
import { sources, until } from "./peer-stage.ts"
import { onStage } from "./stage.ts"
import { SERVER, startClassicIn, startNodeIn, twoNetworks } from "./two-networks.ts"

const available = isAvailable("a node behind classic ntpd by Autokey")

describe.runIf(available).concurrent("a node follows classic ntpd", { timeout: SLOW_MS }, () => {
  it.each(chosen("trusted certificates"))("by $name", (scheme) =>
    onStage(async (stage) => {
      const keys = makeKeys(stage, scheme)
      const { server, client } = twoNetworks(stage)
      const digest = scheme.digest === undefined ? "" : ` digest ${scheme.digest}`
      const address = SERVER[scheme.family ?? "v4"]
      await startClassicIn(stage, server, alice(stage, keys.server, digest))
      const statistics = cryptostats(stage, "client")
      const node = await startNodeIn(stage, client, [
        `keysdir ${keys.client}`,
        `crypto host ${keys.host} pw ${keys.password}${digest}`,
        `server ${address} autokey${keys.ident} iburst minpoll 3 maxpoll 3`,
        ...statistics.lines
      ])
      const isDone = ([it]: Awaited<ReturnType<ReturnType<typeof sources>>>): boolean =>
        it?.verdict === "system-peer" &&
        it.authentication.kind === "autokey" &&
        hasFlags(it.authentication.flags, scheme.flags)
      const [source] = await until(sources(node), isDone, SLOW_MS / 2)
      expect(source).toMatchObject({ address, stratum: 6 })
      expect(Math.abs(source?.offset ?? 1)).toBeLessThan(1e-2)
      expect((await meridian(["sources", "--state", node.state])).stdout).toMatch(/ autokey 0x[0-9a-f]+,? /)
      const written = await until(
        async () => (existsSync(statistics.file) ? readFileSync(statistics.file, "utf8") : ""),
        (text) => / leap TAI offset 37 /.test(text)
      )
      expect(written).toMatch(/^\d{5} \d+\.\d{3} \S+ assoc \d+ \d+ host \S+ \w+WithRSAEncryption$/m)
      expect(written).toMatch(/^\d{5} \d+\.\d{3} 0\.0\.0\.0 ntpkey_RSAhost_\S+ mod 1024$/m)
      expect(written).toMatch(/^\d{5} \d+\.\d{3} 0\.0\.0\.0 ntpkey_\S+cert_\S+ 0x[018] len \d+$/m)
      expect(written).toMatch(/^\d{5} \d+\.\d{3} \S+ cook [0-9a-f]+ ts \d+ fs \d+$/m)
    })()
  )
})
