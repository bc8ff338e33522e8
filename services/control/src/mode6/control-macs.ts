/** MACs of control messages: a key id and a digest behind the padded data, as behind an NTP header. */
import type { KeyTable } from "@meridian/auth/key-table"
import { CUT_DIGEST_BYTES, type DigestPort, equalRange, KEY_ID_BYTES, MAXIMUM_DIGEST_BYTES } from "@meridian/auth/mac"
import type { SymmetricKey } from "@meridian/auth/key-table"
import type { ControlRequest } from "@meridian/wire/mode6"

interface ProvedBy {
  readonly key: SymmetricKey
  /** Key id included: an answer's MAC is as long as its request's. */
  readonly macLength: number
}

/** `none`: nothing follows the data. `bad`: something that proves nothing. */
export type ControlProof = ProvedBy | "none" | "bad"

export class ControlMacs {
  readonly counts = { made: 0, verified: 0, failed: 0 }
  readonly #port: DigestPort
  readonly #digest = new Uint8Array(MAXIMUM_DIGEST_BYTES)

  constructor(port: DigestPort) {
    this.#port = port
  }

  /** Tries each place where a MAC may begin: classic ntpq and NTPsec's pad to 8 octets, later ones to 4. */
  verify(packet: Uint8Array, request: ControlRequest, keys: KeyTable): ControlProof {
    if (request.macOffsets.length === 0) return "none"
    for (const offset of request.macOffsets) {
      const proof = this.#verifyAt(packet, offset, keys)
      if (proof === undefined) continue
      this.counts.verified += 1
      return proof
    }
    this.counts.failed += 1
    return "bad"
  }

  /** The packet with a MAC behind it. */
  append(packet: Uint8Array, { key, macLength }: ProvedBy): Uint8Array<ArrayBuffer> {
    const signed = new Uint8Array(packet.length + macLength)
    signed.set(packet)
    new DataView(signed.buffer).setUint32(packet.length, key.id)
    this.#port.digest(key.algorithm.name, key.secret, packet, 0, packet.length, this.#digest)
    signed.set(this.#digest.subarray(0, macLength - KEY_ID_BYTES), packet.length + KEY_ID_BYTES)
    this.counts.made += 1
    return signed
  }

  #verifyAt(packet: Uint8Array, offset: number, keys: KeyTable): ProvedBy | undefined {
    const id = new DataView(packet.buffer, packet.byteOffset, packet.byteLength).getUint32(offset)
    const key = keys.get(id)
    if (key === undefined || !keys.isTrusted(id)) return undefined
    const { name, digestBytes } = key.algorithm
    const length = packet.length - offset - KEY_ID_BYTES
    if (length !== digestBytes && length !== Math.min(digestBytes, CUT_DIGEST_BYTES)) return undefined
    this.#port.digest(name, key.secret, packet, 0, offset, this.#digest)
    return equalRange(packet, offset + KEY_ID_BYTES, this.#digest, length)
      ? { key, macLength: packet.length - offset }
      : undefined
  }
}
