/**
 * `peer` lines on both sides, in a network of its own: two nodes, a node and chronyd, a node and classic ntpd, with a key
 * and without. Both ends reach each other on the port that each serves on; who has no line gets an answer and no more.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { isDeepStrictEqual } from "node:util"
import { describe, expect, it } from "vitest"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peer, type PeerName, peersAvailable } from "@meridian/testkit/real-peers"
import type { RunningNode } from "@meridian/testkit/running-node"
import { classicLines, isReached, onStage, OTHER, OURS, sources, THIRD, until } from "./peer-stage.ts"
import { startChronyd, startClassicNtpd } from "./real-upstreams.ts"

const suite = "symmetric peers"
const programs = ["chronyd-4.3", "chronyc-4.3", "classic-ntpd", "classic-ntpq"] as const satisfies readonly PeerName[]
const available = peersAvailable(suite, programs) && canMakeNamespaces(suite)

const options = { timeout: 400_000 }
/** What a node complains of. */
const logged = (node: RunningNode): string =>
  node
    .stderr()
    .split("\n")
    .filter((line) => !/^(?:\{"level":"info".*)?$/.test(line))
    .join("\n")

describe.runIf(available)("a peer line on both sides", options, () => {
  it.each([
    ["without a key", ""],
    ["with a key and interleaved", "key 5 xleave"]
  ])("two nodes, %s: the one without another source follows the one that has one", (_name, how) =>
    onStage(async (stage) => {
      stage.keep(await startChronyd(stage.folder, THIRD, [], 2, { namespace: stage.network.name, port: 11123 }))
      const line = `${how} minpoll 0 maxpoll 0`
      const first = await stage.node(OTHER, [
        `server ${THIRD}:11123 iburst minpoll 0 maxpoll 0`,
        `peer ${OURS} ${line}`
      ])
      const second = await stage.node(OURS, [`peer ${OTHER} ${line}`])
      const [followed] = await until(sources(second), ([it]) => it?.verdict === "system-peer" && isReached(it.reach))
      expect(followed).toMatchObject({ address: OTHER, mode: "active", stratum: 3 })
      expect(Math.abs(followed?.offset ?? 1)).toBeLessThan(1e-2)
      expect(followed?.authentication).toEqual(how === "" ? { kind: "none" } : { kind: "symmetric", key: 5 })
      const back = await until(sources(first), (all) => isReached(all[1]?.reach) && all[1]?.stratum === 4)
      // It follows us, so we do not follow it.
      expect(back[1]).toMatchObject({ address: OURS, mode: "active", verdict: "loop", referenceId: OTHER })
      if (how.includes("xleave")) await until(sources(second), ([it]) => it?.interleaved === true)
      // The packets meet on the port that both serve on, and no worker is asked for anything once both have their sockets.
      const received = async () =>
        await Promise.all([first, second].map(async (node) => (await node.status()).workers[0]?.received))
      let counts = await received()
      const growsNoMore = async (): Promise<boolean> => {
        const early = counts
        await sleep(2_500)
        counts = await received()
        return isDeepStrictEqual(counts, early)
      }
      expect(await until(growsNoMore, (it) => it)).toBe(true)
      expect(logged(first) + logged(second)).toBe("")
    })()
  )

  it.each([
    ["without a key", ""],
    ["with a key", " key 5"]
  ])("a node and chronyd that allows nobody else, %s", (_name, how) =>
    onStage(async (stage) => {
      const socket = stage.folder.file("chronyd.sock")
      const lines = [
        `keyfile ${stage.keys}`,
        "deny all",
        `bindcmdaddress ${socket}`,
        `peer ${OURS}${how} minpoll 0 maxpoll 0`
      ]
      const place = { namespace: stage.network.name, port: 123 }
      stage.keep(await startChronyd(stage.folder, OTHER, lines, 4, place))
      const node = await stage.node(OURS, [`peer ${OTHER}${how} minpoll 0 maxpoll 0`])
      const [ours] = await until(sources(node), ([it]) => it?.verdict === "system-peer" && isReached(it.reach))
      expect(ours).toMatchObject({ address: OTHER, mode: "active", stratum: 4 })
      const asked = () => stage.run(peer("chronyc-4.3")!, ["-n", "-h", socket, "sources"])
      const reach = (output: string) => /^=.\s192\.0\.2\.2\s+\d+\s+\d+\s+([0-7]+)\s/m.exec(output)?.[1]
      await until(asked, (output) => isReached(reach(output)))
    })()
  )

  // Its polls are eight seconds apart: these two mostly wait, and may do so together.
  it.concurrent.each([
    ["without a key", "", "none"],
    ["with a key", " key 6", "ok"]
  ])("a node and classic ntpd, %s", (_name, how, authentication) =>
    onStage(async (stage) => {
      const lines = [...classicLines(stage.keys), `peer ${OURS}${how} minpoll 3 maxpoll 3`]
      stage.keep(await startClassicNtpd(stage.folder, stage.network.name, lines))
      stage.keep(await startChronyd(stage.folder, THIRD, [], 2, { namespace: stage.network.name, port: 11123 }))
      const node = await stage.node(OURS, [
        `server ${THIRD}:11123 iburst minpoll 0 maxpoll 0`,
        `peer ${OTHER}${how} minpoll 3 maxpoll 3`
      ])
      const asked = () => stage.run(peer("classic-ntpq")!, ["-c", "peers", "-c", "associations", "-n", "127.0.0.1"])
      // remote refid st t when poll reach
      const line = (output: string) => /^.192\.0\.2\.2\s+\S+\s+(\d+)\s+s\s+\S+\s+\d+\s+([0-7]+)\s/m.exec(output) ?? []
      const output = await until(asked, (it) => Number.parseInt(line(it)[2] ?? "0", 8) >= 3)
      expect(output.match(/^.192\.0\.2\.2 /gm)).toHaveLength(1)
      expect(output).toMatch(new RegExp(`yes\\s+yes\\s+${authentication}`))
      const [, ours] = await until(sources(node), ([, it]) => Number.parseInt(it?.reach ?? "0", 8) >= 3)
      expect(ours).toMatchObject({ address: OTHER, mode: "active" })
      expect(Math.abs(ours?.offset ?? 1)).toBeLessThan(1e-2)
    })()
  )
})
