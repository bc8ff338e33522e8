/** Unmodified classic ntpd 4.2.8p15 follows a node by Autokey: IFF, and all schemes with MERIDIAN_LONG=1. */
import { describe, expect, it } from "vitest"
import { flagsIn, hasFlags } from "./autokey-hosts.ts"
import { alice, chosen, isAvailable, makeKeys, SLOW_MS } from "./autokey-schemes.ts"
import { until } from "./peer-stage.ts"
import { onStage } from "./stage.ts"
import { askClassic, SERVER, startClassicIn, startNodeIn, twoNetworks } from "./two-networks.ts"

const available = isAvailable("classic ntpd behind a node by Autokey")

describe.runIf(available).concurrent("classic ntpd follows a node", { timeout: SLOW_MS }, () => {
  it.each(chosen("IFF"))("by $name", (scheme) =>
    onStage(async (stage) => {
      const keys = makeKeys(stage, scheme)
      const { server, client } = twoNetworks(stage)
      const digest = scheme.digest === undefined ? "" : ` digest ${scheme.digest}`
      const address = SERVER[scheme.family ?? "v4"]
      // As packaged files of classic ntpd have it: an exchange asks no oftener than a client may.
      const limits = ["restrict default limited kod nomodify", "restrict 127.0.0.1"]
      await startNodeIn(stage, server, [...alice(stage, keys.server, digest), ...limits])
      await startClassicIn(stage, client, [
        `keysdir ${keys.client}`,
        `crypto host ${keys.host} pw ${keys.password}${digest}`,
        `server ${address} autokey${keys.ident} iburst minpoll 3 maxpoll 3`
      ])
      const ask = async (): Promise<string> => askClassic(client, "associations", "rv &1 flags")
      const answer = await until(
        ask,
        (text) => /sys\.peer/.test(text) && hasFlags(flagsIn(text), scheme.flags),
        SLOW_MS / 2
      )
      expect(answer).toMatch(/yes\s+ok\s+sys\.peer/)
    })()
  )
})
