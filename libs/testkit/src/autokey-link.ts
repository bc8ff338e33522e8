/**
 * A link between two parties of Autokey that loses, repeats, reorders and changes packets, by a seed. Whoever sits on it knows the
 * protocol: it makes lengths lie, takes fields from packets that it saw, forges its own, and gives what it changed a good MAC where
 * the key is public.
 */
import { type AddressPair, PUBLIC_COOKIE, type SessionKeys } from "@meridian/auth/autokey/session-key"
import { AutokeyOperation, writeAutokeyField } from "@meridian/wire/autokey-fields"
import { HEADER_BYTES } from "@meridian/wire/ntp"
import { randomStream } from "./sim-random.ts"

/** Whole numbers and choices of a seed. */
export class Dice {
  private readonly uniform: () => number

  constructor(seed: number) {
    this.uniform = randomStream(seed, "hostile link").uniform
  }

  /** 32 bits, as a number that is not negative. */
  readonly bits = (): number => this.below(2 ** 32)

  below(count: number): number {
    return Math.floor(this.uniform() * count)
  }

  /** Once in so many times. */
  once(inTimes: number): boolean {
    return this.below(inTimes) === 0
  }

  /** One of some. */
  of<A>(choices: readonly A[]): A {
    return choices[this.below(choices.length)]!
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.bits())
  }
}

const HOSTILE_WORDS = [0, 1, 3, 7, 8, 12, 24, 0x7f, 0xff, 0x7ff, 0x800, 0xffff, 0x7fff_ffff, 0xffff_ffff] as const
const MOST_SEEN = 24

export class HostileLink {
  private readonly dice: Dice
  private readonly keys: SessionKeys
  private readonly seen: Uint8Array[] = []
  private readonly held: Uint8Array[] = []
  /** Of 8 packets, how many come through as they are. */
  kindness = 5

  /** @param keys what the MACs of all can be made with */
  constructor(dice: Dice, keys: SessionKeys) {
    this.dice = dice
    this.keys = keys
  }

  /** What comes out of the link when a packet goes in. */
  pass(packet: Uint8Array, pair: AddressPair): readonly Uint8Array[] {
    const { dice, held } = this
    this.remember(packet)
    if (dice.below(8) < this.kindness) return [packet, ...held.splice(0)]
    switch (dice.below(6)) {
      case 0:
        return []
      case 1:
        return [packet, packet]
      case 2:
        held.push(packet)
        return []
      case 3:
        return [this.seen[dice.below(this.seen.length)]!, packet]
      case 4:
        return [this.changed(packet, pair), packet]
      default:
        return [this.changed(packet, pair)]
    }
  }

  private remember(packet: Uint8Array): void {
    if (this.seen.length < MOST_SEEN) this.seen.push(packet)
    else this.seen[this.dice.below(MOST_SEEN)] = packet
  }

  /** A packet changed in one to three places, with a MAC for everybody more often than not. */
  private changed(packet: Uint8Array, pair: AddressPair): Uint8Array {
    const { dice } = this
    if (dice.once(8)) return dice.bytes(dice.below(700))
    let bytes: Uint8Array = packet.slice()
    for (let places = 1 + dice.below(3); places > 0; places -= 1) bytes = this.damaged(bytes)
    return dice.once(4) ? bytes : this.sealed(bytes, pair)
  }

  private damaged(bytes: Uint8Array): Uint8Array {
    const { dice } = this
    if (bytes.length < HEADER_BYTES + 8) return bytes
    const view = new DataView(bytes.buffer)
    const within = HEADER_BYTES + dice.below(bytes.length - HEADER_BYTES)
    switch (dice.below(9)) {
      case 0:
        bytes[dice.below(bytes.length)]! ^= 1 << dice.below(8)
        return bytes
      case 1:
        bytes[within] = dice.bits()
        return bytes
      case 2:
        view.setUint32(Math.min(within & ~3, bytes.length - 4), dice.of(HOSTILE_WORDS))
        return bytes
      case 3:
        // Another operation, a request for a response and the other way round, an error.
        view.setUint8(HEADER_BYTES, dice.of([0x02, 0x82, 0x42, 0xc2, 0x03, 0x00]))
        view.setUint8(HEADER_BYTES + 1, dice.below(11))
        return bytes
      case 4:
        view.setUint16(HEADER_BYTES + 2, dice.of([0, 4, 8, 24, 28, 0x400, 0x800, 0x804, 0xffff]))
        return bytes
      case 5:
        // Stamps: not signed, long ago, far ahead; of an association message, its status word.
        if (bytes.length >= HEADER_BYTES + 24)
          view.setUint32(HEADER_BYTES + dice.of([8, 12, 16, 20]), dice.once(2) ? dice.bits() : dice.of(HOSTILE_WORDS))
        return bytes
      case 6:
        return bytes.slice(0, within & ~3)
      case 7:
        return this.withFieldOf(bytes, this.seen[dice.below(this.seen.length)]!)
      default:
        return this.forged(bytes)
    }
  }

  /** The header of one packet with the fields of another. */
  private withFieldOf(bytes: Uint8Array, other: Uint8Array): Uint8Array {
    return Uint8Array.of(...bytes.subarray(0, HEADER_BYTES), ...other.subarray(HEADER_BYTES))
  }

  /** A field that is well-formed and says nothing true. */
  private forged(bytes: Uint8Array): Uint8Array {
    const { dice } = this
    const field = {
      operation: dice.below(Object.keys(AutokeyOperation).length + 1),
      isResponse: dice.once(2),
      isError: dice.once(6),
      associationId: dice.of([0, 4_711, 815, dice.bits()]),
      content: dice.once(5)
        ? undefined
        : {
            timestamp: dice.of([0, 4_004_169_774, dice.bits()]),
            filestamp: dice.of([0, 0x0008_0001, 0x0008_0023, 4_004_169_774, dice.bits()]),
            value: dice.once(3)
              ? new TextEncoder().encode(dice.of(["alice", "bob", "mallory"]))
              : dice.bytes(dice.below(1_500)),
            signature: dice.bytes(dice.of([0, 4, 128, 256]))
          }
    }
    const out = new Uint8Array(HEADER_BYTES + 2_048)
    out.set(bytes.subarray(0, HEADER_BYTES))
    return out.slice(0, HEADER_BYTES + writeAutokeyField(out, HEADER_BYTES, field) + this.keys.macBytes)
  }

  /** The MAC that anybody can make, under the key id that stood in the packet or another. */
  private sealed(bytes: Uint8Array, pair: AddressPair): Uint8Array {
    const end = bytes.length - this.keys.macBytes
    if (end < HEADER_BYTES) return bytes
    const seen = this.seen.at(-1)!
    const of = this.dice.once(3) ? bytes : seen
    const keyId =
      of.length < HEADER_BYTES + 20 ? 0x6a61_934b : new DataView(of.buffer, of.byteOffset).getUint32(of.length - 20)
    this.keys.append(bytes, end, pair, Math.max(keyId, 65_536), PUBLIC_COOKIE)
    return bytes
  }
}
