/**
 * Autokey's two sides behind the decoder: a server and a client at each stage of an exchange get a field with a good MAC, as whoever
 * is on the path can make one. Neither throws, no answer is longer than a field, and no time is believed.
 */
import assert from "node:assert/strict"
import { generateKeyPairSync, randomInt } from "node:crypto"
import { AutokeyAssociation } from "../../../libs/auth/src/autokey/association.ts"
import { issueHostCertificate } from "../../../libs/auth/src/autokey/certificate-issue.ts"
import { noParameters } from "../../../libs/auth/src/autokey/group-parameters.ts"
import { openParty } from "../../../libs/auth/src/autokey/party.ts"
import { PUBLIC_COOKIE, SessionKeys } from "../../../libs/auth/src/autokey/session-key.ts"
import { schemeByName } from "../../../libs/auth/src/autokey/signature-schemes.ts"
import { nobleCmac } from "../../../libs/auth/src/symmetric/cmac-noble.ts"
import { nodeRsa } from "../../../libs/ciphers/src/autokey-rsa.ts"
import { nodeDigests } from "../../../libs/ciphers/src/digests.ts"
import {
  type AutokeyField,
  autokeyFieldLength,
  decodeAutokeyPacket,
  LONGEST_AUTOKEY_FIELD,
  writeAutokeyField
} from "../../../libs/wire/src/autokey-fields.ts"
import { HEADER_BYTES } from "../../../libs/wire/src/ntp.ts"
import { recordedPackets } from "../recorded-packets.ts"

/** The fields of recorded packets: every one is a stage's, and the first octet says which stage gets it. */
export const seeds = (root: string): readonly Uint8Array[] =>
  recordedPackets(root)
    .filter((packet) => typeof decodeAutokeyPacket(packet) !== "string" && packet.length > HEADER_BYTES + 24)
    .map((packet, index) => Uint8Array.of(index, ...packet.subarray(HEADER_BYTES, -20)))

const NOW = 1_795_180_974
const STAMP = 4_004_169_774
const digests = nodeDigests(nobleCmac)
const keys = new SessionKeys(digests, "MD5")
const there = { source: Uint8Array.of(10, 77, 0, 2), destination: Uint8Array.of(10, 77, 0, 1) }
const back = { source: there.destination, destination: there.source }

const partyOf = (name: string, kind: "trusted" | "plain") => {
  const hostKey = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey.export({
    type: "pkcs8",
    format: "der"
  })
  const about = { name, serial: STAMP, from: NOW - 1_000, lifetimeSeconds: 31_536_000, kind, gqPublic: undefined }
  const certificate = issueHostCertificate(about, nodeRsa.openPrivateKey(hostKey)!, schemeByName("RSA-MD5")!)
  const stamps = { hostFilestamp: STAMP, certificateFilestamp: STAMP }
  const leapSeconds = { taiOffset: 37, lastLeap: 3_692_217_600, expiry: 4_023_216_000 }
  const party = openParty(
    { hostKey, signKey: undefined, certificate, identity: [], digest: "MD5", ...stamps },
    { rsa: nodeRsa, digests, randomBelow: () => 1n, leapSeconds, autokeyValues: () => undefined }
  )
  if ("_tag" in party) throw new Error(party.message)
  return party
}
const [alice, bob] = [partyOf("alice", "trusted"), partyOf("bob", "plain")]
const context = { pair: there, now: NOW, pollSeconds: 64 }

const associationOf = (mode: "client" | "symmetric") =>
  new AutokeyAssociation(
    {
      ...bob,
      rsa: nodeRsa,
      digests,
      randomBelow: () => 1n,
      randomWord: () => randomInt(2 ** 32),
      group: undefined,
      mode,
      record: () => {}
    },
    4_711
  )

/** A datagram to or from the server, under everybody's key. */
const packetOf = (fields: Uint8Array, keyId: number, pair: typeof there): Uint8Array => {
  const end = HEADER_BYTES + fields.length
  const bytes = new Uint8Array(end + keys.macBytes)
  bytes.set(fields, HEADER_BYTES)
  keys.append(bytes, end, pair, keyId, PUBLIC_COOKIE)
  return bytes
}

const octetsOf = (field: AutokeyField): Uint8Array => {
  const bytes = new Uint8Array(autokeyFieldLength(field))
  writeAutokeyField(bytes, 0, field)
  return bytes
}

/** What a client knows before each of its questions, and when all were answered. */
const client = associationOf("client")
const stages = Array.from({ length: 7 }, () => {
  const before = { ...client.state }
  const { fields, keyId } = client.next(context)
  const answer = fields[0] && alice.responder.answer(fields[0], { cookie: 0x1234_5678, now: NOW }).field
  const bytes = packetOf(answer === undefined ? new Uint8Array(0) : octetsOf(answer), keyId, back)
  const packet = decodeAutokeyPacket(bytes)
  if (typeof packet !== "string") client.receive(bytes, packet, { ...context, pair: back })
  return before
})
const peer = associationOf("symmetric")
const PEER = stages.length

export const fuzz = (data: Buffer): void => {
  const stage = (data[0] ?? 0) % (PEER + 1)
  const fields = data.subarray(1, 1 + ((data.length - 1) & ~3))
  const association = stage === PEER ? peer : client
  const known = stages[stage]
  if (known !== undefined)
    Object.assign(client.state, known, { parts: { ...known.parts, group: data[0]! > 127 ? noParameters : undefined } })
  const { keyId } = association.next(context)
  const bytes = packetOf(fields, keyId, back)
  const packet = decodeAutokeyPacket(bytes)
  if (typeof packet === "string") return
  for (const field of packet.fields) {
    const answer = alice.responder.answer(field, { cookie: 7, now: NOW })
    const length = answer.field === undefined ? 0 : autokeyFieldLength(answer.field)
    assert(length <= LONGEST_AUTOKEY_FIELD && (answer.field?.isError !== true || length === 8), answer.reason)
  }
  const received = association.receive(bytes, packet, { ...context, pair: back })
  if (association === client) assert(!received.isTimeUsable)
  // A symmetric peer may have a request to answer.
  const sent = new Uint8Array(HEADER_BYTES + 3 * LONGEST_AUTOKEY_FIELD)
  assert(association.write(sent, HEADER_BYTES, context, true) <= sent.length)
}
