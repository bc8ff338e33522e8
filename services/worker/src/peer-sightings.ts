/**
 * Peers that were answered and that the clock's process may want to know, until the next message to it: one entry an
 * address, in memory that is there from the start. Noting one is part of the packet line and allocates nothing.
 */
import { addressText, socketAddressPort, socketAddressText } from "@meridian/udp/socket-address"
import { ADDRESS_STRIDE, LOCAL_ADDRESS_STRIDE, SLOT_STRIDE, type UdpSocket } from "@meridian/udp/udp"
import { MOST_SIGHTINGS, type PeerSighting, type PeersSeen } from "@meridian/ipc/peer-sighting"
import { HEADER_BYTES, Offset, versionOf } from "@meridian/wire/ntp"

/** What a peer is told by: family, port and address, and an IPv6 zone, lie in as many bytes of a sockaddr. */
const SAME_BYTES = { 4: 8, 6: 28 } as const

export class PeerSightings {
  private readonly addresses = new Uint8Array(MOST_SIGHTINGS * ADDRESS_STRIDE)
  private readonly locals = new Uint8Array(MOST_SIGHTINGS * LOCAL_ADDRESS_STRIDE)
  private readonly families = new Uint8Array(MOST_SIGHTINGS)
  private readonly localPorts = new Uint16Array(MOST_SIGHTINGS)
  private readonly keyIds = new Uint32Array(MOST_SIGHTINGS)
  private readonly versions = new Uint8Array(MOST_SIGHTINGS)
  private readonly polls = new Int8Array(MOST_SIGHTINGS)
  private count = 0
  private overlooked = 0

  /** The peer whose packet came to a slot and whose keyed reply stands there now, with its version, poll and key id. */
  note({ family, port, addresses, localAddresses, bytes, view }: UdpSocket, slot: number): void {
    const from = slot * ADDRESS_STRIDE
    const length = SAME_BYTES[family]
    let entry = 0
    while (entry < this.count && !isSame(this.addresses, entry * ADDRESS_STRIDE, addresses, from, length)) entry += 1
    if (entry === MOST_SIGHTINGS) {
      this.overlooked += 1
      return
    }
    if (entry === this.count) this.count += 1
    copy(this.addresses, entry * ADDRESS_STRIDE, addresses, from, ADDRESS_STRIDE)
    copy(this.locals, entry * LOCAL_ADDRESS_STRIDE, localAddresses, slot * LOCAL_ADDRESS_STRIDE, LOCAL_ADDRESS_STRIDE)
    this.families[entry] = family
    this.localPorts[entry] = port
    const reply = slot * SLOT_STRIDE
    this.keyIds[entry] = view.getUint32(reply + HEADER_BYTES)
    this.versions[entry] = versionOf(bytes[reply]!)
    this.polls[entry] = view.getInt8(reply + Offset.poll)
  }

  /** All that were noted since the last time; undefined where there are none. */
  take(): PeersSeen | undefined {
    if (this.count === 0) return undefined
    const peers = Array.from({ length: this.count }, (_, entry) => this.sighting(entry))
    const { overlooked } = this
    this.count = 0
    this.overlooked = 0
    return { type: "peers-seen", peers, overlooked }
  }

  private sighting(entry: number): PeerSighting {
    const family = this.families[entry] === 6 ? 6 : 4
    const at = entry * LOCAL_ADDRESS_STRIDE
    const isKnown = this.locals.subarray(at, at + LOCAL_ADDRESS_STRIDE).some((byte) => byte !== 0)
    return {
      address: socketAddressText(this.addresses, entry * ADDRESS_STRIDE, family),
      port: socketAddressPort(this.addresses, entry * ADDRESS_STRIDE),
      localAddress: isKnown ? addressText(this.locals, at, family) : null,
      localPort: this.localPorts[entry]!,
      keyId: this.keyIds[entry]!,
      version: this.versions[entry]!,
      poll: this.polls[entry]!
    }
  }
}

const isSame = (a: Uint8Array, atA: number, b: Uint8Array, atB: number, length: number): boolean => {
  for (let index = 0; index < length; index += 1) if (a[atA + index] !== b[atB + index]) return false
  return true
}

const copy = (to: Uint8Array, at: number, from: Uint8Array, start: number, length: number): void => {
  for (let index = 0; index < length; index += 1) to[at + index] = from[start + index]!
}
