/** What the clock's process makes of peers that workers saw, with a set of associations and without a network. */
import { describe, expect, it } from "vitest"
import { KeyTable, SymmetricKey } from "@meridian/auth/key-table"
import { SymmetricMacs } from "@meridian/auth/mac"
import { macAlgorithms } from "@meridian/auth/mac-algorithms"
import { UdpClientError, type UdpEndpoint } from "@meridian/udp/client"
import type { PeerSighting } from "@meridian/ipc/peer-sighting"
import { type Moment, AssociationSet, type SetAction } from "@meridian/protocol/associations"
import type { NtpTimestamp } from "@meridian/time/timestamp"
import { LateDigests } from "../src/late-digests.ts"
import { PassivePeers } from "../src/passive-peers.ts"

const sighting = (address: string, change: Partial<PeerSighting> = {}): PeerSighting => ({
  address,
  port: 123,
  localAddress: "192.0.2.2",
  localPort: 123,
  keyId: 5,
  version: 4,
  poll: 6,
  ...change
})

const makePeers = (most: number, error?: UdpClientError) => {
  const key = new SymmetricKey(5, macAlgorithms.SHA1, new Uint8Array(20).fill(1))
  // Trusted, as a key of the event log is, and named by no line.
  const ofLog = new SymmetricKey(7, macAlgorithms.SHA1, new Uint8Array(20).fill(2))
  const macs = new SymmetricMacs(
    new LateDigests(undefined),
    KeyTable.of([key, ofLog]).withTrusted([{ first: 5, last: 7 }])
  )
  const system = () =>
    ({ leap: 0, stratum: 0, referenceId: 0, reference: 0n, rootDelay: 0, rootDispersion: 0 }) as never
  const environment = { fillRandom: () => {}, random: () => 0.5, precision: -20, system }
  const set = new AssociationSet({ maxclock: 10, passivePeers: most }, environment)
  const said = { opened: [] as UdpEndpoint[], changes: [] as string[], warnings: [] as string[] }
  const act = (actions: readonly SetAction[]): void => {
    for (const action of actions) {
      if (action._tag === "Mobilised") peers.mobilised(action)
      if (action._tag === "Demobilised") peers.demobilised(action)
      if (action._tag === "CallerRefused") peers.count(action.reason)
    }
  }
  const peers: PassivePeers = new PassivePeers(most, [{ first: 5, last: 6 }], {
    set,
    macs,
    moment: (): Moment => ({ wall: 1n as NtpTimestamp, monotonic: 0 }),
    serving: [{ address: "0.0.0.0", port: 123 }],
    act,
    listen: (_id, _remote, local) => {
      said.opened.push(local)
      return Promise.resolve(error)
    },
    changed: ({ address }, keyId, isTaken, reason) =>
      said.changes.push(`${isTaken ? "+" : "-"}${address} key ${keyId}: ${reason}`),
    warn: (message) => said.warnings.push(message)
  })
  const see = (...all: readonly PeerSighting[]) => peers.seen({ type: "peers-seen", peers: all, overlooked: 0 })
  return { peers, macs, set, said, see }
}

describe("peers that workers saw", () => {
  it("are taken with a socket at the address and port that they sent to", () => {
    const { peers, said, see, set } = makePeers(16)
    see(sighting("192.0.2.1"), sighting("192.0.2.3", { localAddress: null, localPort: 1123 }))
    expect(said.opened).toEqual([
      { address: "192.0.2.2", port: 123 },
      { address: "0.0.0.0", port: 1123 }
    ])
    expect(said.changes[0]).toBe("+192.0.2.1 key 5: symmetric active, under key 5")
    expect(peers.keyOf(set.find("192.0.2.1")!)).toBe(5)
    expect(peers.report()).toEqual({ now: 2, most: 16, taken: 2, refused: {} })
  })

  it("are refused, counted and told once: too many, this node itself, an untrusted key", () => {
    const { peers, said, see } = makePeers(2)
    see(
      ...[1, 2, 3, 4].map((last) => sighting(`198.51.100.${last}`)),
      sighting("192.0.2.2"),
      sighting("192.0.2.9", { keyId: 6 }),
      sighting("192.0.2.9", { keyId: 7 })
    )
    peers.seen({ type: "peers-seen", peers: [], overlooked: 7 })
    expect(peers.report()).toEqual({ now: 2, most: 2, taken: 2, refused: { full: 2, self: 1, key: 2, overlooked: 7 } })
    // Warnings name nobody: they would be as many as there are addresses.
    expect(said.warnings.join()).not.toContain("198.51.100")
  })

  it("are not looked at where none is to be taken", () => {
    const { peers, see } = makePeers(0)
    see(sighting("192.0.2.1"))
    expect(peers.report()).toEqual({ now: 0, most: 0, taken: 0, refused: {} })
  })

  it("go when their key is trusted no more", () => {
    const { peers, macs, said, see } = makePeers(2)
    see(sighting("192.0.2.1"))
    peers.keysChanged()
    expect(peers.report().now).toBe(1)
    macs.keys = macs.keys.withTrusted([])
    peers.keysChanged()
    expect(peers.report().now).toBe(0)
    expect(said.changes.at(-1)).toBe("-192.0.2.1 key 5: its key is not trusted any more")
  })

  it.each([
    ["belongs to another user, and none is tried again", "EADDRINUSE", 1],
    ["cannot be had this once", "EMFILE", 2]
  ])("are let go where the port %s", async (_name, code, tries) => {
    const { peers, said, see } = makePeers(4, new UdpClientError(code, "open", "no"))
    see(sighting("192.0.2.1"))
    await Promise.resolve()
    await Promise.resolve()
    expect(peers.report()).toMatchObject({ now: 0, refused: { port: 1 } })
    expect(said.changes.at(-1)).toBe("-192.0.2.1 key 5: the node's port cannot be shared")
    see(sighting("192.0.2.3"))
    expect(said.opened).toHaveLength(tries)
    expect(said.warnings.filter((message) => message.includes("--user"))).toHaveLength(tries === 1 ? 1 : 0)
  })
})
