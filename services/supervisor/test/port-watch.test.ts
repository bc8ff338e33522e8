/** A daemon that joins the node's port afterwards: in a network of the test's own, with chronyd. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseUdpSockets } from "@meridian/system/udp-sockets"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { intruders } from "../src/port-watch.ts"

describe("/proc/net/udp", () => {
  const four = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            
 1234: 0100007F:007B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 41870 2 00000000a2cd5e1b 0         
 1235: 00000000:007B 0200000A:2B73 01 00000000:00000000 00:00000000 00000000   123        0 41871 2 0000000012345678 0         `
  const six = ` 1300: 000080FE00000000FF00001234120000:007B 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 50 2 0000000012345678 0`

  it("is read with its addresses, whatever the family", () => {
    expect(parseUdpSockets(four)).toEqual([
      { address: "127.0.0.1", port: 123, isConnected: false, uid: 0, inode: 41870 },
      { address: "0.0.0.0", port: 123, isConnected: true, uid: 123, inode: 41871 }
    ])
    expect(parseUdpSockets(six)).toEqual([
      { address: "fe80::1200:ff:0:1234", port: 123, isConnected: false, uid: 1000, inode: 50 }
    ])
    expect(parseUdpSockets("nothing\n\n")).toEqual([])
  })

  it("shows who shares an address, or has one that a wildcard stands for; not who is connected or elsewhere", () => {
    const socket = (address: string, inode: number, port = 123, isConnected = false) => ({
      address,
      port,
      isConnected,
      uid: 0,
      inode
    })
    const places = ["0.0.0.0", "::1", "fe80::1%eth0"].map((address) => ({ address, port: 123 }))
    const all = [
      socket("0.0.0.0", 1),
      socket("0.0.0.0", 2),
      socket("192.0.2.1", 3),
      socket("192.0.2.1", 4, 124),
      socket("192.0.2.1", 5, 123, true),
      socket("::", 6),
      socket("::1", 7),
      socket("fe80::1", 8)
    ]
    expect(intruders(all, places, new Set([1])).map(({ inode }) => inode)).toEqual([2, 3, 7, 8])
  })
})

describe.runIf(canMakeNamespaces("port-watch"))("a daemon started afterwards on the node's port", () => {
  let folder: string
  let network: NetworkNamespace
  let node: RunningNode | undefined
  let daemon: ChildProcess | undefined
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "meridian-port-watch-"))
    network = new NetworkNamespace()
  })
  afterEach(async () => {
    await end()
    await node?.stop()
    node = undefined
    network.remove()
    rmSync(folder, { recursive: true, force: true })
  })
  const end = async (): Promise<void> => {
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return
    const gone = once(daemon, "exit")
    daemon.kill("SIGKILL")
    await gone
  }
  const until = async (holds: () => Promise<boolean> | boolean): Promise<void> => {
    for (const stop = performance.now() + 2 * PATIENCE_MS; !(await holds()); await sleep(200))
      if (performance.now() > stop) throw new Error(`waited in vain:\n${node?.stderr()}`)
  }
  const begin = (args: readonly string[]): void => {
    const found = peer("chronyd-4.3")
    if (found === undefined) throw new Error("chronyd was not fetched")
    const [program = "", ...rest] = [...network.within, found.command, ...found.args, ...args]
    daemon = spawn(program, rest, { env: found.env, stdio: "ignore" })
  }

  it.runIf(peersAvailable("port-watch", ["chronyd-4.3"]))(
    "is named in the log, by status and by readiness",
    async () => {
      node = await startNode({ port: 123, args: ["--workers", "1"], within: network.within })
      const file = join(folder, "chrony.conf")
      writeFileSync(file, `port 123\nallow\nlocal\ncmdport 0\nbindcmdaddress /\npidfile ${folder}/chronyd.pid\n`)
      begin(["-x", "-d", "-f", file])
      const said = /chronyd \(process \d+\) has joined UDP 0\.0\.0\.0:123 and may take requests from this node/
      await until(() => said.test(node!.stderr()))
      const shown = new RegExp(`^shared +${said.source}`, "m")
      await until(async () => shown.test((await meridian(["status", "--state", node!.state])).stdout))
      const readiness = async (): Promise<string> => {
        const look = `fetch("http://127.0.0.1:11180/readyz").then(async (it) => console.log(String(it.status) + " " + await it.text()))`
        const [program = "", ...before] = network.within
        const asked = spawn(program, [...before, process.execPath, "-e", look], { stdio: ["ignore", "pipe", "ignore"] })
        let text = ""
        asked.stdout.on("data", (chunk: Buffer) => void (text += chunk.toString()))
        await once(asked, "close")
        return text
      }
      await until(async () => said.test(await readiness()))
      expect(await readiness()).toMatch(/^503 not ready/)
    }
  )
})
