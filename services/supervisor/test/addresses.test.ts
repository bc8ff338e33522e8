/**
 * What a node listens on, as the machine's addresses come and go, and link-local addresses with their zones: in a network of
 * the test's own.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"

const PORT = 123

describe.runIf(canMakeNamespaces("addresses"))("a node whose machine's addresses change", () => {
  let folder: string
  let network: NetworkNamespace
  let node: RunningNode | undefined
  beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "meridian-addresses-"))))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  beforeEach(() => {
    network = new NetworkNamespace()
    link("near", "far")
    ip("address", "add", "192.0.2.1/24", "dev", "near")
  })
  afterEach(async () => {
    await node?.stop()
    node = undefined
    network.remove()
  })

  const ip = (...words: readonly string[]): string =>
    execFileSync("ip", ["-n", network.name, ...words], { encoding: "utf8" })
  const link = (name: string, other: string): void => {
    ip("link", "add", name, "type", "veth", "peer", "name", other)
    for (const end of [name, other]) ip("link", "set", end, "up")
  }
  const linkLocal = (name: string): string =>
    /inet6 (fe80::[0-9a-f:]+)/.exec(ip("-6", "address", "show", "dev", name, "scope", "link"))?.[1] ?? ""

  const start = async (lines: readonly string[], args: readonly string[] = []): Promise<RunningNode> => {
    const file = join(folder, "ntp.conf")
    writeFileSync(file, `${lines.join("\n")}\n`)
    const up = ["--config", file, "--workers", "2", ...args]
    return (node = await startNode({ port: PORT, args: up, within: network.within }))
  }
  /** Whether it answers on an address: with time, by mode 6 from the process that shows it, or not at all. */
  const answers = async (address: string): Promise<boolean> => {
    const target = address.includes(":") ? `[${address}]:${PORT}` : `${address}:${PORT}`
    const asked = await meridian(["query", target], {}, network.within)
    return asked.code === 0
  }
  const until = async (condition: () => Promise<boolean> | boolean): Promise<void> => {
    const end = performance.now() + PATIENCE_MS
    while (!(await condition())) {
      if (performance.now() > end) throw new Error(`it did not come to that:\n${node?.stderr()}`)
      await sleep(100)
    }
  }
  const shown = async (): Promise<{ readonly listening: readonly string[]; readonly missing: readonly string[] }> =>
    (await node!.status()) as never

  it.each(["interface listen near", "interface listen fe80::/10"])(
    "answers on link-local addresses in their zone: %s",
    async (line) => {
      await until(() => linkLocal("near") !== "")
      await start([line])
      await until(() => answers(`${linkLocal("near")}%near`))
      expect((await shown()).listening).toContain(`[${linkLocal("near")}%near]:${PORT}`)
    }
  )

  it("starts without an address that lines name, says so, and answers on it once it is there", async () => {
    const started = await start(["listen 192.0.2.77", "listen 2001:db8::77", "listen 127.0.0.1"], ["--user", "nobody"])
    const missing = ["192.0.2.77", "2001:db8::77"].map(
      (address) => `${address} is no address of this machine now: it is answered on once it is there`
    )
    const first = await shown()
    expect(first).toMatchObject({ listening: [`127.0.0.1:${PORT}`], missing })
    for (const sentence of missing) expect(started.stderr()).toContain(sentence)

    ip("address", "add", "192.0.2.77/32", "dev", "near")
    ip("address", "add", "2001:db8::77/128", "dev", "near", "nodad")
    expect(await answers("192.0.2.77")).toBe(true)
    expect(await answers("2001:db8::77")).toBe(true)
    await until(() => started.stderr().includes(`answers on 192.0.2.77:${PORT} from now on`))
    await until(async () => (await shown()).missing.length === 0)

    ip("address", "delete", "192.0.2.77/32", "dev", "near")
    await until(() => started.stderr().includes(`192.0.2.77:${PORT} is gone from this machine`))
    expect((await shown()).listening).not.toContain(`192.0.2.77:${PORT}`)
    const { workers } = await started.status()
    expect(workers.map(({ restarts }) => restarts)).toEqual([0, 0])
  })

  it("binds what rules match when it comes, without root, and lets go of it when it goes", async () => {
    const started = await start(
      ["interface listen late", "interface ignore never", "listen fe80::5%late"],
      ["--user", "nobody"]
    )
    expect((await shown()).listening).toEqual([`127.0.0.1:${PORT}`, `[::1]:${PORT}`])
    const before = (await started.status()).workers.map(({ pid }) => pid)
    expect(await answers("127.0.0.1")).toBe(true)

    for (const round of [1, 2]) {
      link("late", "other")
      ip("address", "add", "198.51.100.5/32", "dev", "late")
      ip("address", "add", "fe80::5/64", "dev", "late", "nodad")
      await until(async () => (await shown()).listening.includes(`[fe80::5%late]:${PORT}`))
      await until(() => answers("198.51.100.5"))
      await until(() => answers("fe80::5%late"))
      expect(await answers("127.0.0.1"), `round ${round}`).toBe(true)

      ip("link", "delete", "late")
      await until(async () => !(await shown()).listening.includes(`198.51.100.5:${PORT}`))
      await until(() => !sockets().includes("198.51.100.5"))
    }
    const workers = async () => (await started.status()).workers
    await until(async () => (await workers()).every(({ pid, state }) => state === "running" && !before.includes(pid)))
    expect((await workers()).map(({ restarts }) => restarts)).toEqual([0, 0])
    // What was counted before belongs to the node, whichever process counted it. Workers report each second.
    await until(async () => (await workers()).reduce((sum, { replied }) => sum + replied, 0) >= 3)
  })

  const sockets = (): string => execFileSync("ip", ["netns", "exec", network.name, "ss", "-Hlun"], { encoding: "utf8" })

  it("follows a server, and speaks to a peer, at a link-local address from the zone where it serves", async () => {
    const other = new NetworkNamespace()
    let peer: RunningNode | undefined
    try {
      ip("link", "set", "far", "netns", other.name)
      for (const [name, device, address] of [
        [network.name, "near", "fe80::a"],
        [other.name, "far", "fe80::b"]
      ] as const) {
        execFileSync("ip", ["-n", name, "link", "set", device, "up"])
        execFileSync("ip", ["-n", name, "address", "add", `${address}/64`, "dev", device, "nodad"])
      }
      execFileSync("ip", ["-n", other.name, "address", "add", "fe80::c/64", "dev", "far", "nodad"])
      const file = join(folder, "peer.conf")
      writeFileSync(file, "interface listen far\nserver 127.127.1.0\n")
      peer = await startNode({ port: PORT, args: ["--config", file, "--workers", "1"], within: other.within })
      await start([
        "interface listen near",
        "server fe80::b%near iburst minpoll 3",
        "peer fe80::c%near minpoll 3 maxpoll 3"
      ])
      const sources = async (): Promise<readonly { readonly address: string; readonly reach: number }[]> =>
        JSON.parse((await meridian(["sources", "--json", "--state", node!.state])).stdout) as never
      await until(async () => (await sources()).every(({ reach }) => reach > 0))
      expect((await sources()).map(({ address }) => address)).toEqual(["fe80::b%near", "fe80::c%near"])
      expect(node!.stderr()).not.toContain("from another port")
    } finally {
      await peer?.stop()
      other.remove()
    }
  })

  it("brings NTS key exchange to an address that came", async () => {
    await start(["interface listen late", "nts enable"])
    link("late", "other")
    ip("address", "add", "198.51.100.5/32", "dev", "late")
    // The certificate is for this machine's names alone; that it is shown is what counts.
    const connect = ["openssl", "s_client", "-connect", "198.51.100.5:4460", "-alpn", "ntske/1"]
    const shakesHands = (): boolean =>
      spawnSync("ip", ["netns", "exec", network.name, ...connect], { input: "", encoding: "utf8" }).stdout.includes(
        "ALPN protocol: ntske/1"
      )
    await until(shakesHands)
    expect(shakesHands()).toBe(true)
  })

  it("does the same without the addon", async () => {
    const file = join(folder, "plain.conf")
    writeFileSync(file, "listen 192.0.2.77\ninterface listen near\n")
    const up = ["--config", file, "--workers", "1"]
    node = await startNode({ port: PORT, args: up, within: network.within, env: { MERIDIAN_NATIVE: "off" } })
    expect((await shown()).missing).toContain(
      "192.0.2.77 is no address of this machine now: it is answered on once it is there"
    )
    ip("address", "add", "192.0.2.77/32", "dev", "near")
    await until(() => answers("192.0.2.77"))
    await until(() => answers(`${linkLocal("near")}%near`))
  })
})
