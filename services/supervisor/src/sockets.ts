/**
 * Opens listening sockets: for every address one group of SO_REUSEPORT sockets, one for each worker and one for each service
 * that answers packets of its own kind. Which addresses there are is listening.ts's.
 */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { closeSync, existsSync } from "@meridian/system/files"
import { type PacketKind, steerPackets } from "@meridian/udp/packet-steering"
import { UdpBindError, udpBindError } from "@meridian/udp/udp"
import { bindUdpDescriptor } from "@meridian/udp/udp-native"
import { tcpListen } from "@meridian/tls/tcp-listen"
import type { SocketPlace } from "@meridian/ipc/serving-plan"

/** A process's sockets: where they are bound, and the descriptors that the supervisor holds; none without the addon. */
export interface HandedSockets {
  readonly places: readonly SocketPlace[]
  readonly descriptors: readonly number[]
}

/**
 * Refuses a port that anybody holds: without the addon each worker binds for itself, and SO_REUSEPORT would let two nodes
 * share a port in silence.
 */
export const assertFree = async (address: string, port: number): Promise<void> => {
  const probe = createSocket(address.includes(":") ? { type: "udp6", ipv6Only: true } : { type: "udp4" })
  try {
    probe.bind({ address, port, exclusive: true })
    await once(probe, "listening")
  } catch (error) {
    throw udpBindError((error as NodeJS.ErrnoException).code ?? "UNKNOWN", address, port)
  } finally {
    probe.close()
  }
}

/** Whether the kernel has IPv6 at all. Where it is only switched off for the interfaces, sockets of it open all the same. */
export const hasIpv6 = (native: boolean): boolean => {
  if (!native) return existsSync("/proc/net/if_inet6")
  try {
    closeSync(bindUdpDescriptor({ address: "::", port: 0 }))
    return true
  } catch (error) {
    return !(error instanceof UdpBindError && error.code === "EAFNOSUPPORT")
  }
}

/** What a group of sockets is made of. */
interface GroupPlan {
  readonly workers: number
  /** Packets that another service than a worker answers; needs the addon. */
  readonly packetKinds: readonly PacketKind[]
  /** The same for all groups of a node: by it all packets of one address meet one worker. */
  readonly seed: number
}

/** Descriptors of one place, in the order of bind, which is how the steering program numbers them. */
export interface Group {
  readonly workers: readonly number[]
  readonly kinds: ReadonlyMap<PacketKind, number>
  readonly unsteered: string | undefined
}

/**
 * The first socket is bound so that a port held by anybody else is an error; the others then share it. An address need not be
 * there yet.
 * @throws UdpBindError with what to do about it
 */
export const openGroup = (place: SocketPlace, { workers: count, packetKinds: kinds, seed }: GroupPlan): Group => {
  const opened: number[] = []
  const open = (exclusive: boolean): number => {
    const descriptor = bindUdpDescriptor({ ...place, exclusive, beforehand: true })
    opened.push(descriptor)
    return descriptor
  }
  try {
    const workers = Array.from({ length: count }, (_, index) => open(index === 0))
    const own = kinds.map((kind) => [kind, open(false)] as const)
    // One socket alone is no group, and takes no program.
    if (workers.length + own.length === 1) return { workers, kinds: new Map(), unsteered: undefined }
    const family = place.address.includes(":") ? 6 : 4
    const unsteered = steerPackets(workers[0]!, { family, workers: count, kinds, seed })
    if (unsteered === undefined) return { workers, kinds: new Map(own), unsteered }
    // By the kernel's own hash they would get requests for time.
    for (const [, descriptor] of own) closeSync(descriptor)
    return { workers, kinds: new Map(), unsteered }
  } catch (error) {
    for (const descriptor of opened) closeSync(descriptor)
    throw error
  }
}

/** A listening TCP socket for each process, which share the port. @throws TcpListenError with what to do about it */
export const openListenerGroup = (place: SocketPlace, processes: number): readonly number[] => {
  const opened: number[] = []
  try {
    for (let index = 0; index < processes; index += 1)
      opened.push(tcpListen({ ...place, exclusive: index === 0, beforehand: true }))
    return opened
  } catch (error) {
    for (const descriptor of opened) closeSync(descriptor)
    throw error
  }
}

/**
 * chronyc's port on both loopback addresses, for the control process; the IPv6 one where there is IPv6. Without the addon it is
 * not served.
 * @throws UdpBindError with what to do about it
 */
export const openCommandSockets = (port: number, native: boolean): readonly number[] => {
  if (port === 0 || !native) return []
  const first = bindUdpDescriptor({ address: "127.0.0.1", port, exclusive: true })
  try {
    return [first, bindUdpDescriptor({ address: "::1", port, exclusive: true })]
  } catch {
    return [first]
  }
}

/** ADDRESS:PORT as people and tools write it. */
export const formatListen = (address: string, port: number): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`
