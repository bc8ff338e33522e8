/**
 * Session keys (RFC 5906 §6.1, §9.1): every packet has a key of its own, made of the two addresses, a key id that nobody else
 * can foretell and a cookie. Nothing of it is kept: both sides compute it anew.
 *
 * The digest is `crypto digest` of both sides, MD5 unless configured otherwise; it also makes the MACs, H(session key ‖ packet).
 */
import { HIGHEST_SYMMETRIC_KEY_ID } from "@meridian/wire/autokey-fields"
import { CUT_DIGEST_BYTES, type DigestPort, equalRange, KEY_ID_BYTES, MAXIMUM_DIGEST_BYTES } from "../symmetric/mac.ts"
import type { MacAlgorithmName } from "../symmetric/mac-algorithms.ts"

/** Packets with extension fields, and all of broadcast mode, are keyed with this cookie (RFC 5906 §11). */
export const PUBLIC_COOKIE = 0

/** Two addresses of one family, 4 or 16 octets each, in the packet's direction. */
export interface AddressPair {
  readonly source: Uint8Array
  readonly destination: Uint8Array
}

const NO_KEY = new Uint8Array(0)

/** Computes session keys with one digest. Its methods share memory: a key is valid until the next call. */
export class SessionKeys {
  /** Octets of a session key. */
  readonly keyBytes: number
  /** Octets of a MAC, key id included. */
  readonly macBytes: number
  private readonly port: DigestPort
  private readonly algorithm: MacAlgorithmName
  private readonly input = new Uint8Array(40)
  private readonly inputView = new DataView(this.input.buffer)
  private readonly key = new Uint8Array(MAXIMUM_DIGEST_BYTES)
  private readonly keyView = new DataView(this.key.buffer)
  /** The part of `key` that the digest fills. */
  private readonly filled: Uint8Array
  private readonly digest = new Uint8Array(MAXIMUM_DIGEST_BYTES)

  /** @throws RangeError for a digest that this platform lacks, and for a cipher */
  constructor(port: DigestPort, algorithm: MacAlgorithmName) {
    if (algorithm.startsWith("AES-") || !port.supports(algorithm))
      throw new RangeError(`expected a digest that this platform has for session keys, found ${algorithm}`)
    this.port = port
    this.algorithm = algorithm
    this.keyBytes = port.digest(algorithm, NO_KEY, this.input, 0, 16, this.key)
    this.filled = this.key.subarray(0, this.keyBytes)
    this.macBytes = KEY_ID_BYTES + Math.min(this.keyBytes, CUT_DIGEST_BYTES)
  }

  /** The session key of a packet. Valid until the next call. */
  sessionKey({ source, destination }: AddressPair, keyId: number, cookie: number): Uint8Array {
    const { input, inputView } = this
    const addresses = source.length + destination.length
    input.set(source, 0)
    input.set(destination, source.length)
    inputView.setUint32(addresses, keyId)
    inputView.setUint32(addresses + 4, cookie)
    this.port.digest(this.algorithm, NO_KEY, input, 0, addresses + 8, this.key)
    return this.filled
  }

  /** The first 32 bits of the session key: the id of the packet before, in a key list (RFC 5906 §9.2). */
  nextKeyId(pair: AddressPair, keyId: number, cookie: number): number {
    this.sessionKey(pair, keyId, cookie)
    return this.keyView.getUint32(0)
  }

  /**
   * The cookie that a server gives a client (RFC 5906 §11.4): computed from the client's address, the server's and 32 secret
   * bits each time it is needed.
   * @param client from the client to the server
   */
  cookie(client: AddressPair, serverSecret: number): number {
    return this.nextKeyId(client, 0, serverSecret)
  }

  /** Whether the MAC at `macOffset`, key id included, is that of the `macOffset` octets before it. Constant time for a length. */
  verify(packet: Uint8Array, macOffset: number, pair: AddressPair, cookie: number): boolean {
    if (packet.length - macOffset !== this.macBytes) return false
    const keyId = new DataView(packet.buffer, packet.byteOffset, packet.byteLength).getUint32(macOffset)
    if (keyId <= HIGHEST_SYMMETRIC_KEY_ID) return false
    const key = this.sessionKey(pair, keyId, cookie)
    this.port.digest(this.algorithm, key, packet, 0, macOffset, this.digest)
    return equalRange(packet, macOffset + KEY_ID_BYTES, this.digest, this.macBytes - KEY_ID_BYTES)
  }

  /** Writes key id and MAC behind the first `length` octets. Returns the packet's length. */
  append(packet: Uint8Array, length: number, pair: AddressPair, keyId: number, cookie: number): number {
    const key = this.sessionKey(pair, keyId, cookie)
    this.port.digest(this.algorithm, key, packet, 0, length, this.digest)
    new DataView(packet.buffer, packet.byteOffset, packet.byteLength).setUint32(length, keyId)
    packet.set(this.digest.subarray(0, this.macBytes - KEY_ID_BYTES), length + KEY_ID_BYTES)
    return length + this.macBytes
  }
}
