/** The BPF program through a node's life: modes and checksums, reloads, replaced workers, processes that are killed, and the end. */
import { execFileSync } from "node:child_process"
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { hasCapability, readCapabilities } from "@meridian/system/capabilities"
import type { RunningNode } from "@meridian/testkit/running-node"
import { canUseXdp, CLIENT_ADDRESSES, SERVER_ADDRESSES, XdpStage } from "@meridian/testkit/xdp-stage"
import { afterEach, describe, expect, it, vi } from "vitest"

const SUITE = "the life of the XDP program"
const available = await canUseXdp(SUITE)

const CAP_NET_ADMIN = 12
const CAP_BPF = 39
const LINES = ["server 127.127.1.0", "fudge 127.127.1.0 stratum 3"] as const
const REQUEST = `23${"00".repeat(39)}0123456789abcdef`

interface XdpView {
  readonly mode: string
  readonly answers: boolean
  readonly received: number
  readonly replied: number
  readonly limited: number
}
interface View {
  readonly xdp: XdpView | null
  readonly missing: readonly string[]
}
const viewOf = async (node: RunningNode): Promise<View> => (await node.status()) as unknown as View
const xdpOf = async (node: RunningNode): Promise<XdpView> => (await viewOf(node)).xdp as XdpView

const hasEthtool = (): boolean => {
  try {
    execFileSync("ethtool", ["--version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/** Command lines of the processes below one, by pid. */
const below = (root: number): ReadonlyMap<number, string> => {
  const found = new Map<number, string>()
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8")
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])
      if (parent === root) found.set(Number(entry), readFileSync(`/proc/${entry}/cmdline`, "utf8"))
    } catch {
      // It has ended.
    }
  return found
}

describe.runIf(available)("the BPF program", () => {
  let stage: XdpStage | undefined
  const open = async (): Promise<XdpStage> => {
    stage = new XdpStage()
    await stage.open()
    return stage
  }
  afterEach(async () => {
    await stage?.close()
    stage = undefined
  })

  /** Whether a program is on the server's end. */
  const isAttached = (place: XdpStage): boolean =>
    execFileSync("ip", ["-n", place.server.name, "link", "show", place.serverDevice], { encoding: "utf8" }).includes(
      "prog/xdp"
    )

  const asksEverywhere = SERVER_ADDRESSES.map((to, at) => ({ from: CLIENT_ADDRESSES[at]!, to, hex: REQUEST }))
  const answers = async (place: XdpStage): Promise<readonly boolean[]> =>
    (await place.ask(asksEverywhere)).map((bytes) => bytes !== undefined)

  it.each(["native", "generic"] as const)(
    "in %s mode, sends right checksums whoever computes them, and leaves with its node",
    async (mode) => {
      const place = await open()
      const node = await place.start(LINES, { mode })
      for (const offload of hasEthtool() ? (["on", "off"] as const) : (["as it is"] as const)) {
        if (offload !== "as it is") place.run("client", `ethtool -K ${place.clientDevice} tx ${offload} rx ${offload}`)
        expect([offload, await answers(place)]).toEqual([offload, [true, true]])
      }
      const xdp = await xdpOf(node)
      expect(xdp).toMatchObject({ mode, answers: true, limited: 0 })
      expect(xdp.replied).toBe(hasEthtool() ? 4 : 2)
      expect(isAttached(place)).toBe(true)
      await node.stop()
      expect(isAttached(place)).toBe(false)
    }
  )

  it("answers on while everything else of the node is replaced, reloaded, or killed, and leaves with its supervisor", async () => {
    const place = await open()
    const node = await place.start(LINES)
    const supervisor = [...below(node.process.pid!).keys()][0] ?? node.process.pid!
    const root = below(supervisor).size > 0 ? supervisor : node.process.pid!
    const load = await place.load(SERVER_ADDRESSES[0], 1_000)
    const settled = (): Promise<void> =>
      vi.waitFor(
        async () => {
          const { workers } = await node.status()
          expect(workers.map(({ state }) => state)).toEqual(["running"])
        },
        { timeout: PATIENCE_MS, interval: 200 }
      )
    process.kill(root, "SIGHUP")
    await settled()
    for (const name of ["worker", "discipline", "coordinator", "control"]) {
      const found = [...below(root)].find(([, line]) => line.includes(`services/${name}/`))
      expect([name, found !== undefined]).toEqual([name, true])
      process.kill(found![0], "SIGKILL")
      await setTimeout(100)
    }
    await settled()
    const { sent, lost, wrong } = await load.finish()
    expect([lost, wrong]).toEqual([[], 0])
    expect(sent).toBeGreaterThan(500)
    expect(isAttached(place)).toBe(true)
    process.kill(root, "SIGKILL")
    await vi.waitFor(() => expect(isAttached(place)).toBe(false), { timeout: PATIENCE_MS, interval: 20 })
    await vi.waitFor(async () => expect(await answers(place)).toEqual([false, false]), { timeout: PATIENCE_MS })
    // The next start finds the interface free.
    await vi.waitFor(() => expect(node.process.exitCode ?? node.process.signalCode).not.toBeNull(), {
      timeout: PATIENCE_MS
    })
    await place.start(LINES)
    expect(await answers(place)).toEqual([true, true])
  })

  it("follows the access rules and limits of a reload, and addresses that come and go", async () => {
    const place = await open()
    const node = await place.start([...LINES, "dialect classic", "restrict default nomodify"])
    expect(await answers(place)).toEqual([true, true])
    const { replied } = await xdpOf(node)
    const file = join(node.state, "ntp.conf")
    appendFileSync(file, "restrict -4 default noserve\n")
    process.kill(node.process.pid!, "SIGHUP")
    await vi.waitFor(async () => expect(await answers(place)).toEqual([false, true]), {
      timeout: PATIENCE_MS,
      interval: 300
    })
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace("restrict -4 default noserve\n", "restrict default limited\n")
    )
    process.kill(node.process.pid!, "SIGHUP")
    await vi.waitFor(
      async () => {
        await place.ask(Array.from({ length: 40 }, () => asksEverywhere[0]!))
        expect((await xdpOf(node)).limited).toBeGreaterThan(0)
      },
      { timeout: PATIENCE_MS, interval: 300 }
    )
    expect((await xdpOf(node)).replied).toBeGreaterThan(replied)
    const added = { from: CLIENT_ADDRESSES[1], to: "2001:db8::77", hex: REQUEST }
    place.configure("server", `address add ${added.to}/64 dev ${place.serverDevice} nodad`)
    await vi.waitFor(
      async () => {
        const before = (await xdpOf(node)).received
        await place.ask([added])
        expect((await xdpOf(node)).received).toBeGreaterThan(before)
      },
      { timeout: PATIENCE_MS, interval: 500 }
    )
  })

  it("goes on when its node has become another user, who has none of what attaching took", async () => {
    const place = await open()
    const node = await place.start([...LINES, "dialect classic", "restrict default nomodify", "user nobody"])
    expect(await answers(place)).toEqual([true, true])
    const capabilities = readCapabilities(node.process.pid)
    for (const set of [capabilities.permitted, capabilities.bounding])
      expect([CAP_NET_ADMIN, CAP_BPF].map((capability) => hasCapability(set, capability))).toEqual([false, false])
    appendFileSync(join(node.state, "ntp.conf"), "restrict -6 default ignore\n")
    process.kill(node.process.pid!, "SIGHUP")
    await vi.waitFor(async () => expect(await answers(place)).toEqual([true, false]), {
      timeout: PATIENCE_MS,
      interval: 300
    })
    await vi.waitFor(
      async () =>
        expect((await viewOf(node)).missing.join()).toContain("leaves requests to the workers: the access rules"),
      { timeout: PATIENCE_MS, interval: 200 }
    )
  })

  it("is not needed: a node says what is missing, and its workers answer", async () => {
    const place = await open()
    const node = await place.start([...LINES, "xdp no-such-device"], { mode: "off" })
    const { xdp, missing } = await viewOf(node)
    expect(xdp).toBeNull()
    expect(missing).toContain(
      "xdp no-such-device answers nothing: no-such-device cannot be found: there is no interface of this name"
    )
    expect(await answers(place)).toEqual([true, true])
  })
})
