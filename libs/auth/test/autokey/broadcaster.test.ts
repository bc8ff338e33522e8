/** Broadcasts under key lists: who is believed, and what a server of ours tells. */
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import {
  AutokeyOperation,
  type AutokeyValue,
  decodeAutokeyPacket,
  decodeAutokeyValues,
  encodeAutokeyValues,
  writeAutokeyField
} from "@meridian/wire/autokey-fields"
import { HEADER_BYTES } from "@meridian/wire/ntp"
import { describe, expect, it } from "vitest"
import { AutokeyAssociation } from "../../src/autokey/association.ts"
import { AutokeyBroadcaster } from "../../src/autokey/broadcaster.ts"
import { publicKeyOf } from "../../src/autokey/certificate.ts"
import type { AutokeyHost } from "../../src/autokey/host.ts"
import { followsInChain, KeyList } from "../../src/autokey/key-list.ts"
import { partyOf as partyWith } from "../../src/autokey/party.ts"
import { PUBLIC_COOKIE, SessionKeys } from "../../src/autokey/session-key.ts"
import { signatureFault, signValue } from "../../src/autokey/signed-value.ts"
import { run } from "./exchanges.ts"
import { computing, hostOf, LEAP, NOW, NTP, partyOf, randomWord, server } from "./parties.ts"
import { digests } from "./recordings.ts"

describe("a broadcast server", () => {
  const told = { source: server, destination: Uint8Array.of(192, 0, 2, 255) }
  const BROADCAST_ID = 815
  /** A list of ids as the server would make one, and its values with its signature. */
  const listOf = (host: AutokeyHost, start: number, at = NOW) => {
    const list = KeyList.make(new SessionKeys(digests, "MD5"), told, PUBLIC_COOKIE, start, 8)
    const values = signValue(host.signer, NTP(at), NTP(at), encodeAutokeyValues(list.values))
    return { list, values }
  }
  const telling = (association: AutokeyAssociation, keyId: number, values?: AutokeyValue) => {
    const bytes = new Uint8Array(2_048)
    const field = { operation: AutokeyOperation.autokey, isResponse: true, isError: false, associationId: BROADCAST_ID }
    const written = values === undefined ? 0 : writeAutokeyField(bytes, HEADER_BYTES, { ...field, content: values })
    const end = HEADER_BYTES + written
    const packet = bytes.slice(0, new SessionKeys(digests, "MD5").append(bytes, end, told, keyId, PUBLIC_COOKIE))
    const decoded = decodeAutokeyPacket(packet)
    if (typeof decoded === "string") throw new Error(decoded)
    return association.receiveTold(packet, decoded, { pair: told, now: NOW, pollSeconds: 64 })
  }
  /** The exchange of a client that was told the time, up to the key list's values. */
  const follow = () => {
    const alice = hostOf("alice", { kind: "trusted" })
    const { list, values } = listOf(alice, 0x4242_4242)
    const autokeyValues = (id: number) => (id === BROADCAST_ID ? values : undefined)
    const party = partyWith(alice, { ...computing, leapSeconds: LEAP, autokeyValues })
    const bob = partyOf(hostOf("bob", { key: 1 }))
    const parts = { ...bob, ...computing, randomWord, group: undefined, record: () => {} }
    const association = new AutokeyAssociation({ ...parts, mode: "broadcast", broadcastId: BROADCAST_ID }, 4_711)
    return { alice, list, association, run: () => run(association, party) }
  }

  it("is asked for the list of its broadcasts, and believed by it alone", () => {
    const { list, association, run: ask } = follow()
    const first = list.take()!
    expect(telling(association, first)).toMatchObject({ isAuthentic: true, isTimeUsable: false })
    expect(ask().asked).toEqual(["association", "certificate", "cookie", "autokey", "sign", "leap-seconds"])
    expect(telling(association, first)).toMatchObject({ isAuthentic: true, isTimeUsable: true })
    // One is lost on its way.
    list.take()
    expect(telling(association, list.take()!)).toMatchObject({ isTimeUsable: true })
  })

  it("is not believed under an id that belongs to no list: anybody can make such a MAC", () => {
    const { association, run: ask } = follow()
    ask()
    expect(telling(association, 0x7777_7777)).toMatchObject({ isAuthentic: true, isTimeUsable: false })
  })

  it("begins another list with values that it signed, and nobody else can", () => {
    const { alice, association, run: ask } = follow()
    ask()
    const mallory = listOf(hostOf("mallory", { kind: "trusted", key: 2 }), 0x1111_1111, NOW + 5)
    expect(telling(association, mallory.list.take()!, mallory.values).isTimeUsable).toBe(false)
    const next = listOf(alice, 0x2222_2222, NOW + 10)
    expect(telling(association, next.list.take()!, next.values).isTimeUsable).toBe(true)
    expect(telling(association, next.list.take()!).isTimeUsable).toBe(true)
  })

  it("begins each list with its values, and says its name in all other packets", () => {
    const host = hostOf("alice", { kind: "trusted" })
    const pair = told
    const broadcaster = new AutokeyBroadcaster({ host, digests, randomWord, associationId: BROADCAST_ID, pair })
    const sessionKeys = new SessionKeys(digests, "MD5")
    expect(broadcaster.values).toBeUndefined()
    const all = Array.from({ length: 130 }, (_, count) => {
      const bytes = new Uint8Array(1_024)
      // 64 s between packets: a list lasts for 64 of them.
      const length = broadcaster.write(bytes, HEADER_BYTES, broadcaster.prepare(NOW + 64 * count, 64, true))
      const packet = bytes.slice(0, length)
      const decoded = decodeAutokeyPacket(packet)
      if (typeof decoded === "string") throw new Error(decoded)
      const [field] = decoded.fields
      return { keyId: decoded.keyId, field: field!, values: broadcaster.values!, packet, macOffset: decoded.macOffset }
    })
    const fields = { isResponse: true, isError: false, associationId: BROADCAST_ID }
    const name = new TextEncoder().encode("alice")
    for (const { packet, macOffset, field } of all) {
      expect(sessionKeys.verify(packet, macOffset, pair, PUBLIC_COOKIE)).toBe(true)
      expect(field).toMatchObject(fields)
    }
    const begins = (index: number): boolean => index % 64 === 0
    for (const { field, values, keyId } of all.filter((_, index) => begins(index))) {
      expect(field).toMatchObject({ operation: AutokeyOperation.autokey, content: values })
      const key = publicKeyOf(host.certificate, nodeRsa)!
      expect(signatureFault(field.content!, key, host.signer.scheme)).toBeUndefined()
      const { keyId: end } = decodeAutokeyValues(field.content!.value)!
      expect(followsInChain(sessionKeys, pair, PUBLIC_COOKIE, keyId, [end], 0)).toBe(0)
    }
    for (const [index, { field, keyId }] of all.entries()) {
      if (begins(index)) continue
      const content = { filestamp: 0x8_0003, value: name }
      expect(field).toMatchObject({ operation: AutokeyOperation.association, content })
      const { keyId: before } = all[index - 1]!
      expect(followsInChain(sessionKeys, pair, PUBLIC_COOKIE, keyId, [before], 0)).toBe(0)
    }
  })
})
