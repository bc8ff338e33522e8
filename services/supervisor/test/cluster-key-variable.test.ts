/** A cluster key given in the environment: the coordinator is told it, and no process of the node keeps it there. */
import { randomBytes } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { meridian, startNode } from "@meridian/testkit/running-node"
import { afterEach, expect, it } from "vitest"
import type { ClusterState } from "@meridian/ipc"

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

it("is taken, and stands in no process's environment or command line afterwards", async () => {
  const key = randomBytes(32).toString("hex")
  const node = await startNode({
    args: ["--listen", "127.0.0.1", "--workers", "1"],
    env: { MERIDIAN_CLUSTER_KEY: key }
  })
  stop = node.stop
  const children = childrenOf(node.process.pid ?? 0)
  expect(children.length).toBeGreaterThanOrEqual(3)
  const supervisor = (name: string): string => readFileSync(`/proc/${node.process.pid}/${name}`, "latin1")
  const everything = [...children, { command: supervisor("cmdline"), environment: supervisor("environ") }]
  for (const { command, environment } of everything) expect(`${command} ${environment}`).not.toContain(key)
  // The coordinator may begin to serve after the node does.
  const hasKey = async (): Promise<boolean> => {
    const { code, stdout } = await meridian(["cluster", "status", "--json", "--state", node.state])
    return code === 0 && (JSON.parse(stdout) as ClusterState).clusterKey.current !== null
  }
  while (!(await hasKey())) await sleep(100)
  // It was taken: the node has made none for itself.
  expect(readdirSync(node.state)).not.toContain("cluster-key")
})
