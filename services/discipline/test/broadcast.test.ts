/** Broadcast and multicast with unmodified classic ntpd 4.2.8p15, both ways, under a symmetric key and without one. */
import { writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { sources, until } from "./peer-stage.ts"
import { onStage, type Stage } from "./stage.ts"
import { askClassic, BROADCAST, SERVER, startClassicIn, startNodeIn, twoNetworks } from "./two-networks.ts"

const suite = "broadcast"
const available = peersAvailable(suite, ["classic-ntpd", "classic-ntpq"]) && canMakeNamespaces(suite)
const isLong = process.env["MERIDIAN_LONG"] === "1"
const SLOW_MS = 120_000

const keyLines = (stage: Stage): readonly string[] => {
  const path = stage.folder.file("ntp.keys")
  writeFileSync(path, "5 SHA1 a-key-that-is-ascii\n6 MD5 fifteen-letters\n", { mode: 0o600 })
  return [`keys ${path}`, "trustedkey 5 6"]
}
const clock = ["server 127.127.1.0 prefer minpoll 3 maxpoll 3", "fudge 127.127.1.0 stratum 5"]

interface Way {
  readonly name: string
  readonly tells: string
  readonly hears: string
  /** Of both sides. */
  readonly more?: readonly string[]
  readonly address: string
  readonly key?: number
}

const ways: readonly Way[] = [
  {
    name: "under a symmetric key",
    tells: `broadcast ${BROADCAST} key 5 minpoll 3`,
    hears: "broadcastclient",
    address: SERVER.v4,
    key: 5
  },
  {
    name: "without a key",
    tells: `broadcast ${BROADCAST} minpoll 3`,
    hears: "broadcastclient",
    more: ["disable auth"],
    address: SERVER.v4
  },
  {
    name: "by multicast",
    tells: "broadcast 224.0.1.1 key 6 minpoll 3 ttl 2",
    hears: "multicastclient 224.0.1.1",
    address: SERVER.v4,
    key: 6
  },
  {
    name: "by multicast over IPv6",
    tells: "broadcast ff05::101 key 5 minpoll 3 ttl 2",
    hears: "multicastclient ff05::101",
    address: SERVER.v6,
    key: 5
  }
]
const chosen = isLong ? ways : ways.slice(0, 1)

describe.runIf(available).concurrent("classic ntpd as broadcast client", { timeout: SLOW_MS }, () => {
  it.each(chosen)("follows a node $name", ({ tells, hears, more = [], key = 0 }) =>
    onStage(async (stage) => {
      const keys = [...keyLines(stage), ...more]
      const { server, client } = twoNetworks(stage)
      await startNodeIn(stage, server, [...keys, ...clock, tells])
      await startClassicIn(stage, client, [...keys, hears])
      const answer = await until(
        async () => askClassic(client, "associations", "rv &1 hmode,pmode,keyid,delay,offset"),
        (text) => /sys\.peer/.test(text) && /hmode=6/.test(text) && /pmode=5/.test(text),
        SLOW_MS / 2
      )
      expect(answer).toMatch(key === 0 ? /yes\s+none\s+sys\.peer/ : /yes\s+ok\s+sys\.peer/)
      expect(answer).toContain(`keyid=${key}`)
    })()
  )
})

describe.runIf(available).concurrent("a node as broadcast client", { timeout: SLOW_MS }, () => {
  it.each(chosen)("follows classic ntpd $name", ({ tells, hears, more = [], address, key }) =>
    onStage(async (stage) => {
      const keys = [...keyLines(stage), ...more]
      const { server, client } = twoNetworks(stage)
      await startClassicIn(stage, server, [...keys, ...clock, tells])
      const node = await startNodeIn(stage, client, [...keys, hears, "tos maxdist 16"])
      const [source] = await until(
        sources(node),
        ([it]) => it?.mode === "broadcast" && it.verdict === "system-peer" && Number.parseInt(it.reach, 8) > 0o17,
        SLOW_MS / 2
      )
      const authentication = key === undefined ? { kind: "none" } : { kind: "symmetric", key }
      expect(source).toMatchObject({ address, stratum: 6, authentication })
      expect(Math.abs(source?.offset ?? 1)).toBeLessThan(1e-2)
    })()
  )

  it.runIf(isLong)(
    "does not follow who proves nothing",
    onStage(async (stage) => {
      const { server, client } = twoNetworks(stage)
      await startClassicIn(stage, server, [...clock, `broadcast ${BROADCAST} minpoll 3`])
      const node = await startNodeIn(stage, client, [...keyLines(stage), "broadcastclient"])
      await until(
        async () => node.stderr(),
        (text) => text.includes("without proving who it is"),
        SLOW_MS / 2
      )
      expect(await sources(node)()).toEqual([])
    })
  )
})
