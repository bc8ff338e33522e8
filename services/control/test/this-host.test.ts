/**
 * Without a line about it, questions are answered to this host alone, by whichever of its addresses it asks: in a network of the
 * test's own, beside a host that also asks in this one's name.
 */
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { canMakeNamespaces, NetworkNamespace } from "@meridian/testkit/network-namespace"
import { peer, peersAvailable } from "@meridian/testkit/real-peers"
import { type RunningNode, startNode } from "@meridian/testkit/running-node"
import { hasTerminals } from "@meridian/testkit/terminal"
import { eventually } from "./stage.ts"

const suite = "who is this host"
// What has a terminal by Python has sockets by it.
const isAvailable = peersAvailable(suite, ["classic-ntpq"]) && canMakeNamespaces(suite) && hasTerminals()

/** Asks for the variables of the system from an address, and says whether an answer came. */
const ASK = `
import socket, sys
source, target = sys.argv[1:]
asking = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM)
asking.bind((source, 0))
asking.settimeout(2)
asking.sendto(bytes([0x16, 2, 0, 1] + [0] * 8), (target, 123))
try:
    asking.recv(600)
    print("answered")
except socket.timeout:
    print("silence")
`

const OWN = ["198.51.100.1", "198.51.100.3", "2001:db8::1", "2001:db8::3"] as const
const STRANGER = ["198.51.100.2", "2001:db8::2"] as const

let folder: string
let here: NetworkNamespace
let elsewhere: NetworkNamespace
let node: RunningNode | undefined
beforeAll(async () => {
  if (!isAvailable) return
  folder = mkdtempSync(join(tmpdir(), "meridian-this-host-"))
  here = new NetworkNamespace()
  elsewhere = new NetworkNamespace()
  const lengthOf = (address: string): string => `${address}/${address.includes(":") ? 64 : 24}`
  here.connect(elsewhere, OWN.map(lengthOf), STRANGER.map(lengthOf))
  // Neither end looks at where a packet would have to come from.
  for (const { within } of [here, elsewhere])
    for (const name of ["all", "default"])
      await promisify(execFile)(within[0]!, [...within.slice(1), "sysctl", "-qw", `net.ipv4.conf.${name}.rp_filter=0`])
  const file = join(folder, "ntp.conf")
  const listening = ["127.0.0.1", "198.51.100.1", "2001:db8::1"].map((address) => `listen ${address}`)
  writeFileSync(file, `${[...listening, "server 127.127.1.0"].join("\n")}\n`)
  node = await startNode({ port: 123, args: ["--config", file, "--workers", "2"], within: here.within })
})
afterAll(async () => {
  await node?.stop()
  here?.remove()
  elsewhere?.remove()
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

const targetOf = (source: string): string => (source.includes(":") ? "2001:db8::1" : "198.51.100.1")

const ask = async ({ within }: NetworkNamespace, source: string, target = targetOf(source)): Promise<string> => {
  const [program, ...rest] = [...within, "python3", "-c", ASK, source, target]
  return (await promisify(execFile)(program, rest)).stdout.trim()
}

/** What ntpq prints, asked at an address. */
const ntpq = async (address: string, ...commands: readonly string[]): Promise<string> => {
  const { command, args, env } = peer("classic-ntpq")!
  const [program, ...rest] = [...here.within, command, ...args, "-n", ...commands, address]
  return (await promisify(execFile)(program, rest, { env })).stdout
}

/** Questions that were answered since the start. */
const answered = async (): Promise<number> =>
  Number(/ss_numctlreq=(\d+)/.exec(await ntpq("127.0.0.1", "-c", "rv 0 ss_numctlreq"))?.[1])

describe.runIf(isAvailable)("a node without a line about access", () => {
  it("answers ntpq at any of this host's addresses, and from any of them", async () => {
    for (const address of ["127.0.0.1", "198.51.100.1", "2001:db8::1"])
      expect([address, await ntpq(address, "-c", "rv")]).toEqual([address, expect.stringMatching(/stratum=\d+/)])
    for (const source of OWN) expect([source, await ask(here, source)]).toEqual([source, "answered"])
  })

  it("answers nobody else", async () => {
    const before = await answered()
    for (const source of STRANGER) expect([source, await ask(elsewhere, source)]).toEqual([source, "silence"])
    expect((await answered()) - before).toBe(1)
  })

  it("gives nothing to who asks in this host's name: IPv4 packets of that kind never come in, IPv6 answers stay here", async () => {
    elsewhere.ip("address", "add", "198.51.100.3/32", "dev", "lo")
    elsewhere.ip("-6", "address", "add", "2001:db8::3/128", "dev", "lo", "nodad")
    const before = await answered()
    expect(await ask(elsewhere, "198.51.100.3")).toBe("silence")
    expect((await answered()) - before).toBe(1)
    expect(await ask(elsewhere, "2001:db8::3")).toBe("silence")
  })

  it("knows addresses that come and go while it runs", async () => {
    here.ip("address", "add", "198.51.100.77/32", "dev", "lo")
    expect(
      await eventually(
        () => ask(here, "198.51.100.77"),
        (answer) => answer === "answered"
      )
    ).toBe("answered")
    here.ip("address", "delete", "198.51.100.77/32", "dev", "lo")
    elsewhere.ip("address", "add", "198.51.100.77/24", "dev", "lo")
    expect(
      await eventually(
        () => ask(elsewhere, "198.51.100.77"),
        (answer) => answer === "silence"
      )
    ).toBe("silence")
  })
})
