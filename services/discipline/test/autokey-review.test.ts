/**
 * What unmodified classic ntpd 4.2.8p15 has to say of itself after it was asked: before it is synchronised, its status word has no
 * table of leap seconds.
 */
import { existsSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { autokeyHost, COMPLETE, cryptostats, hasFlags, leapTable, ownClock } from "./autokey-hosts.ts"
import { sources, until } from "./peer-stage.ts"
import { onStage } from "./stage.ts"
import { ALICE, BOB, threeNetworks } from "./three-networks.ts"
import { startClassicIn, startNodeIn } from "./two-networks.ts"

const suite = "Autokey's table of leap seconds that is there later"
const available = peersAvailable(suite, ["classic-ntpd", "classic-ntpq"]) && canMakeNamespaces(suite)
const SLOW_MS = 300_000

describe.runIf(available)("a node that asks classic ntpd before that has the time", { timeout: SLOW_MS }, () => {
  it(
    "asks for its table of leap seconds when it has one",
    onStage(async (stage) => {
      const { alice, bob, carol } = threeNetworks(stage)
      const statistics = cryptostats(stage, "carol")
      const written = async () => (existsSync(statistics.file) ? readFileSync(statistics.file, "utf8") : "")
      const upstream = `server ${ALICE} iburst minpoll 3 maxpoll 3`
      await startClassicIn(stage, bob, [...autokeyHost(stage, "bob", "-T"), upstream, `leapfile ${leapTable(stage)}`])
      const node = await startNodeIn(stage, carol, [
        ...autokeyHost(stage, "carol"),
        `server ${BOB.towardsCarol} autokey iburst minpoll 3 maxpoll 3`,
        "tos maxdist 16",
        ...statistics.lines
      ])
      // Its word is known now, and says nothing of leap seconds.
      await until(written, (text) => / assoc \d+ \d+ host bob /.test(text))
      await startClassicIn(stage, alice, ownClock(stage))
      await until(
        sources(node),
        ([it]) =>
          it?.verdict === "system-peer" &&
          it.authentication.kind === "autokey" &&
          hasFlags(it.authentication.flags, COMPLETE),
        SLOW_MS / 2
      )
      expect(await written()).toMatch(/ leap TAI offset 37 /)
    })
  )
})
