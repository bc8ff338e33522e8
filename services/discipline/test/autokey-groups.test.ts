/**
 * Two nodes of one GQ group, each of which is a server of the other: both challenge and both prove. GQ is between nodes alone, because
 * classic ntpd from 4.2.8p10 on computes it wrongly; what older ones said is recorded (libs/auth/test/autokey/recordings.test.ts).
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import type { RunningNode } from "@meridian/testkit/running-node"
import { COMPLETE, cryptostats, hasFlags, keygen, ownClock } from "./autokey-hosts.ts"
import { sources, until } from "./peer-stage.ts"
import { onStage, type Stage } from "./stage.ts"
import { CLIENT, SERVER, startNodeIn, twoNetworks } from "./two-networks.ts"

const available = canMakeNamespaces("groups of Autokey")
const SLOW_MS = 400_000
/** Identity by GQ. */
const GQ = 0x40

/** Alice makes the group, bob has its key from her; both have the parameters that check a proof. */
const makeGroup = (stage: Stage) => {
  const [alice, bob] = [stage.folder.file("alice-keys"), stage.folder.file("bob-keys")]
  for (const folder of [alice, bob]) mkdirSync(folder)
  const asAlice = (...args: readonly string[]): string => keygen(alice, ...args, "-p", "pw", "-s", "alice@wonder")
  asAlice("-T", "-G")
  for (const folder of [alice, bob]) writeFileSync(join(folder, "ntpkey_gqpar_wonder"), asAlice("-e"))
  writeFileSync(join(bob, "ntpkey_gqkey_wonder"), asAlice("-q", "pw"), { mode: 0o600 })
  keygen(bob, "-T", "-p", "pw", "-s", "bob@wonder")
  const lines = (folder: string, name: string) => [`keysdir ${folder}`, `crypto host ${name} ident wonder pw pw`]
  return { alice: lines(alice, "alice"), bob: lines(bob, "bob") }
}

const follow = (address: string): string => `server ${address} autokey ident wonder iburst minpoll 3 maxpoll 3`

/** Waits until a node has done the whole exchange with another, and has judged the time that came after it. */
const proved = (node: RunningNode, address: string, verdict: string) =>
  until(
    async () => (await sources(node)()).find((source) => source.address === address),
    (source) =>
      source?.verdict === verdict &&
      source.authentication.kind === "autokey" &&
      hasFlags(source.authentication.flags, COMPLETE | GQ),
    SLOW_MS / 2
  )

describe.runIf(available)("two nodes of a group by GQ", { timeout: SLOW_MS }, () => {
  it(
    "prove themselves to each other",
    onStage(async (stage) => {
      const group = makeGroup(stage)
      const { server, client } = twoNetworks(stage)
      const statistics = [cryptostats(stage, "alice"), cryptostats(stage, "bob")] as const
      const clock = ownClock(stage)
      const table = clock.filter((line) => line.startsWith("leapfile "))
      const alice = await startNodeIn(
        stage,
        server,
        [...group.alice, ...clock, follow(CLIENT.v4), ...statistics[0].lines],
        "alice.conf"
      )
      const bob = await startNodeIn(
        stage,
        client,
        [...group.bob, ...table, follow(SERVER.v4), ...statistics[1].lines],
        "bob.conf"
      )
      expect(await proved(bob, SERVER.v4, "system-peer")).toMatchObject({ stratum: 5 })
      // What bob has is from alice: proved, and of no use to her.
      expect(await proved(alice, CLIENT.v4, "loop")).toMatchObject({ stratum: 6 })
      for (const [{ file }, other] of [
        [statistics[0], "bob"],
        [statistics[1], "alice"]
      ] as const)
        expect(readFileSync(file, "utf8")).toMatch(new RegExp(` gq ${other}@wonder fs \\d+$`, "m"))
    }),
    SLOW_MS
  )
})
