/**
 * Opens the node's listening sockets, all held by the supervisor for as long as it lives: for every address one group of
 * SO_REUSEPORT sockets, one for each worker and one for each service that answers packets of its own kind.
 */
import { randomBytes } from "node:crypto"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { closeSync, existsSync } from "node:fs"
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

export interface ListenPlan {
  readonly addresses: readonly string[]
  readonly ports: readonly number[]
  readonly workers: number
  /** Packets that another service than a worker answers; needs the addon. */
  readonly packetKinds: readonly PacketKind[]
  readonly native: boolean
}

export interface NodeSockets {
  /** By worker index. */
  readonly workers: readonly HandedSockets[]
  /** For the service that answers a kind of packets, a socket for each place; none where its packets stay with the workers. */
  readonly ofKind: (kind: PacketKind) => HandedSockets
  /** Why packets are not steered by kind and source address; undefined where they are. */
  readonly unsteered: string | undefined
}

/**
 * Refuses a port that anybody holds: without the addon each worker binds for itself, and SO_REUSEPORT would let two nodes
 * share a port in silence.
 */
const assertFree = async (address: string, port: number): Promise<void> => {
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

/** Descriptors of one place, in the order of bind, which is how the steering program numbers them. */
interface Group {
  readonly workers: readonly number[]
  readonly kinds: ReadonlyMap<PacketKind, number>
  readonly unsteered: string | undefined
}

/** The first socket is bound so that a port held by anybody else is an error; the others then share it. */
const openGroup = (place: SocketPlace, { workers: count, packetKinds: kinds }: ListenPlan, seed: number): Group => {
  const workers = Array.from({ length: count }, (_, index) => bindUdpDescriptor({ ...place, exclusive: index === 0 }))
  const own = kinds.map((kind) => [kind, bindUdpDescriptor(place)] as const)
  // One socket alone is no group, and takes no program.
  if (workers.length + own.length === 1) return { workers, kinds: new Map(), unsteered: undefined }
  const family = place.address.includes(":") ? 6 : 4
  const unsteered = steerPackets(workers[0]!, { family, workers: count, kinds, seed })
  if (unsteered === undefined) return { workers, kinds: new Map(own), unsteered }
  // By the kernel's own hash they would get requests for time.
  for (const [, descriptor] of own) closeSync(descriptor)
  return { workers, kinds: new Map(), unsteered }
}

/** @throws UdpBindError with what to do about it */
export const openSockets = async (plan: ListenPlan): Promise<NodeSockets> => {
  const places = plan.ports.flatMap((port) => plan.addresses.map((address) => ({ address, port })))
  const workers = Array.from({ length: plan.workers }, (_, index) => index)
  if (!plan.native) {
    for (const { address, port } of places) await assertFree(address, port)
    return {
      workers: workers.map(() => ({ places, descriptors: [] })),
      ofKind: () => ({ places: [], descriptors: [] }),
      unsteered: "this node runs without the addon"
    }
  }
  const seed = randomBytes(4).readUInt32LE()
  const groups = places.map((place) => openGroup(place, plan, seed))
  return {
    workers: workers.map((index) => ({
      places,
      descriptors: groups.map((group) => group.workers[index] as number)
    })),
    ofKind: (kind) => {
      const own = groups.flatMap((group, at) => {
        const descriptor = group.kinds.get(kind)
        return descriptor === undefined ? [] : [{ place: places[at] as SocketPlace, descriptor }]
      })
      return { places: own.map(({ place }) => place), descriptors: own.map(({ descriptor }) => descriptor) }
    },
    unsteered: groups.find((group) => group.unsteered !== undefined)?.unsteered
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

/** Listening TCP sockets of each NTS-KE process: every process its own, sharing the port. @throws TcpListenError with what to do about it */
export const openListeners = (
  addresses: readonly string[],
  native: boolean,
  plan: { readonly port: number; readonly processes: number }
): readonly HandedSockets[] => {
  const { port } = plan
  const processes = Array.from({ length: plan.processes }, (_, index) => index)
  const places = addresses.map((address) => ({ address, port }))
  return processes.map((index) => ({
    places,
    descriptors: native ? places.map((place) => tcpListen({ ...place, exclusive: index === 0 })) : []
  }))
}
