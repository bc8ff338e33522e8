/** An island of three nodes without an upstream, each with the others as peers and `tos orphan`: they keep one time. */
import { writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import type { SourceReport, TrackingReport } from "@meridian/ipc/discipline-report"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { makeFolder } from "./running-discipline.ts"

const ISLAND = ["192.0.2.1", "192.0.2.2", "192.0.2.3"] as const

const asked = async <A>(node: RunningNode, command: string): Promise<A> =>
  JSON.parse((await meridian([command, "--state", node.state, "--json"])).stdout) as A

const tracked = async (node: RunningNode, holds: (tracking: TrackingReport) => boolean): Promise<TrackingReport> => {
  let last: unknown
  for (let waited = 0; waited < PATIENCE_MS; waited += 500) {
    const tracking = await asked<TrackingReport>(node, "tracking")
    if (holds(tracking)) return tracking
    last = tracking
    await sleep(500)
  }
  const sources = await asked<readonly SourceReport[]>(node, "sources")
  throw new Error(`it never came to that; the last was ${JSON.stringify({ last, sources }, null, 1)}`)
}

describe.runIf(canMakeNamespaces("orphans"))("three orphans", () => {
  it("follow the one with the lowest address, and the next one when it is gone", async () => {
    const folder = makeFolder()
    const network = new NetworkNamespace(ISLAND)
    const nodes: RunningNode[] = []
    try {
      for (const address of ISLAND) {
        const peers = ISLAND.filter((it) => it !== address)
        const lines = [`listen ${address}`, "workers 1", "tos orphan 6 orphanwait 3"]
        const file = folder.file(`${address}.conf`)
        writeFileSync(file, [...lines, ...peers.map((it) => `peer ${it} minpoll 0 maxpoll 0`), ""].join("\n"))
        nodes.push(await startNode({ args: ["--config", file], within: network.within, port: 123 }))
      }
      const [first, second, third] = nodes as [RunningNode, RunningNode, RunningNode]
      const follows = (address: string) => (it: TrackingReport) => it.systemPeer === address && it.stratum === 7
      const isParent = (it: TrackingReport): boolean => it.state === "local" && it.stratum === 6

      const [, child] = await Promise.all([
        tracked(first, isParent),
        tracked(second, follows(ISLAND[0])),
        tracked(third, follows(ISLAND[0]))
      ])
      expect(child).toMatchObject({ state: "synchronised", referenceId: ISLAND[0] })
      const sources = await asked<readonly SourceReport[]>(second, "sources")
      expect(sources.find(({ address }) => address === ISLAND[0])?.reason).toMatch(/its address is the lowest of/)

      await first.stop("SIGKILL")
      await Promise.all([tracked(second, isParent), tracked(third, follows(ISLAND[1]))])
    } finally {
      for (const node of nodes) await node.stop()
      network.remove()
      folder.remove()
    }
  })
})
