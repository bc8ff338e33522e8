/** The client's UDP port on node:dgram: arrival stamps are taken when Node delivers, and no transmit stamps are known. */
import { createSocket, type Socket } from "node:dgram"
import { isIP } from "node:net"
import type { UnixTime } from "@meridian/time/timestamp"
import { errnoName } from "@meridian/system/native"
import { fallbackClock, type SystemClock } from "@meridian/clocks/system-clock"
import { numericLookup } from "./socket-address.ts"
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

/** Events kept until they are asked for; later ones are dropped. */
const WAITING_LIMIT = 64

/** Made once: it takes milliseconds to find the fraction of a second. */
let clock: SystemClock | undefined

const readTime = (): UnixTime => {
  const time = { seconds: 0, nanoseconds: 0 }
  clock ??= fallbackClock()
  clock.wall.read(time)
  return time
}

/** Opens a socket on node:dgram. Rejects with UdpClientError. */
export const openUdpClientFallback = async (options: UdpClientOptions): Promise<UdpClientSocket> => {
  checkUdpClientOptions(options)
  const { remote, local, tells, hears } = options
  const family = isIP((remote ?? local)!.address) === 6 ? 6 : 4
  const type = family === 6 ? "udp6" : "udp4"
  const reusePort = hears !== undefined || (remote !== undefined && local !== undefined && local.port !== 0)
  const socket = createSocket({ type, ipv6Only: family === 6, reusePort, lookup: numericLookup })
  socket.unref()
  try {
    await settle(socket, "listening", () =>
      socket.bind({ address: local?.address, port: local?.port ?? 0, exclusive: true })
    )
    if (tells !== undefined) {
      socket.setBroadcast(true)
      socket.setMulticastTTL(tells.hops)
      socket.setMulticastLoopback(false)
    }
    if (hears !== undefined && local !== undefined)
      joinAll(local.address, hears.through, (address) => socket.addMembership(local.address, address))
    if (remote !== undefined) await settle(socket, "connect", () => socket.connect(remote.port, remote.address))
  } catch (error) {
    socket.close()
    throw udpClientError(errnoName(error), `open a UDP socket ${describe({ remote, local })}`)
  }
  return port(socket, family, remote)
}

const settle = (socket: Socket, event: "listening" | "connect", begin: () => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const done = (): void => {
      socket.off("error", reject)
      resolve()
    }
    socket.once("error", reject)
    socket.once(event, done)
    begin()
  })

const port = (socket: Socket, family: 4 | 6, remote: UdpEndpoint | undefined): UdpClientSocket => {
  const waiting: UdpClientEvent[] = []
  let callback: (() => void) | undefined
  let isScheduled = false
  let isOpen = true
  let sent = 0

  const wake = (): void => {
    if (isScheduled || callback === undefined || waiting.length === 0) return
    isScheduled = true
    setImmediate(callBack)
  }
  const callBack = (): void => {
    isScheduled = false
    if (!isOpen || waiting.length === 0) return
    try {
      callback?.()
    } finally {
      wake()
    }
  }
  const add = (event: UdpClientEvent): void => {
    if (isOpen && waiting.length < WAITING_LIMIT) waiting.push(event)
    wake()
  }
  const fail = (error: Error | null): void => {
    if (error !== null) add({ _tag: "Failed", code: errnoName(error) })
  }

  socket.on("message", (message, source) => {
    const bytes = Uint8Array.from(message.subarray(0, CLIENT_DATAGRAM_BYTES))
    const from = remote ?? { address: source.address, port: source.port }
    add({ _tag: "Datagram", bytes, from, arrival: readTime() })
  })
  socket.on("error", fail)

  return {
    kind: "fallback",
    family,
    localPort: socket.address().port,
    stampsTransmits: false,
    send: (datagram, to) => {
      checkDestination(to, family, remote)
      if (!isOpen) throw udpClientError("EBADF", "send a datagram")
      try {
        /** Copied, for what the kernel does not take at once is sent later. */
        const copy = datagram.slice()
        if (remote === undefined) socket.send(copy, to!.port, to!.address, fail)
        else socket.send(copy, fail)
      } catch (error) {
        throw udpClientError(errnoName(error), `send to ${endpointText((to ?? remote)!)}`)
      }
      return sent++
    },
    receive: () => waiting.shift(),
    onReadable: (next) => {
      if (!isOpen) throw udpClientError("EBADF", "watch a UDP socket")
      callback = next
      socket.ref()
      wake()
    },
    close: () => {
      if (!isOpen) return
      isOpen = false
      waiting.length = 0
      socket.close()
    }
  }
}
