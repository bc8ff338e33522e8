/** Real clients are answered by the BPF program of a real node, over a cable between two networks. */
import { execFile } from "node:child_process"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, type PeerCommand, peersAvailable } from "@meridian/testkit/real-peers"
import type { RunningNode } from "@meridian/testkit/running-node"
import { canUseXdp, SERVER_ADDRESSES, XdpStage } from "@meridian/testkit/xdp-stage"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const SUITE = "answering by XDP"
const available = (await canUseXdp(SUITE)) && peersAvailable(SUITE, ["chronyd-4.3", "chronyd-newest"])

/** Both ends read one clock: what is measured is the path's asymmetry. Seconds. */
const SANE_OFFSET = 0.05

interface XdpView {
  readonly mode: string
  readonly answers: boolean
  readonly received: number
  readonly replied: number
  readonly passed: Readonly<Record<string, number>>
}

const xdpOf = async (node: RunningNode): Promise<XdpView> => (await node.status())["xdp"] as XdpView

describe.runIf(available)("a node that answers by XDP", () => {
  let stage: XdpStage
  let node: RunningNode
  beforeAll(async () => {
    stage = new XdpStage()
    await stage.open()
    node = await stage.start(["server 127.127.1.0", "fudge 127.127.1.0 stratum 3"])
  })
  afterAll(() => stage.close())

  const run = (command: PeerCommand, args: readonly string[]): Promise<{ code: number | null; output: string }> =>
    new Promise((done) => {
      const [program = "", ...rest] = [...stage.client.within, command.command, ...command.args, ...args]
      execFile(program, rest, { env: command.env, timeout: 2 * PATIENCE_MS }, (error, stdout, stderr) =>
        done({ code: error === null ? 0 : typeof error.code === "number" ? error.code : null, output: stdout + stderr })
      )
    })

  const chronyds = ["chronyd-4.3", "chronyd-newest"] as const
  const asks = chronyds.flatMap((name) => SERVER_ADDRESSES.map((address) => [name, address] as const))

  it.concurrent.each(asks)("gives %s right time over %s", async (name, address) => {
    const { code, output } = await run(peer(name)!, ["-Q", "-x", "-t", "60", `server ${address} iburst`])
    expect(Math.abs(Number(/wrong by (-?[0-9.]+) seconds/.exec(output)?.[1]))).toBeLessThan(SANE_OFFSET)
    expect(code).toBe(0)
  })

  it("says so on its first screen", () => {
    expect(node.stdout()).toMatch(/\n {2}xdp +\S+, native: plain requests are answered before they reach a worker\n/)
  })

  it("has answered them all itself: no worker saw a packet", async () => {
    const { workers } = await node.status()
    const xdp = await xdpOf(node)
    expect(xdp).toMatchObject({ mode: "native", answers: true })
    // chronyd is content with three samples each.
    expect(xdp.replied).toBeGreaterThanOrEqual(3 * asks.length)
    expect(workers[0]?.received).toBe(0)
  })
})
