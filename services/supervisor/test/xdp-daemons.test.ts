/** Daemons that follow a node for a while, each over IPv4 and IPv6, answered by the BPF program: classic ntp, OpenNTPD, ntpd-rs and systemd-timesyncd. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openntpdCommand } from "@meridian/testkit/openntpd"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { peer, type PeerCommand, peersAvailable } from "@meridian/testkit/real-peers"
import type { RunningNode } from "@meridian/testkit/running-node"
import { timesyncdCommand } from "@meridian/testkit/timesyncd"
import { withoutClock } from "@meridian/testkit/without-clock"
import { canUseXdp, SERVER_ADDRESSES, XdpStage } from "@meridian/testkit/xdp-stage"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"

const SUITE = "daemons answered by XDP"
const DAEMONS = ["classic-ntpd", "classic-ntpq", "openntpd", "ntpd-rs", "systemd-timesyncd"] as const
const available = (await canUseXdp(SUITE)) && peersAvailable(SUITE, DAEMONS)

/** Both ends read one clock: what is measured is the path's asymmetry. Seconds. */
const SANE_OFFSET = 0.05

describe.runIf(available)("a node that answers by XDP gives right time", () => {
  let stage: XdpStage
  let node: RunningNode
  let folder: string
  const children: ChildProcess[] = []
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "meridian-xdp-daemons-"))
    stage = new XdpStage()
    await stage.open()
    node = await stage.start(["server 127.127.1.0", "fudge 127.127.1.0 stratum 3"])
  })
  afterAll(async () => {
    for (const child of children)
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGKILL")
        await once(child, "exit")
      }
    await stage?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** A program in the clients' network; what it said so far. */
  const start = ({ command, args, env }: PeerCommand, own: readonly string[]) => {
    const [program = "", ...rest] = [...stage.client.within, command, ...args, ...own]
    const child = spawn(program, rest, { env, stdio: ["ignore", "pipe", "pipe"] })
    children.push(child)
    let said = ""
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()))
    return () => said
  }
  const file = (name: string, lines: readonly string[]): string => {
    const path = join(folder, name)
    writeFileSync(path, `${lines.join("\n")}\n`)
    return path
  }
  const replied = async (): Promise<number> => ((await node.status())["xdp"] as { replied: number }).replied
  const received = async (): Promise<unknown> => (await node.status()).workers[0]?.received

  /** What a daemon found out about each address, once it has, in seconds; and who answered it. */
  const found = async (read: () => ReadonlyMap<string, number>, before: number) => {
    await vi.waitUntil(() => SERVER_ADDRESSES.every((address) => read().has(address)), {
      timeout: PATIENCE_MS,
      interval: 200
    })
    return {
      wrong: [...read()].filter(([, offset]) => !(Math.abs(offset) < SANE_OFFSET)),
      hasProgramAnswered: (await replied()) >= before + SERVER_ADDRESSES.length,
      byWorkers: await received()
    }
  }
  const RIGHT = { wrong: [], hasProgramAnswered: true, byWorkers: 0 }

  it("to classic ntpd", async () => {
    const before = await replied()
    const servers = SERVER_ADDRESSES.map((address) => `server ${address} iburst minpoll 3 maxpoll 3`)
    start(peer("classic-ntpd")!, ["-n", "-c", file("classic.conf", ["disable ntp", "restrict default", ...servers])])
    const { command, args, env } = peer("classic-ntpq")!
    const peers = (): ReadonlyMap<string, number> => {
      const [program, ...rest] = [...stage.client.within, command, ...args, "-n", "-w", "-c", "peers", "127.0.0.1"]
      const text = execFileSync(program!, rest, { env, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
      const rows = text
        .replaceAll(/:\d+\n +/g, " ")
        .matchAll(/^[ x.*+#o-]([\da-f.:]+)\s+\S+ +\d+ u +\S+ +\d+ +(\d+) +\S+ +(\S+)/gm)
      return new Map(
        Array.from(rows)
          .filter(([, , reach]) => reach !== "0")
          .map(([, address = "", , offset]) => [address, Number(offset) / 1e3])
      )
    }
    expect(await found(peers, before)).toEqual(RIGHT)
  })

  it("to OpenNTPD", async () => {
    const before = await replied()
    const said = start(openntpdCommand(folder, SERVER_ADDRESSES), [])
    const replies = (): ReadonlyMap<string, number> =>
      new Map(
        Array.from(said().matchAll(/reply from (\S+): offset (\S+)/g), ([, address = "", offset]) => [
          address,
          Number(offset)
        ])
      )
    expect(await found(replies, before)).toEqual(RIGHT)
  })

  it("to ntpd-rs", async () => {
    const before = await replied()
    const sources = SERVER_ADDRESSES.map((address) => `[[source]]\nmode = "server"\naddress = "${address}"`)
    const configuration = file("ntp.toml", ['[observability]\nlog-level = "trace"', ...sources])
    const daemon = peer("ntpd-rs")!
    const said = start({ ...daemon, args: withoutClock(daemon.args, folder) }, ["-c", configuration])
    // Of the estimate that its filter begins with: its first line is the offset.
    const estimate = /source_addr: \[?([\da-f.:]+?)\]?:123,[^\n]* KalmanState \{ state: Matrix \{ data: \[\[(\S+?)\]/g
    const estimates = (): ReadonlyMap<string, number> =>
      new Map(Array.from(said().matchAll(estimate), ([, address = "", offset]) => [address, Number(offset)]))
    expect(await found(estimates, before)).toEqual(RIGHT)
  })
  it("to systemd-timesyncd", async () => {
    const before = await replied()
    const saids = SERVER_ADDRESSES.map((address, index) => {
      const said = start(timesyncdCommand(join(folder, `timesyncd-${index}`), address), [])
      return [address, said] as const
    })
    const offsets = (): ReadonlyMap<string, number> =>
      new Map(
        saids.flatMap(([address, said]) => {
          const offset = /^\s*offset\s*: (\S+) sec/m.exec(said())?.[1]
          return offset === undefined ? [] : [[address, Number(offset)]]
        })
      )
    expect(await found(offsets, before)).toEqual(RIGHT)
  })
})
