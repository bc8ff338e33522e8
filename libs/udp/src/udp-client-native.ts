/** The client's UDP port over the C addon: arrivals and departures as the kernel stamped them. */
import type { UnixTime } from "@meridian/time/timestamp"
import { errnoName, type NativeAddon, type NativeUdpClientHandle } from "@meridian/system/native"
import * as onUse from "@meridian/system/on-use"
import {
  checkDestination,
  checkUdpClientOptions,
  CLIENT_DATAGRAM_BYTES,
  describe,
  endpointText,
  joinAll,
  type UdpClientEvent,
  type UdpClientOptions,
  type UdpClientSocket,
  udpClientError,
  type UdpEndpoint
} from "./udp-client.ts"

/** What a socket is for, as the addon counts it. */
const ASKS = 0
const TELLS = 1
const HEARS = 2
const NOWHERE = { address: "", port: 0 }

/** What NativeUdpClientHandle.receive returns, and where its numbers are. */
const DATAGRAM = 1
const TRANSMITTED = 2
const FAILED = 3
const NUMBERS = { length: 0, seconds: 1, nanoseconds: 2, sequence: 3, port: 4 } as const

/** Opens a socket by the C addon. Throws UdpClientError. */
export const openUdpClientNative = (addon: NativeAddon, options: UdpClientOptions): UdpClientSocket => {
  checkUdpClientOptions(options)
  const { remote, local, tells, hears } = options
  const purpose = tells !== undefined ? TELLS : hears !== undefined ? HEARS : ASKS
  const [ours, theirs] = [local ?? NOWHERE, remote ?? NOWHERE]
  let handle: NativeUdpClientHandle | undefined
  try {
    const { UdpClientHandle } = addon
    handle = new UdpClientHandle(ours.address, ours.port, theirs.address, theirs.port, purpose, tells?.hops ?? 0)
    if (hears !== undefined) joinAll(ours.address, hears.through, (address) => handle?.join(ours.address, address))
  } catch (error) {
    handle?.close()
    throw udpClientError(errnoName(error), `open a UDP socket ${describe({ remote, local })}`)
  }
  return portOf(handle, remote)
}

const portOf = (handle: NativeUdpClientHandle, remote: UdpEndpoint | undefined): UdpClientSocket => {
  const bytes = new Uint8Array(CLIENT_DATAGRAM_BYTES)
  const numbers = new Float64Array(5)
  const time = (): UnixTime => ({ seconds: numbers[NUMBERS.seconds]!, nanoseconds: numbers[NUMBERS.nanoseconds]! })
  const receive = (): UdpClientEvent | undefined => {
    switch (handle.receive(bytes, numbers)) {
      case DATAGRAM: {
        const from = remote ?? { address: handle.source(), port: numbers[NUMBERS.port]! }
        return { _tag: "Datagram", bytes: bytes.slice(0, numbers[NUMBERS.length]!), from, arrival: time() }
      }
      case TRANSMITTED:
        return { _tag: "Transmitted", sequence: numbers[NUMBERS.sequence]!, stamp: time() }
      case FAILED:
        return { _tag: "Failed", code: onUse.util().getSystemErrorName(-numbers[NUMBERS.length]!) }
      default:
        return undefined
    }
  }
  return {
    kind: "native",
    family: handle.family,
    localPort: handle.port,
    stampsTransmits: handle.stamps === 1,
    send: (datagram, to) => {
      checkDestination(to, handle.family, remote)
      try {
        return handle.send(datagram, to?.address ?? "", to?.port ?? 0)
      } catch (error) {
        throw udpClientError(errnoName(error), `send to ${endpointText((to ?? remote)!)}`)
      }
    },
    receive,
    onReadable: (callback) => {
      try {
        handle.onReadable(callback)
      } catch (error) {
        throw udpClientError(errnoName(error), "watch a UDP socket")
      }
    },
    close: () => handle.close()
  }
}
