/** Opens the node's listening sockets: for every address one SO_REUSEPORT socket a worker, all held by the supervisor. */
import { createSocket } from "node:dgram"
import { bindUdpDescriptor, UdpBindError } from "@meridian/native-io/udp-native"
import type { WorkerSockets } from "./worker-slot.ts"

export interface ListenPlan {
  readonly addresses: readonly string[]
  readonly port: number
  readonly workers: number
  readonly native: boolean
}

/**
 * Refuses a port that anybody listens on. SO_REUSEPORT would let a second node share it silently, so each address is
 * first bound without that option, for a moment.
 * @throws UdpBindError
 */
const assertFree = async (address: string, port: number): Promise<void> => {
  const probe = createSocket({ type: address.includes(":") ? "udp6" : "udp4", ipv6Only: true })
  try {
    await new Promise<void>((resolve, reject) => {
      probe.once("error", reject)
      probe.bind({ address, port, exclusive: true }, resolve)
    })
  } catch (error) {
    throw new UdpBindError(address, port, (error as NodeJS.ErrnoException).code ?? "EUNKNOWN")
  } finally {
    probe.close()
  }
}

/**
 * The sockets of each worker, by worker index.
 * @throws UdpBindError with what to do about it
 */
export const openSockets = async (plan: ListenPlan): Promise<readonly WorkerSockets[]> => {
  for (const address of plan.addresses) await assertFree(address, plan.port)
  const workers = Array.from({ length: plan.workers }, (_, index) => index)
  if (!plan.native) return workers.map(() => ({ _tag: "bind", addresses: plan.addresses, port: plan.port }))
  return workers.map(() => ({
    _tag: "descriptors",
    descriptors: plan.addresses.map((address) => bindUdpDescriptor({ address, port: plan.port }))
  }))
}

/** ADDRESS:PORT as people and tools write it. */
export const formatListen = (address: string, port: number): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`

