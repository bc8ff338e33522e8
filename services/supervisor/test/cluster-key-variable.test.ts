/** A cluster key given in the environment: the coordinator takes it, and no other process of the node has it. */
import { randomBytes } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { meridian, startNode } from "@meridian/testkit/running-node"
import { afterEach, expect, it } from "vitest"
import type { ClusterState } from "@meridian/ipc/cluster-state"

let stop: (() => Promise<unknown>) | undefined
afterEach(async () => {
  await stop?.()
  stop = undefined
})

const childrenOf = (pid: number): readonly { readonly command: string; readonly environment: string }[] =>
  readdirSync("/proc").flatMap((entry) => {
    try {
      if (!/^\d+$/.test(entry) || !readFileSync(`/proc/${entry}/stat`, "utf8").includes(` ${pid} `)) return []
      const [, parent] = /\) \S (\d+) /.exec(readFileSync(`/proc/${entry}/stat`, "utf8")) ?? []
      if (Number(parent) !== pid) return []
      const text = (name: string): string => readFileSync(`/proc/${entry}/${name}`, "latin1")
      return [{ command: text("cmdline"), environment: text("environ") }]
    } catch {
      return []
    }
  })

it("is the coordinator's alone", async () => {
  const node = await startNode({
    args: ["--listen", "127.0.0.1", "--workers", "1"],
    env: { MERIDIAN_CLUSTER_KEY: randomBytes(32).toString("hex") }
  })
  stop = node.stop
  const children = childrenOf(node.process.pid ?? 0)
  const holders = children.filter(({ environment }) => environment.includes("MERIDIAN_CLUSTER_KEY="))
  expect(children.length).toBeGreaterThanOrEqual(3)
  expect(holders.map(({ command }) => /services\/([a-z-]+)\//.exec(command)?.[1])).toEqual(["coordinator"])
  const state = async (): Promise<ClusterState> =>
    JSON.parse((await meridian(["cluster", "status", "--json", "--state", node.state])).stdout) as ClusterState
  for (let found = await state(); found.clusterKey.current === null; found = await state()) await sleep(100)
  // It was taken: the node has made none for itself.
  expect(readdirSync(node.state)).not.toContain("cluster-key")
})
