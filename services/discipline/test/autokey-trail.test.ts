/**
 * Trails of two certificates: carol follows bob, whose certificate alice signed, and takes bob's word because alice is trusted. Nodes and
 * unmodified classic ntpd 4.2.8p15 have each of the three parts. All ways under MERIDIAN_LONG=1; otherwise a node between two of classic's.
 */
import { existsSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { canMakeNamespaces, type NetworkNamespace } from "@meridian/testkit/network-namespace"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { autokeyHost, COMPLETE, cryptostats, flagsIn, hasFlags, leapTable, ownClock } from "./autokey-hosts.ts"
import { sources, until } from "./peer-stage.ts"
import { onStage, type Stage } from "./stage.ts"
import { ALICE, BOB, threeNetworks } from "./three-networks.ts"
import { askClassic, startClassicIn, startNodeIn } from "./two-networks.ts"

const suite = "trails of Autokey"
const available = peersAvailable(suite, ["classic-ntpd", "classic-ntpq"]) && canMakeNamespaces(suite)
const isLong = process.env["MERIDIAN_LONG"] === "1"
const SLOW_MS = 400_000
/** Certificate, its trail, identity, cookie, list, and what the trail is made of: a certificate that the server signed. */
const SIGNED = 0x3f01

type Kind = "node" | "classic"

/** Starts a daemon; what it says of its first source: whether it follows it, and the status word. */
const start = async (stage: Stage, kind: Kind, network: NetworkNamespace, lines: readonly string[]) => {
  if (kind === "classic") {
    await startClassicIn(stage, network, lines)
    return async () => {
      const text = askClassic(network, "associations", "rv &1 flags")
      return { isFollowed: /yes\s+ok\s+sys\.peer/.test(text), flags: flagsIn(text) }
    }
  }
  const node = await startNodeIn(stage, network, [...lines, "tos maxdist 16"], `${network.name}.conf`)
  return async () => {
    const [source] = await sources(node)()
    const flags = source?.authentication.kind === "autokey" ? source.authentication.flags : 0
    return { isFollowed: source?.verdict === "system-peer", flags }
  }
}

const follow = (address: string): string => `server ${address} autokey iburst minpoll 3 maxpoll 3`

const ways: readonly (readonly [Kind, Kind, Kind])[] = [
  ["classic", "node", "classic"],
  ["node", "classic", "node"],
  ["node", "node", "classic"],
  ["classic", "node", "node"],
  ["node", "node", "node"]
]

describe.runIf(available).concurrent("a trail of two certificates", { timeout: SLOW_MS }, () => {
  it.each(isLong ? ways : ways.slice(0, 1))("from %s over %s to %s", (first, second, third) =>
    onStage(async (stage) => {
      const { alice, bob, carol } = threeNetworks(stage)
      const hosts = [autokeyHost(stage, "alice", "-T"), autokeyHost(stage, "bob"), autokeyHost(stage, "carol")] as const
      const statistics = cryptostats(stage, "carol")
      await start(stage, first, alice, [...hosts[0], ...ownClock(stage)])
      // Carol hears of leap seconds from bob alone, who has the table in a file of his own and need not ask alice.
      const middle = await start(stage, second, bob, [...hosts[1], follow(ALICE), `leapfile ${leapTable(stage)}`])
      const isFollowedWith = (needed: number) => (of: Awaited<ReturnType<typeof middle>>) =>
        of.isFollowed && hasFlags(of.flags, needed)
      await until(middle, isFollowedWith(SIGNED), SLOW_MS / 2)
      const end = await start(stage, third, carol, [...hosts[2], follow(BOB.towardsCarol), ...statistics.lines])
      await until(end, isFollowedWith(COMPLETE), SLOW_MS / 2)
      const written = existsSync(statistics.file) ? readFileSync(statistics.file, "utf8") : ""
      const certificates = [...written.matchAll(/ cert (\S+) (\S+) 0x/g)].map(([, subject, issuer]) => [
        subject,
        issuer
      ])
      expect(certificates.slice(-2)).toEqual([
        ["bob", "alice"],
        ["alice", "alice"]
      ])
    })()
  )
})
