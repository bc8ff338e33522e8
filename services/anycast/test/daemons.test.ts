/** ExaBGP and FRR, unchanged and by the packaged configurations, announce and withdraw for a real node. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { resolve } from "node:path"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { Fleet } from "@meridian/testkit/fleet"

const SUITE = "ExaBGP and FRR"
const available =
  canMakeNamespaces(SUITE) && peersAvailable(SUITE, ["bird", "exabgp", "frr-zebra", "frr-bgpd", "frr-vtysh"])
const cli = resolve(import.meta.dirname, "../../cli/bin/meridian.mjs")
const patient = { timeout: 2 * PATIENCE_MS, interval: 100 }

let fleet: Fleet
beforeEach(() => {
  if (!available) return
  fleet = new Fleet()
  fleet.network(1)
  fleet.startRouter(1)
})
afterEach(async () => {
  if (available) await fleet.end()
})

/** Process ids of ExaBGP's helper. */
const helpers = (socket: string): readonly number[] =>
  fleet
    .processes(1)
    .filter(({ command }) => command.includes(`exabgp-main.ts ${socket}`))
    .map(({ pid }) => pid)

/** Drains the node and brings it back, as the router sees it. */
const drainAndReturn = async (): Promise<void> => {
  // Routed is a node as soon as it has time: its coordinator may begin to serve later.
  const said = await vi.waitFor(() => fleet.command(1, "cluster", "status", "--json"), patient)
  const { node } = JSON.parse(said) as { readonly node: string }
  await fleet.command(1, "cluster", "drain", node)
  await fleet.untilRouted()
  await expect.poll(async () => (await fleet.status(1)).drain?.state, patient).toBe("drained")
  await fleet.command(1, "cluster", "undrain", node)
  await fleet.untilRouted(1)
}

describe.runIf(available)("ExaBGP", () => {
  it("announces, withdraws for a drain, keeps the route over the death of a helper, and loses it with the node", async () => {
    const socket = fleet.file("exabgp.sock")
    const configuration = fleet
      .example("exabgp.conf", 1)
      .replaceAll("/run/meridian/exabgp.sock", socket)
      .replace("run /usr/bin/meridian", `run ${process.execPath} ${cli}`)
      // Of the two families the router of this test has one.
      .replace(/neighbor 2001[^]*$/, "")
    writeFileSync(fleet.file("exabgp.conf"), configuration)
    const { command, args, env } = peer("exabgp")!
    const settings = ["env", "exabgp.daemon.user=root", "exabgp.api.cli=false", "exabgp.log.destination=stdout"]
    fleet.start(
      fleet.network(1),
      [...settings, `PYTHONPATH=${env["PYTHONPATH"]}`, command, ...args],
      [fleet.file("exabgp.conf")]
    )
    const node = await fleet.startNode(1, [`anycast exabgp ${socket}`, "drain wait 0 grace 0"])
    await fleet.untilRouted(1)
    await drainAndReturn()
    const [helper] = helpers(socket)
    fleet.killProcess(1, helper!)
    const successor = (): boolean => helpers(socket).some((pid) => pid !== helper)
    await expect.poll(successor, patient).toBe(true)
    await expect
      .poll(async () => (await fleet.status(1)).anycast?.announcers, patient)
      .toEqual([{ name: "ExaBGP", trouble: null }])
    expect(fleet.routed()).toEqual([1])
    // Everything of the node at once: the helper finds it gone.
    fleet.kill(1, "exabgp")
    await fleet.untilRouted()
    await node.stop()
  })
})

/** Starts FRR with a configuration; returns the command that asks it. */
const startFrr = async (configuration: string): Promise<string> => {
  const network = fleet.network(1)
  writeFileSync(fleet.file("frr.conf"), configuration)
  writeFileSync(fleet.file("zebra.conf"), "")
  writeFileSync(fleet.file("vtysh.conf"), "username root nopassword\n")
  // FRR wants its users in a group that this machine may not have.
  writeFileSync(fleet.file("group"), `${readFileSync("/etc/group", "utf8")}frrvty:x:60001:root\n`)
  const bind = `mount --bind ${fleet.file("group")} /etc/group && exec "$@"`
  const program = (name: "frr-zebra" | "frr-bgpd" | "frr-vtysh"): readonly string[] => {
    const found = peer(name)!
    const libraries = `LD_LIBRARY_PATH=${found.env["LD_LIBRARY_PATH"]}`
    return ["unshare", "--mount", "sh", "-c", bind, "frr", "env", libraries, found.program]
  }
  const places = ["-u", "root", "-g", "root", "-z", fleet.file("zserv"), "--vty_socket", fleet.folder]
  for (const [name, daemon, file] of [
    ["frr-zebra", "zebra", "zebra.conf"],
    ["frr-bgpd", "bgpd", "frr.conf"]
  ] as const) {
    const own = ["-f", fleet.file(file), "-i", fleet.file(`${daemon}.pid`), "-A", "127.0.0.1"]
    fleet.start(network, [...program(name), ...places, ...own])
    // As FRR's own service starts them: a bgpd that comes before zebra registers no network's address with it, and takes each for reachable.
    if (daemon === "zebra") await expect.poll(() => existsSync(fleet.file("zserv")), patient).toBe(true)
  }
  const vtysh = [...program("frr-vtysh"), "--vty_socket", fleet.folder, "--config_dir", fleet.folder]
  writeFileSync(fleet.file("vtysh"), `#!/bin/sh\nexec ${vtysh.map((word) => `'${word}'`).join(" ")} "$@"\n`)
  chmodSync(fleet.file("vtysh"), 0o755)
  return fleet.file("vtysh")
}

describe.runIf(available)("FRR", () => {
  // Of the two families the router of this test has one, and no BFD.
  const example = (): string => fleet.example("frr.conf", 1).replaceAll(/^.*(?:2001:db8.*|bfd)\n/gm, "")

  it("follows the device alone: announces, withdraws for a drain, and loses the route with the node", async () => {
    await startFrr(example())
    await fleet.startNode(1, ["anycast device meridian0", "drain wait 0 grace 0"])
    await fleet.untilRouted(1)
    await drainAndReturn()
    fleet.kill(1, "zebra", "bgpd")
    await fleet.untilRouted()
    expect(fleet.routed()).toEqual([])
  })

  it("is told by vtysh: announces, withdraws for a drain and for an end in good order", async () => {
    const vtysh = await startFrr(example().replaceAll(/^.*(?:network 192.*|import-check)\n/gm, ""))
    const node = await fleet.startNode(1, [`anycast frr 65001 vtysh ${vtysh}`, "drain wait 0 grace 0"])
    await fleet.untilRouted(1)
    expect((await fleet.status(1)).anycast?.announcers).toEqual([{ name: "FRR", trouble: null }])
    await drainAndReturn()
    await node.stop()
    await fleet.untilRouted()
  })
})
