/** Two networks joined by a cable, with a node in one and classic ntpd in the other, both on port 123. */
import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { NetworkNamespace } from "@meridian/testkit/network-namespace"
import { peer } from "@meridian/testkit/real-peers"
import { type RunningNode, startNode } from "@meridian/testkit/running-node"
import { startClassicNtpd } from "./real-upstreams.ts"
import type { Stage } from "./stage.ts"

export const SERVER = { v4: "192.0.2.1", v6: "2001:db8::1" }
export const CLIENT = { v4: "192.0.2.2", v6: "2001:db8::2" }
export const BROADCAST = "192.0.2.255"

export const twoNetworks = (stage: Stage) => {
  const [server, client] = [new NetworkNamespace(), new NetworkNamespace()]
  stage.atEnd(async () => {
    server.remove()
    client.remove()
  })
  server.connect(client, [`${SERVER.v4}/24`, `${SERVER.v6}/64`], [`${CLIENT.v4}/24`, `${CLIENT.v6}/64`])
  return { server, client }
}

export const startNodeIn = async (
  stage: Stage,
  network: NetworkNamespace,
  lines: readonly string[],
  name = "node.conf"
): Promise<RunningNode> => {
  const file = stage.folder.file(name)
  writeFileSync(file, `${["workers 1", ...lines].join("\n")}\n`)
  const node = await startNode({ args: ["--config", file], within: network.within, port: 123 })
  stage.atFirst(() => node.stop())
  return node
}

export const startClassicIn = async (
  stage: Stage,
  network: NetworkNamespace,
  lines: readonly string[]
): Promise<void> => {
  const all = ["tos minsane 1 orphanwait 0", "restrict default", ...lines]
  const running = await startClassicNtpd(stage.folder, network.name, all)
  stage.atFirst(() => running.stop())
}

/** What classic's ntpq says of the daemon in a network. */
export const askClassic = (network: NetworkNamespace, ...commands: readonly string[]): string => {
  const { command, args, env } = peer("classic-ntpq")!
  const [program = "", ...before] = [...network.within, command, ...args]
  const options = { env, encoding: "utf8", stdio: "pipe" } as const
  return execFileSync(program, [...before, "-n", ...commands.flatMap((each) => ["-c", each]), "127.0.0.1"], options)
}
