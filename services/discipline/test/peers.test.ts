/**
 * `peer` lines on both sides, in a network of its own: two nodes, a node and chronyd, a node and classic ntpd, with a key
 * and without. Both ends reach each other on the port that each serves on; who has no line gets an answer and no more.
 */
import { execFile } from "node:child_process"
import { writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { isDeepStrictEqual } from "node:util"
import { describe, expect, it } from "vitest"
import type { SourceReport } from "@meridian/observability/discipline-report"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, type PeerCommand, type PeerName, peersAvailable } from "@meridian/testkit/real-peers"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { startChronyd, startClassicNtpd } from "./real-upstreams.ts"
import { type Folder, makeFolder } from "./running-discipline.ts"

const suite = "symmetric peers"
const programs = ["chronyd-4.3", "chronyc-4.3", "classic-ntpd", "classic-ntpq"] as const satisfies readonly PeerName[]
const available = peersAvailable(suite, programs) && canMakeNamespaces(suite)

const OTHER = "192.0.2.1"
const OURS = "192.0.2.2"
/** Its reference id is everybody's: any other address of this network would be the own address of each node. */
const THIRD = "127.0.0.1"
const KEYS = ["5 SHA1 a-key-that-is-ascii", "6 MD5 fifteen-letters"]

class Stage {
  readonly folder: Folder = makeFolder()
  readonly network = new NetworkNamespace([OTHER, OURS])
  readonly keys = this.folder.file("ntp.keys")
  private readonly ending: (() => Promise<unknown>)[] = []

  constructor() {
    writeFileSync(this.keys, `${KEYS.join("\n")}\n`, { mode: 0o600 })
  }

  keep<A extends { readonly stop: () => Promise<unknown> }>(running: A): A {
    this.ending.unshift(() => running.stop())
    return running
  }

  /** A node that serves on port 123 of an address. */
  async node(address: string, lines: readonly string[]): Promise<RunningNode> {
    const file = this.folder.file(`${address}.conf`)
    const all = [`listen ${address}`, "workers 1", `keys ${this.keys}`, "trustedkey 5 6", "tos maxdist 16", ...lines]
    writeFileSync(file, `${all.join("\n")}\n`)
    return this.keep(await startNode({ args: ["--config", file], within: this.network.within, port: 123 }))
  }

  run(command: PeerCommand, args: readonly string[]): Promise<string> {
    const { command: first, args: own, env } = command
    const [program = "", ...before] = [...this.network.within, first, ...own]
    return new Promise((done) => {
      execFile(program, [...before, ...args], { env, timeout: PATIENCE_MS }, (_error, stdout, stderr) =>
        done(stdout + stderr)
      )
    })
  }

  async end(): Promise<void> {
    for (const stop of this.ending) await stop()
    this.network.remove()
    this.folder.remove()
  }
}

const onStage = (body: (stage: Stage) => Promise<void>) => async (): Promise<void> => {
  const stage = new Stage()
  try {
    await body(stage)
  } finally {
    await stage.end()
  }
}

const until = async <A>(
  question: () => Promise<A>,
  holds: (answer: A) => boolean,
  patience = 2 * PATIENCE_MS
): Promise<A> => {
  let answer = await question()
  for (let waited = 0; !holds(answer) && waited < patience; waited += 500) {
    await sleep(500)
    answer = await question()
  }
  if (!holds(answer)) throw new Error(`no such answer came, the last was ${JSON.stringify(answer, null, 1)}`)
  return answer
}
const sources = (node: RunningNode) => async (): Promise<readonly SourceReport[]> => {
  const { stdout } = await meridian(["sources", "--state", node.state, "--json"])
  return JSON.parse(stdout) as readonly SourceReport[]
}
/** Three polls in a row were answered; the newest waits for the other side's turn. */
const isReached = (reach: string | undefined): boolean => (Number.parseInt(reach ?? "0", 8) & 0b1110) === 0b1110
const options = { timeout: 400_000 }
const logged = (node: RunningNode): string => node.stderr().replaceAll(/^.*drained and ended.*$/gm, "")

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
      const lines = [
        "server 127.127.1.0 minpoll 3 maxpoll 3",
        "fudge 127.127.1.0 stratum 5",
        `keys ${stage.keys}`,
        "trustedkey 5 6",
        "tos minsane 1 orphanwait 1",
        // As Debian ships it, and no rule for us.
        "restrict -4 default kod notrap nomodify nopeer noquery limited",
        "restrict 127.0.0.1",
        "interface ignore wildcard",
        "interface ignore all",
        `interface listen ${OTHER}`,
        "interface listen 127.0.0.1",
        `peer ${OURS}${how} minpoll 3 maxpoll 3`
      ]
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
