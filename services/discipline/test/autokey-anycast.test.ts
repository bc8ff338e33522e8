/**
 * Three nodes of one cluster on a real NATS behind one address, and classic ntpd as their client by Autokey: the cookie that one
 * of them gave is good on the others, wherever the network leads. With MERIDIAN_LONG=1: it takes a minute and a half.
 */
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { until } from "./peer-stage.ts"
import { onStage, type Stage } from "./stage.ts"
import { askClassic, startClassicIn } from "./two-networks.ts"

const suite = "Autokey behind one address"
const available =
  process.env["MERIDIAN_LONG"] === "1" &&
  peersAvailable(suite, ["classic-ntpd", "classic-ntpq", "nats-server-2.10"]) &&
  canMakeNamespaces(suite)
const SLOW_MS = 400_000
const KEYGEN = resolve(import.meta.dirname, "../../cli/bin/ntp-keygen.mjs")
const SERVICE = "198.51.100.1"
const CLIENT = "203.0.113.9"
const NODES = ["a", "b", "c"] as const

const ip = (...args: readonly string[]): void =>
  void execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] })

/** The client's network, from which a cable leads to each node's: the service address is on every node. */
const makeNetworks = (stage: Stage) => {
  const client = new NetworkNamespace()
  // Of a cable that leads nowhere: ntpd speaks to others from no address of loopback.
  const nowhere = new NetworkNamespace()
  client.connect(nowhere, [`${CLIENT}/24`], [])
  const nodes = NODES.map((name, index) => {
    const network = new NetworkNamespace([SERVICE])
    const cable = [`10.9.${index}.1`, `10.9.${index}.2`] as const
    client.connect(network, [`${cable[0]}/24`], [`${cable[1]}/24`])
    ip("-n", network.name, "route", "add", "default", "via", cable[0])
    return { name, network, here: cable[0], there: cable[1] }
  })
  stage.atEnd(async () => {
    for (const { network } of nodes) network.remove()
    nowhere.remove()
    client.remove()
  })
  /** From now on the service address is this node. */
  const lead = (index: number): void =>
    ip("-n", client.name, "route", "replace", SERVICE, "via", nodes[index]!.there, "src", CLIENT)
  return { client, nodes, lead }
}

const startNats = async (stage: Stage, network: NetworkNamespace): Promise<void> => {
  const file = stage.folder.file("nats.conf")
  writeFileSync(file, `listen: "0.0.0.0:4222"\njetstream { store_dir: "${stage.folder.file("nats")}" }\n`)
  const { command, args, env } = peer("nats-server-2.10")!
  const [program = "", ...before] = [...network.within, command, ...args]
  const child = spawn(program, [...before, "-c", file], { env, stdio: "ignore" })
  stage.atFirst(async () => {
    if (child.exitCode !== null) return
    child.kill()
    await once(child, "exit")
  })
}

const outcomes = async ({ state }: RunningNode): Promise<Readonly<Record<string, number>>> => {
  const { stdout } = await meridian(["status", "--json", "--state", state])
  const { workers } = JSON.parse(stdout) as { workers: readonly { served: Record<string, number> }[] }
  return workers[0]?.served ?? {}
}

describe.runIf(available)("three nodes behind one address", { timeout: SLOW_MS }, () => {
  it(
    "are one server to a client that got its cookie from the first",
    onStage(async (stage) => {
      const { client, nodes, lead } = makeNetworks(stage)
      const [theirs, ours] = [stage.folder.file("server-keys"), stage.folder.file("client-keys")]
      for (const folder of [theirs, ours]) mkdirSync(folder)
      const keygen = (folder: string, ...args: readonly string[]): void =>
        void execFileSync(process.execPath, [KEYGEN, "-m", "1024", ...args], { cwd: folder, stdio: "ignore" })
      keygen(theirs, "-T", "-p", "srvpw", "-s", "alice")
      keygen(ours, "-p", "clipw", "-s", "bob")
      await startNats(stage, client)
      const key = stage.folder.file("cluster-key")
      await meridian(["cluster", "init", "--out", key])
      const running = await Promise.all(
        nodes.map(async ({ name, network, here }) => {
          const file = stage.folder.file(`${name}.conf`)
          const lines = [
            "workers 1",
            `node ${name}`,
            `keysdir ${theirs}`,
            "crypto host alice pw srvpw",
            "server 127.127.1.0",
            "fudge 127.127.1.0 stratum 5",
            `cluster nats ${here}:4222 key ${key} replicas 1`
          ]
          writeFileSync(file, `${lines.join("\n")}\n`)
          const node = await startNode({ args: ["--config", file], within: network.within, port: 123 })
          stage.atFirst(() => node.stop())
          return node
        })
      )
      lead(0)
      const statistics = stage.folder.file("statistics/")
      mkdirSync(statistics)
      await startClassicIn(stage, client, [
        `keysdir ${ours}`,
        "crypto host bob pw clipw",
        `server ${SERVICE} autokey iburst minpoll 3 maxpoll 3`,
        `statsdir ${statistics}`,
        "statistics cryptostats",
        "filegen cryptostats file cryptostats type none enable"
      ])
      const repliesOf = (index: number) => async () => outcomes(running[index]!)
      const hasServed = (least: number) => (replies: Readonly<Record<string, number>>) =>
        (replies["served-autokey"] ?? 0) >= least
      const state = async (): Promise<string> => askClassic(client, "associations", "rv &1 flags,reach")
      await until(state, (text) => /sys\.peer/.test(text) && /flags=0x[0-9a-f]*[37][f]/.test(text), SLOW_MS / 2)
      await until(repliesOf(0), hasServed(2), SLOW_MS / 4)
      for (const index of [1, 2]) {
        expect(await repliesOf(index)()).toMatchObject({ "served-autokey": 0 })
        lead(index)
        const replies = await until(repliesOf(index), hasServed(3), SLOW_MS / 4)
        expect(replies).toMatchObject({ "autokey-nak-sent": 0 })
        expect(await state()).toMatch(/yes\s+ok\s+sys\.peer/)
      }
      const cookies = readFileSync(`${statistics}cryptostats`, "utf8").match(/ cook /g) ?? []
      expect(cookies).toHaveLength(1)
    }),
    SLOW_MS
  )
})
