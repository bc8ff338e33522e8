/**
 * Manycast by Autokey (RFC 5906 §11): the request to a group and its answer carry association messages, keyed for everybody.
 * They prove nothing but who is meant; whoever is found so is asked by himself, and proves himself then.
 */
import { randomInt } from "node:crypto"
import type { AutokeyHost } from "@meridian/auth/autokey/host"
import { hostStatus } from "@meridian/auth/autokey/host"
import type { Responder } from "@meridian/auth/autokey/responder"
import { PUBLIC_COOKIE, type SessionKeys } from "@meridian/auth/autokey/session-key"
import { stampOf, unsignedValue } from "@meridian/auth/autokey/signed-value"
import { addressOctets } from "@meridian/udp/socket-address"
import {
  AutokeyOperation,
  decodeAutokeyPacket,
  HIGHEST_SYMMETRIC_KEY_ID,
  writeAutokeyField
} from "@meridian/wire/autokey-fields"
import { HEADER_BYTES } from "@meridian/wire/ntp"

/** A header, an association message with the longest name, a MAC. */
const LONGEST_PACKET = 512

/** One request to a group. */
export class AutokeySearch {
  private readonly host: AutokeyHost
  private readonly keys: SessionKeys
  private readonly group: Uint8Array
  private readonly own: Uint8Array
  private readonly stamp: number
  private readonly keyId = randomInt(HIGHEST_SYMMETRIC_KEY_ID + 1, 2 ** 32)
  private readonly associationId = randomInt(1, 65_536)

  /**
   * @param own the address of ours that the request leaves from
   * @param now served time, Unix seconds; undefined where this node is not synchronised
   */
  constructor(host: AutokeyHost, keys: SessionKeys, group: string, own: string, now: number | undefined) {
    this.host = host
    this.keys = keys
    this.group = addressOctets(group)
    this.own = addressOctets(own)
    this.stamp = stampOf(now)
  }

  seal(header: Uint8Array): Uint8Array {
    const packet = new Uint8Array(LONGEST_PACKET)
    packet.set(header)
    const name = new TextEncoder().encode(this.host.name)
    const field = {
      operation: AutokeyOperation.association,
      isResponse: false,
      isError: false,
      associationId: this.associationId,
      content: unsignedValue(this.stamp, hostStatus(this.host, false), name)
    }
    const end = HEADER_BYTES + writeAutokeyField(packet, HEADER_BYTES, field)
    const pair = { source: this.own, destination: this.group }
    return packet.subarray(0, this.keys.append(packet, end, pair, this.keyId, PUBLIC_COOKIE))
  }

  /** Whether a packet from a server's own address answers the request. */
  isAnswer(packet: Uint8Array, address: string): boolean {
    const decoded = decodeAutokeyPacket(packet)
    if (typeof decoded === "string" || decoded.keyId !== this.keyId) return false
    const [field] = decoded.fields
    if (field?.operation !== AutokeyOperation.association || !field.isResponse || field.isError) return false
    const pair = { source: addressOctets(address), destination: this.own }
    return this.keys.verify(packet, decoded.macOffset, pair, PUBLIC_COOKIE)
  }
}

/** Seals an answer's header, from an address of ours. */
export type AutokeyAnswer = (header: Uint8Array, own: string) => Uint8Array

/**
 * The answer to a request that came to a group; undefined where it is none, or is another group's.
 * @param now served time, Unix seconds; undefined where this node is not synchronised
 */
export const answerSearch = (
  { responder, keys }: { readonly responder: Responder; readonly keys: SessionKeys },
  packet: Uint8Array,
  client: string,
  group: string,
  now: number | undefined
): AutokeyAnswer | undefined => {
  const decoded = decodeAutokeyPacket(packet)
  if (typeof decoded === "string") return undefined
  const { keyId, macOffset, fields } = decoded
  const [request, ...more] = fields
  if (request?.operation !== AutokeyOperation.association || more.length > 0) return undefined
  const destination = addressOctets(client)
  if (!keys.verify(packet, macOffset, { source: destination, destination: addressOctets(group) }, PUBLIC_COOKIE))
    return undefined
  const { field } = responder.answer(request, { cookie: PUBLIC_COOKIE, now })
  if (field === undefined || field.isError) return undefined
  return (header, own) => {
    const reply = new Uint8Array(LONGEST_PACKET)
    reply.set(header)
    const end = HEADER_BYTES + writeAutokeyField(reply, HEADER_BYTES, field)
    return reply.subarray(0, keys.append(reply, end, { source: addressOctets(own), destination }, keyId, PUBLIC_COOKIE))
  }
}
