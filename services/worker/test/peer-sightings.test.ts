/** Peers between two messages to the clock's process. */
import { describe, expect, it } from "vitest"
import { writeAddress, writeSocketAddress } from "@meridian/udp/socket-address"
import { ADDRESS_STRIDE, BATCH_CAPACITY, LOCAL_ADDRESS_STRIDE, SLOT_STRIDE, type UdpSocket } from "@meridian/udp/udp"
import { MOST_SIGHTINGS } from "@meridian/ipc/peer-sighting"
import { PeerSightings } from "../src/peer-sightings.ts"

interface Reply {
  readonly from: string
  readonly port?: number
  readonly to?: string
  readonly keyId?: number
  readonly poll?: number
}

/** As a worker's socket stands after a batch whose first slot was answered under a key. */
const socketWith = ({ from, port = 123, to, keyId = 5, poll = 6 }: Reply): UdpSocket => {
  const bytes = new Uint8Array(BATCH_CAPACITY * SLOT_STRIDE)
  const view = new DataView(bytes.buffer)
  bytes[0] = (4 << 3) | 2
  view.setInt8(2, poll)
  view.setUint32(48, keyId)
  const addresses = new Uint8Array(BATCH_CAPACITY * ADDRESS_STRIDE)
  writeSocketAddress(addresses, 0, from, port)
  const localAddresses = new Uint8Array(BATCH_CAPACITY * LOCAL_ADDRESS_STRIDE)
  if (to !== undefined) writeAddress(localAddresses, 0, to)
  const family = from.includes(":") ? 6 : 4
  return { family, port: 11_123, bytes, view, addresses, localAddresses } as unknown as UdpSocket
}

describe("sightings of peers", () => {
  it("say who came, to which address and under which key", () => {
    const sightings = new PeerSightings()
    expect(sightings.take()).toBeUndefined()
    sightings.note(socketWith({ from: "192.0.2.1", to: "192.0.2.2" }), 0)
    sightings.note(socketWith({ from: "2001:DB8:0:0::1", port: 1123, keyId: 65_535, poll: -3 }), 0)
    expect(sightings.take()).toEqual({
      type: "peers-seen",
      peers: [
        {
          address: "192.0.2.1",
          port: 123,
          localAddress: "192.0.2.2",
          localPort: 11_123,
          keyId: 5,
          version: 4,
          poll: 6
        },
        {
          address: "2001:db8::1",
          port: 1123,
          localAddress: null,
          localPort: 11_123,
          keyId: 65_535,
          version: 4,
          poll: -3
        }
      ],
      overlooked: 0
    })
    expect(sightings.take()).toBeUndefined()
  })

  it("are one an address and port, the newest", () => {
    const sightings = new PeerSightings()
    for (const poll of [6, 7, 8]) sightings.note(socketWith({ from: "192.0.2.1", poll }), 0)
    sightings.note(socketWith({ from: "192.0.2.1", port: 124 }), 0)
    expect(sightings.take()?.peers.map(({ port, poll }) => [port, poll])).toEqual([
      [123, 8],
      [124, 6]
    ])
  })

  it("are so many and no more; the rest is counted", () => {
    const sightings = new PeerSightings()
    const socket = socketWith({ from: "10.0.0.0" })
    for (let index = 0; index < 10_000; index += 1) {
      writeSocketAddress(socket.addresses, 0, `10.0.${index >> 8}.${index & 255}`, 123)
      sightings.note(socket, 0)
    }
    sightings.note(socketWith({ from: "10.0.0.1" }), 0)
    const seen = sightings.take()
    expect(seen?.peers).toHaveLength(MOST_SIGHTINGS)
    expect(seen?.overlooked).toBe(10_000 - MOST_SIGHTINGS)
  })

  it("keep the zone of a link-local address", () => {
    const socket = socketWith({ from: "fe80::1" })
    new DataView(socket.addresses.buffer).setUint32(24, 3, true)
    const sightings = new PeerSightings()
    sightings.note(socket, 0)
    expect(sightings.take()?.peers[0]?.address).toBe("fe80::1%3")
  })
})
