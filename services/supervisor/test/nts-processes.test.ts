/** Several NTS-KE processes share one port, on sockets that the supervisor holds. */
import { setTimeout as sleep } from "node:timers/promises"
import type { NodeStatus } from "@meridian/ipc"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, expect, it } from "vitest"
import { exchange } from "./nts-exchange.ts"

/** Eight cookies of 96 bytes and what is around them. */
const REPLY_BYTES = 6 + 6 + 8 * 100 + 4

let node: RunningNode
let port: number

beforeAll(async () => {
  port = await freePort()
  const nts = ["--nts", "--nts-port", String(port), "--nts-processes", "2"]
  node = await startNode({ args: ["--listen", "127.0.0.1", "--workers", "1", ...nts] })
})
afterAll(async () => {
  await node.stop()
})

const processes = async (): Promise<NodeStatus["ntsKe"]> => ((await node.status()) as unknown as NodeStatus).ntsKe

const exchanges = (count: number): Promise<readonly (number | string)[]> =>
  Promise.all(Array.from({ length: count }, () => exchange(node.state, port)))

it("has each of them serve a share of the connections, with the same keys", async () => {
  const lengths = new Set<number | string>()
  for (let round = 0; round < 6; round++) for (const length of await exchanges(8)) lengths.add(length)
  // The node does not answer NTP on port 123, so there is one record more.
  expect([...lengths]).toEqual([REPLY_BYTES + 6])
  await expect
    .poll(async () => (await processes()).reduce((sum, { outcomes }) => sum + (outcomes["agreed"] ?? 0), 0), {
      timeout: PATIENCE_MS
    })
    .toBe(48)
  const served = await processes()
  expect(served).toHaveLength(2)
  for (const { outcomes, accepted } of served) expect(outcomes).toEqual({ agreed: accepted })
  expect(served.every(({ accepted }) => accepted > 0)).toBe(true)
  expect(served.map(({ tls }) => tls)).toEqual(["native", "native"])
})

it("loses no connection when one of them dies: those wait for its successor", async () => {
  const [first] = await processes()
  process.kill(first!.pid!, "SIGKILL")
  while ((await processes())[0]!.pid === first!.pid) await sleep(20)
  const lengths = new Set(await exchanges(12))
  expect([...lengths]).toEqual([REPLY_BYTES + 6])
  expect((await processes()).map(({ restarts }) => restarts)).toEqual([1, 0])
})
