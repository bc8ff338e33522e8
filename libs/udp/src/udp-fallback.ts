/**
 * The UDP port on node:dgram alone, for systems without a C compiler. Slower, and less true in four ways: arrival stamps
 * are taken in user space when Node delivers the datagram; replies from a socket bound to all addresses leave from the
 * address the routes choose; `overflows` counts only datagrams dropped here; and Node reads ahead, so that up to
 * BATCH_CAPACITY datagrams are out of the kernel before they are asked for.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram"
import { readFileSync, readlinkSync } from "@meridian/system/files"
import { isIP } from "node:net"
import { ClockPageReader, originNow } from "@meridian/clocks/clock-page"
import { fallbackClock } from "@meridian/clocks/system-clock"
import { unsynchronisedCurve } from "@meridian/time/clock-curve"
import {
  lineAt,
  lineOf,
  monotonicNanoseconds,
  SERVED_NUMBERS,
  serveLine,
  unixSecondsOf
} from "@meridian/time/clock-line"
import { numericLookup, writeAddress, writeSocketAddress } from "./socket-address.ts"
import { errnoName } from "@meridian/system/native"
import {
  ADDRESS_STRIDE,
  BATCH_CAPACITY,
  LATENCY_BINS,
  isPort,
  LOCAL_ADDRESS_STRIDE,
  NOW_MONOTONIC,
  NOW_NUMBERS,
  NOW_UNIX,
  RECEIVE_BUFFER_BYTES,
  SLOT_BYTES,
  SLOT_STRIDE,
  UdpAdoptError,
  type UdpBindOptions,
  udpBindError,
  UdpClosedError,
  type UdpSocket
} from "./udp.ts"

type Family = 4 | 6

const newSocket = (family: Family, reusePort: boolean, receiveBufferBytes?: number): Socket =>
  createSocket({
    type: family === 4 ? "udp4" : "udp6",
    ipv6Only: family === 6,
    reusePort,
    lookup: numericLookup,
    ...(receiveBufferBytes === undefined ? {} : { recvBufferSize: receiveBufferBytes })
  })

const bind = (socket: Socket, options: UdpBindOptions): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.once("error", (error) => reject(udpBindError(errnoName(error), options.address, options.port)))
    socket.bind({ address: options.address, port: options.port, exclusive: true }, () => {
      socket.removeAllListeners("error")
      resolve()
    })
  })

const close = (socket: Socket): Promise<void> => new Promise((resolve) => socket.close(() => resolve()))

/** Fails where anybody holds the port. Another program can still slip in between this and the bind that follows. */
const assertUnclaimed = async (family: Family, options: UdpBindOptions): Promise<void> => {
  if (options.port === 0) return
  const probe = newSocket(family, false)
  try {
    await bind(probe, options)
  } finally {
    await close(probe)
  }
}

/**
 * Opens and binds a UDP socket. Rejects with UdpBindError: what the system refused, and what to do.
 * @param page descriptor of the clock page to serve by; see {@link adoptUdpFallback}
 */
export const bindUdpFallback = async (options: UdpBindOptions, page = -1): Promise<UdpSocket> => {
  const { address, port, exclusive = false, receiveBufferBytes = RECEIVE_BUFFER_BYTES } = options
  const family = isIP(address)
  if ((family !== 4 && family !== 6) || !isPort(port)) throw udpBindError("EINVAL", address, port)
  if (exclusive) await assertUnclaimed(family, options)
  const socket = newSocket(family, true, receiveBufferBytes)
  const ready = prepareSocket(socket, family, page < 0 ? undefined : new ClockPageReader(page, "fallback"))
  try {
    await bind(socket, options)
  } catch (error) {
    ready.close()
    throw error
  }
  return ready.bound()
}

/** Node must be told a descriptor's family before it takes it; the kernel lists its IPv6 sockets by inode. */
const familyOf = (descriptor: number): Family => {
  const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${descriptor}`))?.[1]
  if (inode === undefined) throw new UdpAdoptError("ENOTSOCK", descriptor)
  const sockets = readFileSync("/proc/net/udp6", "ascii").split("\n")
  return sockets.some((line) => line.trim().split(/\s+/)[9] === inode) ? 6 : 4
}

const openDescriptor = (socket: Socket, descriptor: number): void => {
  socket.bind({ fd: descriptor, exclusive: true })
  if (socket.address().port === 0) throw new UdpAdoptError("EDESTADDRREQ", descriptor)
}

/**
 * Takes over a bound descriptor; the socket owns it from now on and closes it. Throws UdpAdoptError if it is no bound UDP
 * socket.
 * @param page descriptor of the clock page to serve by, which stays the caller's and open; without one, CLOCK_REALTIME as it
 *   is now is what runs on, and it is good time to nobody
 */
export const adoptUdpFallback = (descriptor: number, page = -1): UdpSocket => {
  let ready: PreparedSocket | undefined
  try {
    const family = familyOf(descriptor)
    const socket = newSocket(family, false)
    ready = prepareSocket(socket, family, page < 0 ? undefined : new ClockPageReader(page, "fallback"))
    openDescriptor(socket, descriptor)
    return ready.bound()
  } catch (error) {
    ready?.close()
    throw error instanceof UdpAdoptError ? error : new UdpAdoptError(errnoName(error), descriptor)
  }
}

interface PreparedSocket {
  readonly bound: () => UdpSocket
  readonly close: () => void
}

/** Listens before the bind, for Node starts to read at once; `bound` completes the port when the address is known. */
const prepareSocket = (socket: Socket, family: Family, page: ClockPageReader | undefined): PreparedSocket => {
  const { monotonic } = fallbackClock()
  const monotonicNow = (): bigint => monotonicNanoseconds(monotonic.seconds())
  const bytes = new Uint8Array(BATCH_CAPACITY * SLOT_STRIDE)
  const requestLengths = new Uint32Array(BATCH_CAPACITY)
  const replyLengths = new Uint32Array(BATCH_CAPACITY)
  const arrivalSeconds = new Uint32Array(BATCH_CAPACITY)
  const arrivalFractions = new Uint32Array(BATCH_CAPACITY)
  const served = new Uint32Array(SERVED_NUMBERS)
  const now = new Float64Array(NOW_NUMBERS)
  /** CLOCK_MONOTONIC, ns. */
  const arrivals: Array<bigint> = []
  const addresses = new Uint8Array(BATCH_CAPACITY * ADDRESS_STRIDE)
  const localAddresses = new Uint8Array(BATCH_CAPACITY * LOCAL_ADDRESS_STRIDE)
  const sources: Array<RemoteInfo> = []
  /** Slots 0 … waiting-1 hold datagrams that receive has not handed out yet. */
  let waiting = 0
  /** CLOCK_MONOTONIC when receive returned, ns. */
  let receivedAt = 0n
  /** What is served by until something stands on the page: CLOCK_REALTIME as it is now, good time to nobody. */
  let line = lineOf(unsynchronisedCurve(), originNow())
  let dropped = 0
  let sendErrors = 0
  let allSent = 0
  let state: "open" | "paused" | "closed" = "open"
  let callback: (() => void) | undefined
  let scheduled = false

  const wake = (): void => {
    if (scheduled || callback === undefined || waiting === 0) return
    scheduled = true
    setImmediate(callBack)
  }

  const callBack = (): void => {
    scheduled = false
    if (callback === undefined || waiting === 0) return
    try {
      callback()
    } finally {
      wake()
    }
  }

  const onMessage = (message: Uint8Array, source: RemoteInfo): void => {
    if (waiting === BATCH_CAPACITY) {
      dropped++
      return
    }
    const slot = waiting++
    arrivals[slot] = monotonicNow()
    bytes.set(message.length > SLOT_BYTES ? message.subarray(0, SLOT_BYTES) : message, slot * SLOT_STRIDE)
    requestLengths[slot] = message.length
    writeSocketAddress(addresses, slot * ADDRESS_STRIDE, source.address, source.port)
    sources[slot] = source
    wake()
  }

  const closeSocket = (): void => {
    if (state === "closed") return
    state = "closed"
    callback = undefined
    waiting = 0
    socket.close()
  }

  /** What Node has read ahead is lost to the next holder of the descriptor, so it is served before the close. */
  const finishPause = (): void => {
    if (state !== "paused") return
    try {
      if (waiting > 0) callback?.()
    } finally {
      closeSocket()
    }
  }

  const onSent = (error: Error | null): void => {
    if (error !== null) sendErrors++
  }

  const sendSlot = (slot: number): boolean => {
    const length = replyLengths[slot]!
    const source = sources[slot]
    if (source === undefined || length > SLOT_BYTES) {
      sendErrors++
      return false
    }
    /** Copied: what the kernel does not take at once is sent later, when the slot may hold another datagram. */
    const reply = bytes.slice(slot * SLOT_STRIDE, slot * SLOT_STRIDE + length)
    try {
      socket.send(reply, source.port, source.address, onSent)
      return true
    } catch {
      sendErrors++
      return false
    }
  }

  const latencies = new Float64Array(LATENCY_BINS + 1)
  const noteLatency = (nanoseconds: number): void => {
    const bin = Math.min(LATENCY_BINS - 1, 31 - Math.clz32((nanoseconds / 1e3) | 1))
    latencies[bin]! += 1
    latencies[LATENCY_BINS]! += nanoseconds
  }

  const view = new DataView(bytes.buffer)
  const moveStamps = (count: number, stampAt: number): void => {
    const now = monotonicNow()
    const held = lineAt(line, now) - lineAt(line, receivedAt)
    noteLatency(Number(now - receivedAt))
    for (let slot = 0; slot < count; slot++) {
      const at = slot * SLOT_STRIDE + stampAt
      const stamp = view.getBigUint64(at)
      if (replyLengths[slot] === stampAt + 8 && stamp !== 0n) view.setBigUint64(at, BigInt.asUintN(64, stamp + held))
    }
  }

  const readTime = (count: number): void => {
    line = page?.read() ?? line
    receivedAt = monotonicNow()
    serveLine(line, receivedAt, served)
    now[NOW_UNIX] = unixSecondsOf(lineAt(line, receivedAt))
    now[NOW_MONOTONIC] = Number(receivedAt) / 1e9
    for (let slot = 0; slot < count; slot++) {
      const arrival = lineAt(line, arrivals[slot]!)
      arrivalSeconds[slot] = Number((arrival >> 32n) & 0xffff_ffffn)
      arrivalFractions[slot] = Number(arrival & 0xffff_ffffn)
    }
  }

  const send = (count: number, stampAt = -1): number => {
    let sent = 0
    if (state === "closed") return sent
    if (stampAt >= 0 && stampAt <= SLOT_BYTES - 8) moveStamps(Math.min(count, BATCH_CAPACITY), stampAt)
    for (let slot = 0; slot < Math.min(count, BATCH_CAPACITY); slot++) {
      if (replyLengths[slot] !== 0 && sendSlot(slot)) sent++
    }
    allSent += sent
    return sent
  }

  socket.on("message", onMessage)
  socket.unref()

  const bound = (): UdpSocket => {
    const { address, port } = socket.address()
    if (address !== "0.0.0.0" && address !== "::")
      for (let slot = 0; slot < BATCH_CAPACITY; slot++)
        writeAddress(localAddresses, slot * LOCAL_ADDRESS_STRIDE, address)
    /** An ICMP report of an earlier reply, or a failed read: the socket is as good as before. */
    socket.on("error", () => {})
    return {
      kind: "fallback",
      family,
      port,
      bytes,
      view,
      requestLengths,
      replyLengths,
      arrivalSeconds,
      arrivalFractions,
      served,
      now,
      addresses,
      localAddresses,
      receive: () => {
        const count = waiting
        waiting = 0
        if (state !== "closed") readTime(count)
        return count
      },
      send,
      sent: () => allSent,
      sendErrors: () => sendErrors,
      overflows: () => dropped,
      shed: () => {},
      latencies: () => [...latencies],
      onReadable: (next) => {
        if (state !== "open") throw new UdpClosedError()
        callback = next
        socket.ref()
        wake()
      },
      pause: () => {
        if (state !== "open") return
        state = "paused"
        queueMicrotask(finishPause)
      },
      close: closeSocket
    }
  }
  return { bound, close: closeSocket }
}
