/** Addresses of this machine's network devices, and a device of our own whose link is ours to raise. All of it needs the addon. */
import { errnoAdvice } from "./errno-words.ts"
import { errnoName, loadNative } from "./native.ts"

/** What the system did not do, in words. `code` is the errno's name, NOADDON without the addon. */
export class NetworkDeviceError extends Error {
  readonly _tag = "NetworkDeviceError"
  readonly code: string

  constructor(message: string, code: string) {
    super(message)
    this.code = code
  }
}

const addonOrThrow = () => {
  const { addon, reason } = loadNative()
  if (addon === undefined) throw new NetworkDeviceError(`network devices need the addon: ${reason}`, "NOADDON")
  return addon
}

const attempt = <A>(what: string, act: () => A): A => {
  try {
    return act()
  } catch (error) {
    if (error instanceof NetworkDeviceError) throw error
    const code = errnoName(error)
    throw new NetworkDeviceError(`${what}: ${errnoAdvice("interface", code)}`, code)
  }
}

/**
 * Opens a TUN device, its link down; it is made where there is none. It belongs to whoever holds the descriptor: with the
 * last holder it goes, or, where an administrator made it (`ip tuntap add … user NAME`), its link goes down.
 * @throws NetworkDeviceError
 */
export const openTunnel = (name: string): number =>
  attempt(`the device ${name} cannot be opened`, () => addonOrThrow().openTunnel(name))

/** Raises or lowers the link, for which no privilege is needed. @throws NetworkDeviceError */
export const setTunnelLink = (descriptor: number, up: boolean): void =>
  attempt("the device's link cannot be changed", () => addonOrThrow().setTunnelLink(descriptor, up))

/** Has a device take part; nothing happens where it does. @throws NetworkDeviceError */
export const bringUp = (name: string): void =>
  attempt(`the device ${name} cannot be brought up`, () => addonOrThrow().bringUp(name))

/**
 * Puts a host address (4 or 16 bytes) on a device. Returns false where it is there already.
 * @throws NetworkDeviceError
 */
export const addAddress = (device: string, address: Uint8Array, text: string): boolean => {
  try {
    attempt(`${text} cannot be put on ${device}`, () => addonOrThrow().changeAddress(device, address, true))
    return true
  } catch (error) {
    if (error instanceof NetworkDeviceError && error.code === "EEXIST") return false
    throw error
  }
}

/** Takes a host address away. @throws NetworkDeviceError */
export const removeAddress = (device: string, address: Uint8Array, text: string): void =>
  attempt(`${text} cannot be taken from ${device}`, () => addonOrThrow().changeAddress(device, address, false))
