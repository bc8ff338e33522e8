/** Broadcast and multicast with unmodified classic ntpd 4.2.8p15, both ways, under a symmetric key and without one. */
import { writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { meridian } from "@meridian/testkit/running-node"
import { autokeyHost } from "./autokey-hosts.ts"
import { sources, until } from "./peer-stage.ts"
import { onStage, type Stage } from "./stage.ts"
import { askClassic, BROADCAST, CLIENT, SERVER, startClassicIn, startNodeIn, twoNetworks } from "./two-networks.ts"

const suite = "broadcast"
const available = peersAvailable(suite, ["classic-ntpd", "classic-ntpq"]) && canMakeNamespaces(suite)
const isLong = process.env["MERIDIAN_LONG"] === "1"
const SLOW_MS = 400_000
const GROUP = "239.123.1.1"

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

/** Credentials of Autokey: of a trusted host and of whoever asks it. */
const autokeyLines = (stage: Stage) => ({ alice: autokeyHost(stage, "alice", "-T"), bob: autokeyHost(stage, "bob") })
/** Of the word that the exchange lights: certificate, identity, cookie and key list, each verified. */
const LIST_VERIFIED = 0x1f00
const flagsIn = (text: string): number => Number.parseInt(/flags=0x([0-9a-f]+)/.exec(text)?.[1] ?? "0", 16)

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

describe.runIf(available).concurrent("classic ntpd as broadcast client by Autokey", { timeout: SLOW_MS }, () => {
  // 4.2.8p15 ignores what it is told afterwards, whoever tells it: it takes no key id but the one it sent last.
  it(
    "hears a node, proves it, takes its key list and follows it",
    onStage(async (stage) => {
      const { alice, bob } = autokeyLines(stage)
      const { server, client } = twoNetworks(stage)
      const node = await startNodeIn(stage, server, [...alice, ...clock, `broadcast ${BROADCAST} autokey minpoll 3`])
      await startClassicIn(stage, client, [...bob, "broadcastclient"])
      const answer = await until(
        async () => askClassic(client, "associations", "rv &1 hmode,flags"),
        (text) => /ok\s+sys\.peer/.test(text) && text.includes("hmode=6"),
        SLOW_MS / 2
      )
      expect(flagsIn(answer) & LIST_VERIFIED).toBe(LIST_VERIFIED)
      const { stdout } = await meridian(["status", "--json", "--state", node.state])
      const { outcomes } = (JSON.parse(stdout) as { autokey: { outcomes: Record<string, number> } }).autokey
      expect(outcomes).toMatchObject({ certificate: 1, cookie: 1, autokey: 1 })
    })
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

  it.runIf(isLong).each([
    { name: "classic ntpd", stratum: 6 },
    { name: "a node", stratum: 5 }
  ])(
    "follows $name by Autokey",
    ({ name, stratum }) =>
      onStage(async (stage) => {
        const { alice, bob } = autokeyLines(stage)
        const { server, client } = twoNetworks(stage)
        const lines = [...alice, ...clock, `broadcast ${BROADCAST} autokey minpoll 3`]
        if (name === "classic ntpd") await startClassicIn(stage, server, lines)
        else await startNodeIn(stage, server, lines, "server.conf")
        const node = await startNodeIn(stage, client, [...bob, "broadcastclient", "tos maxdist 16"])
        // The volley is over within a minute: what keeps it reachable then is what is told to all.
        const isFollowed = ([it]: Awaited<ReturnType<ReturnType<typeof sources>>>): boolean =>
          it?.mode === "broadcast" && it.verdict === "system-peer" && Number.parseInt(it.reach, 8) === 0o377
        const [source] = await until(sources(node), isFollowed, 2 * SLOW_MS)
        expect(source).toMatchObject({
          address: SERVER.v4,
          stratum,
          authentication: { kind: "autokey", host: "alice" }
        })
        const flags = source?.authentication.kind === "autokey" ? source.authentication.flags : 0
        expect(flags & LIST_VERIFIED).toBe(LIST_VERIFIED)
      })(),
    4 * SLOW_MS
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

describe.runIf(available).concurrent("manycast by Autokey", { timeout: SLOW_MS }, () => {
  it.runIf(isLong)(
    "classic ntpd finds a node, and follows it",
    onStage(async (stage) => {
      const { alice, bob } = autokeyLines(stage)
      const { server, client } = twoNetworks(stage)
      const node = await startNodeIn(stage, server, [...alice, ...clock, `manycastserver ${GROUP}`])
      await startClassicIn(stage, client, [...bob, `manycastclient ${GROUP} autokey iburst minpoll 3 maxpoll 3`])
      const answer = await until(
        async () => askClassic(client, "associations", "peers"),
        (text) => /ok\s+sys\.peer/.test(text),
        SLOW_MS / 2
      )
      expect(answer).toMatch(new RegExp(`\\*${SERVER.v4}`))
      // Its own sockets at the group are nobody's that joined its port.
      expect(node.stderr()).not.toContain("has joined")
    })
  )

  it(
    "a node finds classic ntpd, and follows it",
    onStage(async (stage) => {
      const { alice, bob } = autokeyLines(stage)
      const { server, client } = twoNetworks(stage)
      await startClassicIn(stage, server, [...alice, ...clock, `manycastserver ${GROUP}`])
      const node = await startNodeIn(stage, client, [
        ...bob,
        `manycastclient ${GROUP} autokey iburst minpoll 3 maxpoll 3`,
        "tos maxdist 16"
      ])
      const [source] = await until(sources(node), ([it]) => it?.verdict === "system-peer", SLOW_MS / 2)
      const authentication = { kind: "autokey", host: "alice" }
      expect(source).toMatchObject({ address: SERVER.v4, name: GROUP, mode: "client", stratum: 6, authentication })
    })
  )
})

describe.runIf(available && isLong).concurrent("manycast", { timeout: SLOW_MS }, () => {
  it(
    "classic ntpd finds a node, and follows it",
    onStage(async (stage) => {
      const keys = keyLines(stage)
      const { server, client } = twoNetworks(stage)
      await startNodeIn(stage, server, [...keys, ...clock, `manycastserver ${GROUP}`])
      await startClassicIn(stage, client, [...keys, `manycastclient ${GROUP} key 5 minpoll 3 maxpoll 3`])
      const answer = await until(
        async () => askClassic(client, "associations", "peers"),
        (text) => /sys\.peer/.test(text) && new RegExp(`\\*${SERVER.v4}`).test(text),
        SLOW_MS / 2
      )
      expect(answer).toMatch(/ok\s+sys\.peer/)
    })
  )

  it(
    "a node finds classic ntpd, and follows it",
    onStage(async (stage) => {
      const keys = keyLines(stage)
      const { server, client } = twoNetworks(stage)
      await startClassicIn(stage, server, [...keys, ...clock, `manycastserver ${GROUP}`])
      const node = await startNodeIn(stage, client, [
        ...keys,
        `manycastclient ${GROUP} key 5 iburst minpoll 3 maxpoll 3`,
        "tos maxdist 16"
      ])
      const [source] = await until(sources(node), ([it]) => it?.verdict === "system-peer", SLOW_MS / 2)
      const authentication = { kind: "symmetric", key: 5 }
      expect(source).toMatchObject({ address: SERVER.v4, name: GROUP, mode: "client", stratum: 6, authentication })
    })
  )

  it(
    "a node answers whom its list admits and who proves to hold a key, and nobody else",
    onStage(async (stage) => {
      const keys = keyLines(stage)
      const { server, client } = twoNetworks(stage)
      const [open, refused, unproved] = ["ff05::4d:1", "239.123.1.2", "ff05::4d:2"]
      await startNodeIn(stage, server, [
        ...keys,
        ...clock,
        "dialect classic",
        `restrict ${CLIENT.v4} noserve`,
        `manycastserver ${open} ${refused} ${unproved}`
      ])
      const node = await startNodeIn(stage, client, [
        ...keys,
        "disable auth",
        `manycastclient ${refused} key 5 minpoll 3`,
        `manycastclient ${unproved} minpoll 3`,
        `manycastclient ${open} key 5 iburst minpoll 3`
      ])
      await until(sources(node), ([it]) => it?.verdict === "system-peer", SLOW_MS / 2)
      expect((await sources(node)()).map(({ name }) => name)).toEqual([open])
    })
  )
})
