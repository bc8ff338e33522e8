/** A network of its own with two addresses, on which nodes and daemons meet at port 123, each with the same keys. */
import { execFile } from "node:child_process"
import { writeFileSync } from "node:fs"
import type { SourceReport } from "@meridian/ipc/discipline-report"
import { NetworkNamespace } from "@meridian/testkit/network-namespace"
import type { PeerCommand } from "@meridian/testkit/real-peers"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { type Folder, makeFolder } from "./running-discipline.ts"
import { onStageOf } from "./stage.ts"

export { until } from "./answers.ts"
export const OTHER = "192.0.2.1"
export const OURS = "192.0.2.2"
/** Its reference id is everybody's: any other address of this network would be the own address of each node. */
export const THIRD = "127.0.0.1"
const KEYS = ["5 SHA1 a-key-that-is-ascii", "6 MD5 fifteen-letters"]

export class Stage {
  readonly folder: Folder = makeFolder()
  readonly network = new NetworkNamespace([OTHER, OURS])
  readonly keys = this.folder.file("ntp.keys")
  private readonly ending: (() => Promise<unknown>)[] = []

  constructor() {
    writeFileSync(this.keys, `${KEYS.join("\n")}\n`, { mode: 0o600 })
  }

  keep<A extends { readonly stop: () => Promise<unknown> }>(running: A): A {
    this.ending.unshift(() => running.stop())
    return running
  }

  /** A node that serves on port 123 of an address. */
  async node(address: string, lines: readonly string[]): Promise<RunningNode> {
    const file = this.folder.file(`${address}.conf`)
    const all = [`listen ${address}`, "workers 1", `keys ${this.keys}`, "trustedkey 5 6", "tos maxdist 16", ...lines]
    writeFileSync(file, `${all.join("\n")}\n`)
    return this.keep(await startNode({ args: ["--config", file], within: this.network.within, port: 123 }))
  }

  run(command: PeerCommand, args: readonly string[]): Promise<string> {
    const { command: first, args: own, env } = command
    const [program = "", ...before] = [...this.network.within, first, ...own]
    return new Promise((done) => {
      execFile(program, [...before, ...args], { env, timeout: PATIENCE_MS }, (_error, stdout, stderr) =>
        done(stdout + stderr)
      )
    })
  }

  async end(): Promise<void> {
    for (const stop of this.ending) await stop()
    this.network.remove()
    this.folder.remove()
  }
}

export const onStage = onStageOf(() => new Stage())

export const sources = (node: RunningNode) => async (): Promise<readonly SourceReport[]> => {
  const { stdout } = await meridian(["sources", "--state", node.state, "--json"])
  return JSON.parse(stdout) as readonly SourceReport[]
}
/** Three polls in a row were answered; the newest waits for the other side's turn. */
export const isReached = (reach: string | undefined): boolean => (Number.parseInt(reach ?? "0", 8) & 0b1110) === 0b1110

/** Of classic ntpd at {@link OTHER}, stratum 6: as Debian ships it, and no rule for us. */
export const classicLines = (keys: string): readonly string[] => [
  "server 127.127.1.0 minpoll 3 maxpoll 3",
  "fudge 127.127.1.0 stratum 5",
  `keys ${keys}`,
  "trustedkey 5 6",
  "tos minsane 1 orphanwait 1",
  "restrict -4 default kod notrap nomodify nopeer noquery limited",
  "restrict 127.0.0.1",
  "interface ignore wildcard",
  "interface ignore all",
  `interface listen ${OTHER}`,
  "interface listen 127.0.0.1"
]
