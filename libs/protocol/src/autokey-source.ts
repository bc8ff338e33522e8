/** An association authenticated by Autokey (RFC 5906): the exchange of credentials rides on the association's own packets. */
import type { AutokeyAssociation, PacketContext } from "@meridian/auth/autokey/association"
import { decodeAutokeyPacket, LONGEST_AUTOKEY_FIELD } from "@meridian/wire/autokey-fields"
import { HEADER_BYTES, leapOf, Offset } from "@meridian/wire/ntp"
import type { AssociationAuthentication, Authenticity, Sealed } from "./association-authentication.ts"

/** What an Autokey source is handed. Addresses are 4 or 16 octets. */
interface AutokeySurroundings {
  /** The exchange; undefined as long as there are no credentials. Another one after they have changed. */
  readonly association: () => AutokeyAssociation | undefined
  /** The address that packets leave from; undefined until it is known. It is part of every key. */
  readonly local: () => Uint8Array | undefined
  readonly remote: Uint8Array
  /** Where the other side tells the time to many; absent where it does not. */
  readonly told?: Uint8Array
  /** Served time, Unix seconds; undefined where this node is not synchronised. */
  readonly now: () => number | undefined
}

/** The longest packet of ours: header, an answer, a request with a certificate as long as they may be and a signature of 4096 bits, MAC. */
const LONGEST_PACKET = HEADER_BYTES + 2 * LONGEST_AUTOKEY_FIELD + 536 + 24
const LEAP_UNSYNCHRONISED = 3
/** Authentic packets of a symmetric peer in a row that do not answer ours: it hears us and drops what it hears. */
const UNHEARD_BEFORE_ECHO = 2
/** Packets in a row without an authentic answer after which the exchange begins anew, as in the reference. */
const RESTARTED_AFTER = 8

export class AutokeySource implements AssociationAuthentication {
  readonly kind = "autokey"
  private readonly surroundings: AutokeySurroundings
  /** The transmit timestamp of the packet heard last. Servers answer at length only to who echoes it. */
  private heard = new Uint8Array(8)
  private isPeerSynchronised = false
  private unanswered = 0
  /** Our last packet's receive and transmit timestamps: one of them is the origin of what answers it. */
  private sent = new Uint8Array(16)
  private unheard = 0

  constructor(surroundings: AutokeySurroundings) {
    this.surroundings = surroundings
  }

  seal(header: Uint8Array): Sealed {
    const association = this.surroundings.association()
    const local = this.surroundings.local()
    if (association === undefined || local === undefined) return { _tag: "NoKey" }
    this.unanswered += 1
    if (this.unanswered > RESTARTED_AFTER) {
      association.restart()
      this.unanswered = 1
    }
    const packet = new Uint8Array(LONGEST_PACKET)
    packet.set(header)
    const origin = packet.subarray(Offset.origin, Offset.origin + 8)
    if (origin.every((octet) => octet === 0)) origin.set(this.heard)
    const poll = new DataView(header.buffer, header.byteOffset).getInt8(Offset.poll)
    const context = this.context(local, this.surroundings.remote, 2 ** poll)
    const length = association.write(packet, HEADER_BYTES, context, this.isPeerSynchronised)
    this.sent = packet.slice(Offset.receive, Offset.receive + 16)
    return { _tag: "Sealed", bytes: packet.subarray(0, length) }
  }

  judge(packet: Uint8Array): Authenticity {
    const association = this.surroundings.association()
    const local = this.surroundings.local()
    if (association === undefined || local === undefined) return "not-authenticated"
    if (packet.length === HEADER_BYTES + 4) {
      // The server has another secret than our cookie was made with. Nobody signed that, but it echoes our packet.
      association.restart()
      return "crypto-nak"
    }
    const decoded = decodeAutokeyPacket(packet)
    if (typeof decoded === "string") return decoded === "key-id" ? "not-authenticated" : "malformed"
    const received = association.receive(packet, decoded, this.context(this.surroundings.remote, local, 1))
    if (!received.isAuthentic) return "forged"
    this.unanswered = 0
    this.unheard = this.isAnswer(packet) ? 0 : this.unheard + 1
    if (this.unheard >= UNHEARD_BEFORE_ECHO) association.echoKeyIds()
    this.heard = packet.slice(Offset.transmit, Offset.transmit + 8)
    this.isPeerSynchronised = leapOf(packet[Offset.flags]!) !== LEAP_UNSYNCHRONISED
    return received.isTimeUsable ? "authentic" : "autokey-incomplete"
  }

  private isAnswer(packet: Uint8Array): boolean {
    const { sent } = this
    const [receive, transmit] = [sent.subarray(0, 8), sent.subarray(8)]
    return [receive, transmit].some((stamp) => stamp.every((octet, index) => octet === packet[Offset.origin + index]))
  }

  judgeTold(packet: Uint8Array): Authenticity {
    const association = this.surroundings.association()
    const { remote, told } = this.surroundings
    if (association === undefined || told === undefined) return "not-authenticated"
    const decoded = decodeAutokeyPacket(packet)
    if (typeof decoded === "string") return decoded === "key-id" ? "not-authenticated" : "malformed"
    const received = association.receiveTold(packet, decoded, this.context(remote, told, 1))
    if (!received.isAuthentic) return "forged"
    return received.isTimeUsable ? "authentic" : "autokey-incomplete"
  }

  private context(source: Uint8Array, destination: Uint8Array, pollSeconds: number): PacketContext {
    return { pair: { source, destination }, now: this.surroundings.now(), pollSeconds }
  }
}
