/** Exchanges of an association with a party, packet by packet. */
import { decodeAutokeyPacket, writeAutokeyField } from "@meridian/wire/autokey-fields"
import { HEADER_BYTES } from "@meridian/wire/ntp"
import { AutokeyAssociation, type PacketContext } from "../../src/autokey/association.ts"
import type { GroupParameters } from "../../src/autokey/group-parameters.ts"
import type { AutokeyParty } from "../../src/autokey/party.ts"
import { PUBLIC_COOKIE, SessionKeys } from "../../src/autokey/session-key.ts"
import { client, client6, computing, NOW, randomWord, server, server6 } from "./parties.ts"
import { digests } from "./recordings.ts"

/** An association of a client with the server. @param lines what it would write to cryptostats */
export const associationOf = (party: AutokeyParty, group?: GroupParameters, lines: string[] = []) =>
  new AutokeyAssociation(
    {
      ...party,
      ...computing,
      randomWord,
      group,
      mode: "client",
      record: (line) => void lines.push(line)
    },
    4_711
  )

/** Sends the association's next packet to a party that has no memory of it, and takes the reply in. */
export const exchange = (
  association: AutokeyAssociation,
  to: AutokeyParty,
  now: number | undefined,
  six = false,
  serverNow = NOW
) => {
  const out = { source: six ? client6 : client, destination: six ? server6 : server }
  const back = { source: out.destination, destination: out.source }
  const context: PacketContext = { pair: out, now, pollSeconds: 64 }
  const outgoing = association.next(context)
  const request = new Uint8Array(2_048)
  let length = HEADER_BYTES
  for (const field of outgoing.fields) length += writeAutokeyField(request, length, field)
  length = association.seal(request, length, context, outgoing)
  const packet = decodeAutokeyPacket(request.slice(0, length))
  if (typeof packet === "string") throw new Error(packet)
  const sessionKeys = new SessionKeys(digests, to.host.digest)
  const cookie = sessionKeys.cookie(out, 0xdead_beef)
  const own = packet.fields.length > 0 ? PUBLIC_COOKIE : cookie
  const verified = sessionKeys.verify(request.slice(0, length), packet.macOffset, out, own)
  const reply = new Uint8Array(2_048)
  let replyLength = HEADER_BYTES
  const [field] = packet.fields
  const answer = field === undefined ? undefined : to.responder.answer(field, { cookie, now: serverNow })
  if (answer?.field !== undefined) replyLength += writeAutokeyField(reply, replyLength, answer.field)
  replyLength = sessionKeys.append(reply, replyLength, back, packet.keyId, own)
  const received = reply.slice(0, replyLength)
  const decoded = decodeAutokeyPacket(received)
  if (typeof decoded === "string") throw new Error(decoded)
  return {
    operation: field?.operation,
    reason: answer?.reason,
    verified,
    ...association.receive(received, decoded, { ...context, pair: back })
  }
}

/** Runs exchanges until nothing is asked any more; the client is synchronised after the first time it could use. */
export const run = (association: AutokeyAssociation, to: AutokeyParty, six = false, most = 20) => {
  const asked: string[] = []
  let now: number | undefined
  for (let turn = 0; turn < most; turn += 1) {
    const result = exchange(association, to, now, six)
    if (result.reason !== undefined) asked.push(result.reason)
    if (result.isTimeUsable) now = NOW
    if (result.operation === undefined && now !== undefined && turn > 8) break
  }
  return { asked, flags: association.status.toString(16), isSynchronised: now !== undefined }
}
