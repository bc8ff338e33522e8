/**
 * Symmetric peers by Autokey with unmodified classic ntpd 4.2.8p15, which takes nothing of its peers but what comes under the
 * key id that it sent last. All ways under MERIDIAN_LONG=1; otherwise the one in which it follows a node.
 */
import { describe, expect, it } from "vitest"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { autokeyHost, flagsIn, hasFlags } from "./autokey-hosts.ts"
import { sources, until } from "./peer-stage.ts"
import { onStage } from "./stage.ts"
import { askClassic, CLIENT, SERVER, startClassicIn, startNodeIn, twoNetworks } from "./two-networks.ts"

const suite = "symmetric peers by Autokey"
const available = peersAvailable(suite, ["classic-ntpd", "classic-ntpq"]) && canMakeNamespaces(suite)
const isLong = process.env["MERIDIAN_LONG"] === "1"
const SLOW_MS = 400_000
const clock = ["server 127.127.1.0 prefer minpoll 3 maxpoll 3", "fudge 127.127.1.0 stratum 5"]
const peer = (address: string): string => `peer ${address} autokey minpoll 3 maxpoll 3`
/** Certificate, its trail, identity, cookie, list and signature. */
const PROVED = 0x3f00

describe.runIf(available).concurrent("classic ntpd follows a node that is its peer", { timeout: SLOW_MS }, () => {
  const ways = [
    { name: "by a line of its own", mode: 1, lines: [peer(SERVER.v4)] },
    { name: "in symmetric passive mode, without a line", mode: 2, lines: [] }
  ]
  it.each(isLong ? ways : ways.slice(0, 1))("$name", ({ mode, lines }) =>
    onStage(async (stage) => {
      const [alice, bob] = [autokeyHost(stage, "alice", "-T"), autokeyHost(stage, "bob", "-T")]
      const { server, client } = twoNetworks(stage)
      const node = await startNodeIn(stage, server, [...alice, ...clock, peer(CLIENT.v4)])
      await startClassicIn(stage, client, [...bob, ...lines])
      const answer = await until(
        async () => askClassic(client, "associations", "rv &1 hmode,pmode,flags,stratum"),
        (text) => /ok\s+sys\.peer/.test(text) && hasFlags(flagsIn(text), PROVED),
        SLOW_MS / 2
      )
      expect(answer).toContain(`hmode=${mode}`)
      expect(answer).toContain("pmode=1")
      // It repeats what it has from us, and that is no reason to stop telling the time.
      const [source] = await until(sources(node), ([it]) => it?.verdict === "loop", SLOW_MS / 2)
      expect(source).toMatchObject({ mode: "active", stratum: 6, authentication: { kind: "autokey", host: "bob" } })
    })()
  )
})

describe
  .runIf(available && isLong)
  .concurrent("a node follows classic ntpd that is its peer", { timeout: SLOW_MS }, () => {
    const ways = [
      { name: "by a line of its own", lines: [peer(SERVER.v4)] },
      { name: "in symmetric passive mode, without a line", lines: [] }
    ]
    it.each(ways)("$name", ({ lines }) =>
      onStage(async (stage) => {
        const [alice, bob] = [autokeyHost(stage, "alice", "-T"), autokeyHost(stage, "bob", "-T")]
        const { server, client } = twoNetworks(stage)
        await startClassicIn(stage, client, [...bob, ...clock, ...lines])
        const node = await startNodeIn(stage, server, [...alice, peer(CLIENT.v4), "tos maxdist 16"])
        const [source] = await until(sources(node), ([it]) => it?.verdict === "system-peer", SLOW_MS / 2)
        expect(source).toMatchObject({ mode: "active", stratum: 6, authentication: { kind: "autokey", host: "bob" } })
        expect(Math.abs(source?.offset ?? 1)).toBeLessThan(1e-2)
      })()
    )
  })
