/** UDP sockets by whichever implementation this installation has. */
import { loadNative } from "@meridian/system/native"
import { adoptUdp, bindUdpDescriptor } from "./udp-native.ts"
import type { UdpBindOptions, UdpSocket } from "./udp.ts"

/** The fallback is loaded only where it serves: node:dgram costs memory that a worker with the addon does not spend. */
const fallback = () => import("./udp-fallback.ts")

/**
 * Opens and binds a socket for use in this process. Rejects with UdpBindError.
 * @param page descriptor of the clock page to serve by, which stays the caller's and open
 */
export const bindSocket = async (options: UdpBindOptions, page?: number): Promise<UdpSocket> =>
  loadNative().addon === undefined
    ? (await fallback()).bindUdpFallback(options, page)
    : adoptUdp(bindUdpDescriptor(options), page)

/**
 * Takes over a bound descriptor, usually an inherited one; the socket closes it. Rejects with UdpAdoptError.
 * @param page descriptor of the clock page to serve by, which stays the caller's and open
 */
export const adoptSocket = async (descriptor: number, page?: number): Promise<UdpSocket> =>
  loadNative().addon === undefined ? (await fallback()).adoptUdpFallback(descriptor, page) : adoptUdp(descriptor, page)
