/** Symmetric peers: each asks the other and answers it, in the packets that carry their time. */
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import { AutokeyOperation, decodeAutokeyPacket } from "@meridian/wire/autokey-fields"
import { HEADER_BYTES } from "@meridian/wire/ntp"
import { describe, expect, it } from "vitest"
import { AutokeyAssociation } from "../../src/autokey/association.ts"
import { client, hostOf, NOW, partyOf, randomBelow, randomWord, server } from "./parties.ts"
import { digests } from "./recordings.ts"

const peerOf = (name: string, key: number, associationId: number) =>
  new AutokeyAssociation(
    {
      ...partyOf(hostOf(name, { kind: "trusted", key })),
      rsa: nodeRsa,
      digests,
      randomBelow,
      randomWord,
      group: undefined,
      mode: "symmetric",
      record: () => {}
    },
    associationId
  )

/**
 * Two peers that take turns, a second apart. Where bob is deaf, he takes nothing but what comes under the key id that he sent
 * last; where alice knows it, she goes on by his.
 */
const turns = (count: number, { isDeaf = false, isKnown = false } = {}) => {
  let last = 0
  const peers = { alice: peerOf("alice", 0, 4_711), bob: peerOf("bob", 1, 815) }
  const pairs = {
    alice: { source: client, destination: server },
    bob: { source: server, destination: client }
  }
  const usable = { alice: 0, bob: 0 }
  const sizes: number[] = []
  for (let turn = 0; turn < count; turn += 1) {
    const [from, to] = turn % 2 === 0 ? (["alice", "bob"] as const) : (["bob", "alice"] as const)
    const context = { pair: pairs[from], now: NOW + turn, pollSeconds: 64 }
    const bytes = new Uint8Array(4_096)
    const packet = bytes.slice(0, peers[from].write(bytes, HEADER_BYTES, context, true))
    const decoded = decodeAutokeyPacket(packet)
    if (typeof decoded === "string") throw new Error(decoded)
    if (from === "bob") last = decoded.keyId
    else if (isDeaf && turn > 0 && decoded.keyId !== last) {
      if (isKnown) peers.alice.echoKeyIds()
      continue
    }
    sizes.push(packet.length)
    const received = peers[to].receive(packet, decoded, context)
    expect(received.isAuthentic).toBe(true)
    usable[to] += received.isTimeUsable ? 1 : 0
  }
  return { peers, usable, sizes }
}

/** Certificate, identity, proventic, cookie, list and signature. */
const COMPLETE = 0x3f00
const isComplete = ({ status }: AutokeyAssociation): boolean => (status & COMPLETE) === COMPLETE

describe("symmetric peers", () => {
  it("prove each other, agree on a cookie and go on by their lists", () => {
    const { peers, usable, sizes } = turns(40)
    expect([peers.alice, peers.bob].map(isComplete)).toEqual([true, true])
    expect(peers.alice.state.cookie).toBe(peers.bob.state.cookie)
    expect(usable.alice).toBeGreaterThan(10)
    expect(usable.bob).toBeGreaterThan(10)
    // Nothing is left to say, but the time.
    expect(sizes.at(-1)).toBe(HEADER_BYTES + 20)
  })

  it("name themselves in the answer to who they are", () => {
    const [alice, bob] = [peerOf("alice", 0, 4_711), peerOf("bob", 1, 815)]
    const ask = { pair: { source: client, destination: server }, now: NOW, pollSeconds: 64 }
    const bytes = new Uint8Array(4_096)
    const packet = bytes.slice(0, alice.write(bytes, HEADER_BYTES, ask, true))
    const decoded = decodeAutokeyPacket(packet)
    if (typeof decoded === "string") throw new Error(decoded)
    bob.receive(packet, decoded, ask)
    const { fields } = bob.next({ ...ask, pair: { source: server, destination: client } }, true)
    expect(fields).toMatchObject([
      { operation: AutokeyOperation.association, isResponse: true, associationId: 815 },
      { operation: AutokeyOperation.certificate, isResponse: false, associationId: 815 }
    ])
  })
})

describe("a peer that takes no key id but the one it sent last, as the reference does since 4.2.8p12", () => {
  it("hears nothing of one that goes by its list", () => {
    expect(turns(40, { isDeaf: true }).usable).toEqual({ alice: 0, bob: 0 })
  })

  it("hears one that goes on under its ids, each with a signed list of its own", () => {
    const { peers, usable } = turns(40, { isDeaf: true, isKnown: true })
    expect([peers.alice, peers.bob].map(isComplete)).toEqual([true, true])
    expect(usable.alice).toBeGreaterThan(10)
    expect(usable.bob).toBeGreaterThan(10)
  })
})
