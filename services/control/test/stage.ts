/**
 * A node with four sources, as an operator would have it: a plain one, one under a symmetric key, one with NTS and a reference
 * clock, in a network of its own, where ntpq finds it on port 123.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { request } from "node:http"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { CONTROL_SOCKET_NAME } from "@meridian/ipc/unix-socket"
import { ClockFeeder } from "@meridian/testkit/clock-feeder"
import { NetworkNamespace } from "@meridian/testkit/network-namespace"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, type PeerName } from "@meridian/testkit/real-peers"
import { type RunningNode, startNode } from "@meridian/testkit/running-node"

export const CONTROL_KEY = 5
const KEYS = [
  "1 MD5 plain-ascii-key",
  `${CONTROL_KEY} SHA1 controlling-key`,
  "7 AES-128 000102030405060708090a0b0c0d0e0f"
]

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Stage {
  readonly network: NetworkNamespace
  readonly node: RunningNode
  readonly unit: number
  /** File of keys for ntpq's -k. */
  readonly keys: string
  readonly file: (name: string) => string
  /** Runs a program of a peer inside the network, or inside another. */
  readonly run: (name: PeerName, args: readonly string[], elsewhere?: NetworkNamespace) => Promise<Ran>
  readonly snapshot: () => Promise<NodeSnapshot>
  /** A chronyd inside the network. */
  readonly startChronyd: (address: string, lines: readonly string[]) => void
  readonly stop: () => Promise<void>
}

/** @param lines of the node's ntp.conf besides its sources */
export const startStage = async (lines: readonly string[] = []): Promise<Stage> => {
  const folder = mkdtempSync(join(tmpdir(), "meridian-control-"))
  const file = (name: string): string => join(folder, name)
  const network = new NetworkNamespace(["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"])
  const children: ChildProcess[] = []
  const nodes: RunningNode[] = []
  const feeder = ClockFeeder.start()
  writeFileSync(file("ntp.keys"), `${KEYS.join("\n")}\n`, { mode: 0o600 })

  const launch = (name: PeerName, args: readonly string[]): void => {
    const command = peer(name)
    if (command === undefined) throw new Error(`${name} is not here`)
    const [program = "", ...rest] = [...network.within, command.command, ...command.args, ...args]
    children.push(spawn(program, rest, { env: command.env, stdio: "ignore" }))
  }
  const startChronyd = (address: string, own: readonly string[]): void => {
    const name = `chronyd-${address}-${children.length}`
    const configuration = [
      "port 123",
      `bindaddress ${address}`,
      "cmdport 0",
      `pidfile ${file(name)}.pid`,
      "allow",
      ...own
    ]
    if (!own.some((line) => line.startsWith("bindcmdaddress"))) configuration.push("bindcmdaddress /")
    writeFileSync(file(`${name}.conf`), `${configuration.join("\n")}\n`)
    launch("chronyd-4.3", ["-x", "-d", "-f", file(`${name}.conf`)])
  }
  const stop = async (): Promise<void> => {
    for (const node of nodes) await node.stop()
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill("SIGKILL")
      await once(child, "exit")
    }
    await feeder.end()
    network.remove()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    startChronyd("192.0.2.2", ["local stratum 2"])
    startChronyd("192.0.2.3", ["local stratum 3", `keyfile ${file("ntp.keys")}`])
    writeFileSync(
      file("nts.conf"),
      "listen 192.0.2.4\nserver 127.127.1.0\nfudge 127.127.1.0 stratum 4\nnts enable port 4460\nworkers 1\n"
    )
    const upstream = await startNode({
      args: ["--config", file("nts.conf")],
      port: 123,
      state: file("nts-state"),
      within: network.within
    })
    nodes.push(upstream)
    const unit = await feeder.createSegment()
    await feeder.ask("run 0 50 1 0")
    const sources = [
      "server 192.0.2.2 iburst minpoll 3 maxpoll 4",
      "server 192.0.2.3 iburst key 1 minpoll 3 maxpoll 4",
      "server 192.0.2.4 iburst nts noval minpoll 3 maxpoll 4",
      `server 127.127.28.${unit} minpoll 3 maxpoll 3`,
      `fudge 127.127.28.${unit} refid GPS stratum 0 time1 0.0005`
    ]
    const keys = [`keys ${file("ntp.keys")}`, "trustedkey 1 5 7", `controlkey ${CONTROL_KEY}`]
    writeFileSync(
      file("ntp.conf"),
      `${["listen 127.0.0.1", "listen 192.0.2.1", "nts enable", ...sources, ...keys, ...lines].join("\n")}\n`
    )
    const node = await startNode({
      args: ["--config", file("ntp.conf"), "--workers", "2"],
      port: 123,
      state: file("state"),
      within: network.within
    })
    nodes.push(node)
    const snapshot = (): Promise<NodeSnapshot> =>
      new Promise((done, failed) => {
        const asking = request({ socketPath: join(node.state, CONTROL_SOCKET_NAME), path: "/snapshot" }, (response) => {
          let text = ""
          response.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")))
          response.on("end", () => done(JSON.parse(text) as NodeSnapshot))
        })
        asking.on("error", failed)
        asking.end()
      })
    const run = (name: PeerName, args: readonly string[], elsewhere = network): Promise<Ran> => {
      const command = peer(name)
      if (command === undefined) throw new Error(`${name} is not here`)
      const [program = "", ...rest] = [...elsewhere.within, command.command, ...command.args, ...args]
      return new Promise((done) => {
        execFile(program, rest, { env: command.env, timeout: PATIENCE_MS }, (error, stdout, stderr) => {
          done({ code: error === null ? 0 : typeof error.code === "number" ? error.code : null, stdout, stderr })
        })
      })
    }
    return { network, node, unit, keys: file("ntp.keys"), file, run, snapshot, startChronyd, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Asks until the answer is as wanted. */
export const eventually = async <A>(ask: () => Promise<A>, wanted: (answer: A) => boolean): Promise<A> => {
  let answer = await ask()
  for (let waited = 0; waited < PATIENCE_MS && !wanted(answer); waited += 500) {
    await sleep(500)
    answer = await ask()
  }
  return answer
}
