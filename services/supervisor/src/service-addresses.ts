/** Puts the service addresses on this machine, while there is a right to: on the loopback, or on a device of the node's own. */
import { closeSync } from "@meridian/system/files"
import { machineAddresses } from "@meridian/system/configuration-files"
import { addAddress, bringUp, NetworkDeviceError, openTunnel, removeAddress } from "@meridian/system/network-device"
import type { AnycastPlan } from "./node-plan.ts"

const LOOPBACK = "lo"

interface HeldAddresses {
  /** The device's descriptor; undefined on the loopback, and where the device cannot be had. */
  readonly device: number | undefined
  /** What is not as it should be, a sentence each. */
  readonly problems: readonly string[]
  /** Takes away what was put there, where there is still a right to. */
  readonly release: () => void
}

/** The device's link is down by now, and its addresses are this machine's all the same. */
const isHere = (text: string): boolean => machineAddresses().some(({ address }) => address.text === text)

const sentence = (error: unknown): string => {
  if (error instanceof NetworkDeviceError) return error.message
  throw error
}

export const holdServiceAddresses = ({ addresses, device: name }: AnycastPlan): HeldAddresses => {
  const problems: string[] = []
  const added: AnycastPlan["addresses"][number][] = []
  const device = name === undefined ? undefined : openDevice(name, problems)
  const where = name ?? LOOPBACK
  for (const one of addresses) {
    try {
      if (addAddress(where, one.bytes, one.address)) added.push(one)
    } catch (error) {
      // Somebody else may have put it there, on whatever device.
      const why = sentence(error)
      if (!isHere(one.address))
        problems.push(`${why}; put it there yourself: ip address add ${one.address} dev ${where}`)
    }
  }
  return {
    device,
    problems,
    release: () => {
      for (const { bytes, address } of added) {
        try {
          removeAddress(where, bytes, address)
        } catch (error) {
          // Root was given up; an address that nobody is routed to does no harm.
          sentence(error)
        }
      }
      if (device !== undefined) closeSync(device)
    }
  }
}

const openDevice = (name: string, problems: string[]): number | undefined => {
  try {
    const descriptor = openTunnel(name)
    try {
      bringUp(name)
    } catch (error) {
      problems.push(sentence(error))
    }
    return descriptor
  } catch (error) {
    problems.push(
      `${sentence(error)}; make it once as root: ip tuntap add dev ${name} mode tun user NODE_USER && ip link set ${name} up`
    )
    return undefined
  }
}
