/** Opens the node's listening sockets: for every address one SO_REUSEPORT socket a worker, all held by the supervisor. */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { udpBindError } from "@meridian/udp/udp"
import { bindUdpDescriptor } from "@meridian/udp/udp-native"
import { tcpListen } from "@meridian/tls/tcp-listen"
import type { WorkerSockets } from "./worker-slot.ts"

export interface ListenPlan {
  readonly addresses: readonly string[]
  readonly ports: readonly number[]
  readonly workers: number
  readonly native: boolean
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

/**
 * The sockets of each worker, by worker index. The first worker's are bound so that a port held by anybody else is an
 * error; the others then share it.
 * @throws UdpBindError with what to do about it
 */
export const openSockets = async (plan: ListenPlan): Promise<readonly WorkerSockets[]> => {
  const places = plan.ports.flatMap((port) => plan.addresses.map((address) => ({ address, port })))
  const workers = Array.from({ length: plan.workers }, (_, index) => index)
  if (plan.native)
    return workers.map((index) => ({
      _tag: "descriptors",
      descriptors: places.map((place) => bindUdpDescriptor({ ...place, exclusive: index === 0 }))
    }))
  for (const { address, port } of places) await assertFree(address, port)
  return workers.map(() => ({ _tag: "bind", places }))
}

/** ADDRESS:PORT as people and tools write it. */
export const formatListen = (address: string, port: number): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`

/** Listening TCP sockets of each NTS-KE process: every process its own, sharing the port. */
export type ListenerSockets =
  | { readonly _tag: "descriptors"; readonly descriptors: readonly number[] }
  | { readonly _tag: "bind"; readonly addresses: readonly string[]; readonly port: number }

/** @throws TcpListenError with what to do about it */
export const openListeners = (
  addresses: readonly string[],
  native: boolean,
  plan: { readonly port: number; readonly processes: number }
): readonly ListenerSockets[] => {
  const { port } = plan
  const processes = Array.from({ length: plan.processes }, (_, index) => index)
  if (!native) return processes.map(() => ({ _tag: "bind", addresses, port }))
  return processes.map((index) => ({
    _tag: "descriptors",
    descriptors: addresses.map((address) => tcpListen({ address, port, exclusive: index === 0 }))
  }))
}
