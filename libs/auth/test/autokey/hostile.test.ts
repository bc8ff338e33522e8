/**
 * Associations over a hostile link, by seeds: nothing throws, no time and no leap second is believed that the other side did not
 * send, every packet is counted, answers are no longer than they may be, and once the link is kind again the exchange comes to its
 * end. MERIDIAN_LONG=1 takes many seeds.
 */
import assert from "node:assert/strict"
import { Dice, HostileLink } from "@meridian/testkit/autokey-link"
import {
  autokeyFieldLength,
  type AutokeyPacket,
  decodeAutokeyPacket,
  LONGEST_AUTOKEY_FIELD,
  writeAutokeyField
} from "@meridian/wire/autokey-fields"
import { HEADER_BYTES } from "@meridian/wire/ntp"
import { describe, expect, it } from "vitest"
import { AutokeyAssociation } from "../../src/autokey/association.ts"
import type { GroupParameters } from "../../src/autokey/group-parameters.ts"
import type { AutokeyParty } from "../../src/autokey/party.ts"
import { type AddressPair, PUBLIC_COOKIE, SessionKeys } from "../../src/autokey/session-key.ts"
import { StatusFlag } from "../../src/autokey/status-word.ts"
import { gq, groups } from "./groups.ts"
import { client, computing, hostOf, LEAP, NOW, partyOf, server } from "./parties.ts"
import { digests } from "./recordings.ts"

const isLong = process.env["MERIDIAN_LONG"] === "1"
const SEEDS = isLong ? 2_000 : 40
const PAIRS = isLong ? 1_000 : 20
const HOSTILE_TURNS = 240
/** A stuck exchange begins anew after 64 packets, and there are a dozen in one. */
const KIND_TURNS = 96
const TIME_LIMIT_MS = isLong ? 600_000 : 60_000

const there: AddressPair = { source: client, destination: server }
const back: AddressPair = { source: server, destination: client }
const hex = (bytes: Uint8Array): string => bytes.toHex()

interface World {
  readonly name: string
  /** The server, with and without a table of leap seconds. */
  readonly alice: readonly [AutokeyParty, AutokeyParty]
  readonly bob: AutokeyParty
  readonly group: GroupParameters | undefined
}

const worldOf =
  (name: string, alice: () => AutokeyParty["host"], bob: () => AutokeyParty["host"], group?: GroupParameters) =>
  (): World => ({ name, alice: [partyOf(alice(), true), partyOf(alice(), false)], bob: partyOf(bob()), group })
const plainBob = () => hostOf("bob", { key: 1 })
const privateAlice = () => hostOf("alice", { kind: "private", key: 2 })
const worlds = [
  worldOf("trusted certificates", () => hostOf("alice", { kind: "trusted" }), plainBob),
  worldOf("a private certificate", privateAlice, privateAlice),
  ...(["iff", "gq", "mv"] as const).map((scheme) =>
    worldOf(
      scheme,
      () => hostOf("alice", { kind: "trusted", identity: [groups[scheme].identity], gqPublic: gq.v }),
      plainBob,
      groups[scheme].parameters
    )
  )
]

/** A server without memory, as services/autokey and the workers are together. */
class Server {
  readonly outcomes: Record<string, number> = {}
  received = 0
  /** What it sent: nothing else of its may be believed. */
  readonly sent = new Set<string>()
  now: number | undefined = NOW
  private readonly keys = new SessionKeys(digests, "MD5")
  readonly cookie: number

  constructor(secret: number) {
    this.cookie = this.keys.cookie(there, secret)
  }

  answer({ responder, host }: AutokeyParty, bytes: Uint8Array): Uint8Array | undefined {
    this.received += 1
    const { outcome, reply } = this.decide({ responder, host }, bytes)
    this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1
    if (reply !== undefined) this.sent.add(hex(reply))
    return reply
  }

  private decide(
    { responder, host }: Pick<AutokeyParty, "responder" | "host">,
    bytes: Uint8Array
  ): { readonly outcome: string; readonly reply?: Uint8Array } {
    const packet = decodeAutokeyPacket(bytes)
    if (typeof packet === "string") return { outcome: `malformed-${packet}` }
    const [field, ...more] = packet.fields
    const cookie = field === undefined ? this.cookie : PUBLIC_COOKIE
    if (!this.keys.verify(bytes, packet.macOffset, there, cookie)) return { outcome: "bad-mac" }
    if (more.length > 0) return { outcome: "no-request" }
    const answer = field && responder.answer(field, { cookie: this.cookie, now: this.now })
    const reply = new Uint8Array(HEADER_BYTES + LONGEST_AUTOKEY_FIELD + 24)
    reply.fill(this.received & 0xff, 40, HEADER_BYTES)
    let length = HEADER_BYTES
    if (answer?.field !== undefined) {
      const size = autokeyFieldLength(answer.field)
      const isShort = answer.field.isError || answer.field.content === undefined
      const longestName = 24 + host.name.length + 3
      assert(
        size <= (isShort ? 8 : answer.reason === "association" ? longestName : LONGEST_AUTOKEY_FIELD),
        answer.reason
      )
      length += writeAutokeyField(reply, length, answer.field)
    } else if (answer !== undefined) return { outcome: answer.reason }
    return {
      outcome: answer?.reason ?? "time",
      reply: reply.slice(0, this.keys.append(reply, length, back, packet.keyId, cookie))
    }
  }
}

const associationOf = (
  { host, certificates, responder }: AutokeyParty,
  mode: "client" | "symmetric",
  id: number,
  dice: Dice,
  group?: GroupParameters
): AutokeyAssociation =>
  new AutokeyAssociation(
    { host, certificates, responder, ...computing, randomWord: dice.bits, group, mode, record: () => {} },
    id
  )

/** An association with what its source does for it: nothing heard for 8 packets, and all begins anew. */
class Party {
  readonly association: AutokeyAssociation
  private unanswered = 0

  constructor(association: AutokeyAssociation) {
    this.association = association
  }

  send(pair: AddressPair, now: number | undefined): Uint8Array {
    this.unanswered += 1
    if (this.unanswered > 8) {
      this.association.restart()
      this.unanswered = 1
    }
    const bytes = new Uint8Array(4_096)
    return bytes.slice(0, this.association.write(bytes, HEADER_BYTES, { pair, now, pollSeconds: 64 }, true))
  }

  take(bytes: Uint8Array, packet: AutokeyPacket, pair: AddressPair, now: number | undefined): boolean {
    const { isAuthentic, isTimeUsable } = this.association.receive(bytes, packet, { pair, now, pollSeconds: 1 })
    if (isAuthentic) this.unanswered = 0
    return isTimeUsable
  }
}

const has = ({ status }: AutokeyAssociation, flags: number): boolean => (status & flags) === flags
const PROVENTIC = StatusFlag.certificate | StatusFlag.verified | StatusFlag.proventic

/** One client and one server for a seed. */
const playClient = (seed: number) => {
  const dice = new Dice(seed)
  const world = worlds[seed % worlds.length]!()
  const [ask, reply] = [
    new HostileLink(dice, new SessionKeys(digests, "MD5")),
    new HostileLink(dice, new SessionKeys(digests, "MD5"))
  ]
  const asked = new Server(dice.bits())
  const association = associationOf(world.bob, "client", 4_711, dice, world.group)
  const bob = new Party(association)
  let now: number | undefined
  let usable = 0
  const take = (bytes: Uint8Array): void => {
    const packet = decodeAutokeyPacket(bytes)
    if (typeof packet === "string") return
    const isTimeUsable = bob.take(bytes, packet, back, now)
    if (association.leapSeconds !== undefined) expect(association.leapSeconds).toEqual(LEAP)
    if (has(association, StatusFlag.cookie)) expect(association.state.cookie).toBe(asked.cookie)
    if (has(association, StatusFlag.proventic)) expect(has(association, PROVENTIC)).toBe(true)
    if (!isTimeUsable) return
    expect([asked.sent.has(hex(bytes)), packet.fields.length]).toEqual([true, 0])
    usable += 1
    now = asked.now
  }
  const turn = (count: number): void => {
    const at = NOW + count * 16
    asked.now = dice.once(6) && ask.kindness < 8 ? undefined : at
    if (now !== undefined) now = at
    if (ask.kindness < 8 && dice.once(120)) association.restart()
    const alice = world.alice[ask.kindness < 8 ? dice.below(2) : 0]!
    for (const request of ask.pass(bob.send(there, now), there)) {
      const answer = asked.answer(alice, request)
      if (answer !== undefined) for (const bytes of reply.pass(answer, back)) take(bytes)
    }
  }
  for (let count = 0; count < HOSTILE_TURNS; count += 1) turn(count)
  for (const link of [ask, reply]) link.kindness = 8
  usable = 0
  for (let count = 0; count < KIND_TURNS; count += 1) turn(HOSTILE_TURNS + count)
  return { name: world.name, association, usable, asked }
}

describe("a client and its server over a hostile link", () => {
  it(
    "believe nothing that was not sent, and find each other when it is kind",
    () => {
      const outcomes: Record<string, number> = {}
      for (let seed = 1; seed <= SEEDS; seed += 1) {
        const { name, association, usable, asked } = playClient(seed)
        const found = { seed, name, status: association.status.toString(16), isWhole: has(association, 0x7f00) }
        expect({ ...found, isFollowed: usable > 8 }).toEqual({ ...found, isWhole: true, isFollowed: true })
        expect(Object.values(asked.outcomes).reduce((sum, count) => sum + count, 0)).toBe(asked.received)
        for (const [outcome, count] of Object.entries(asked.outcomes))
          outcomes[outcome] = (outcomes[outcome] ?? 0) + count
      }
      // What was thrown at them was of every kind.
      const faults = ["bad-mac", ...["length", "value", "key-id", "version"].map((fault) => `malformed-${fault}`)]
      const served = ["time", "cookie", "sign", "iff", "gq", "mv", "leap-seconds", "unsynchronised", "bad-value"]
      expect([...faults, ...served].filter((outcome) => outcomes[outcome] === undefined)).toEqual([])
    },
    TIME_LIMIT_MS
  )
})

/** Two symmetric peers for a seed. */
const playPeers = (seed: number) => {
  const dice = new Dice(-seed)
  const links = [
    new HostileLink(dice, new SessionKeys(digests, "MD5")),
    new HostileLink(dice, new SessionKeys(digests, "MD5"))
  ] as const
  const parties = [
    new Party(associationOf(partyOf(hostOf("alice", { kind: "trusted" })), "symmetric", 4_711, dice)),
    new Party(associationOf(partyOf(hostOf("bob", { kind: "trusted", key: 1 })), "symmetric", 815, dice))
  ] as const
  const peers = [parties[0].association, parties[1].association] as const
  const usable = [0, 0]
  const sent = new Set<string>()
  if (dice.once(3)) peers[dice.below(2)]!.echoKeyIds()
  const turn = (count: number): void => {
    const from = count % 2
    const [hearer, pair] = [peers[1 - from]!, from === 0 ? there : back]
    const now = links[0].kindness < 8 && dice.once(6) ? undefined : NOW + count
    const packet = parties[from]!.send(pair, now)
    sent.add(hex(packet))
    for (const bytes of links[from]!.pass(packet, pair)) {
      const decoded = decodeAutokeyPacket(bytes)
      if (typeof decoded === "string") continue
      const hadCookie = has(hearer, StatusFlag.cookie)
      const isTimeUsable = parties[1 - from]!.take(bytes, decoded, pair, NOW + count)
      if (hearer.leapSeconds !== undefined) expect(hearer.leapSeconds).toEqual(LEAP)
      if (!isTimeUsable) continue
      // Before there is a cookie, and beside fields, the key is everybody's, as the protocol has it.
      if (hadCookie && decoded.fields.length === 0) expect(sent.has(hex(bytes))).toBe(true)
      usable[1 - from]! += 1
    }
  }
  for (let count = 0; count < HOSTILE_TURNS; count += 1) turn(count)
  for (const link of links) link.kindness = 8
  usable.fill(0)
  for (let count = 0; count < 4 * KIND_TURNS; count += 1) turn(HOSTILE_TURNS + count)
  return { peers, usable }
}

describe("two symmetric peers over a hostile link", () => {
  it(
    "believe no time under their cookie that was not sent, and find each other when it is kind",
    () => {
      for (let seed = 1; seed <= PAIRS; seed += 1) {
        const { peers, usable } = playPeers(seed)
        const found = { seed, states: peers.map(({ status }) => status.toString(16)) }
        expect({ ...found, whole: peers.map((peer) => has(peer, 0x3f00)) }).toEqual({ ...found, whole: [true, true] })
        expect(peers[0].state.cookie).toBe(peers[1].state.cookie)
        expect([seed, Math.min(...usable) > 8]).toEqual([seed, true])
      }
    },
    TIME_LIMIT_MS
  )
})
