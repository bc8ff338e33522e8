/**
 * The side that tells the time to many (RFC 5906 §11.5): each packet is keyed for everybody, with the address of all as its
 * destination, and a key list of the server's own goes through. The first packet of a list carries its signed values; each
 * other one says who speaks, so that whoever hears it knows whom to ask for the rest.
 */
import {
  type AutokeyField,
  AutokeyOperation,
  type AutokeyValue,
  encodeAutokeyValues,
  writeAutokeyField
} from "@meridian/wire/autokey-fields"
import type { DigestPort } from "../symmetric/mac.ts"
import { type AutokeyHost, hostStatus } from "./host.ts"
import { KeyList, keyListLength } from "./key-list.ts"
import { type AddressPair, PUBLIC_COOKIE, SessionKeys } from "./session-key.ts"
import { signValue, stampOf, unsignedValue } from "./signed-value.ts"

interface BroadcasterParts {
  readonly host: AutokeyHost
  readonly digests: DigestPort
  /** 32 random bits. */
  readonly randomWord: () => number
  /** 16 bits, not 0: by which the values of the list are asked for. */
  readonly associationId: number
  /** From the server to the broadcast address or the group. */
  readonly pair: AddressPair
}

/** What goes behind the next packet's header. */
interface Prepared {
  readonly field: AutokeyField
  readonly keyId: number
}

export class AutokeyBroadcaster {
  /** What the list in use is checked against, signed; undefined before the first packet. */
  values: AutokeyValue | undefined
  private readonly parts: BroadcasterParts
  private readonly keys: SessionKeys
  private list: KeyList | undefined

  constructor(parts: BroadcasterParts) {
    this.parts = parts
    this.keys = new SessionKeys(parts.digests, parts.host.digest)
  }

  /**
   * Makes the next packet ready, which may cost a signature: to be called before the packet's time is taken.
   * @param now served time, Unix seconds: who has none tells nothing
   * @param pollSeconds between packets
   * @param hasLeapTable whether this host gives leap seconds to who asks
   */
  prepare(now: number, pollSeconds: number, hasLeapTable: boolean): Prepared {
    const isNew = this.list === undefined || this.list.isSpent
    const list = isNew ? this.makeList(now, pollSeconds) : this.list!
    const field = isNew
      ? this.response(AutokeyOperation.autokey, this.values!)
      : this.response(AutokeyOperation.association, this.name(now, hasLeapTable))
    return { field, keyId: list.take()! }
  }

  /** Writes field, key id and MAC of a packet behind its header. Returns the packet's length. */
  write(packet: Uint8Array, headerLength: number, { field, keyId }: Prepared): number {
    const end = headerLength + writeAutokeyField(packet, headerLength, field)
    return this.keys.append(packet, end, this.parts.pair, keyId, PUBLIC_COOKIE)
  }

  private makeList(now: number, pollSeconds: number): KeyList {
    const { host, pair, randomWord } = this.parts
    const list = KeyList.begin(this.keys, pair, PUBLIC_COOKIE, randomWord, keyListLength(pollSeconds))
    const stamp = stampOf(now)
    this.values = signValue(host.signer, stamp, stamp, encodeAutokeyValues(list.values))
    this.list = list
    return list
  }

  private name(now: number, hasLeapTable: boolean): AutokeyValue {
    const { host } = this.parts
    return unsignedValue(stampOf(now), hostStatus(host, hasLeapTable), new TextEncoder().encode(host.name))
  }

  private response(operation: number, content: AutokeyValue): AutokeyField {
    return { operation, isResponse: true, isError: false, associationId: this.parts.associationId, content }
  }
}
