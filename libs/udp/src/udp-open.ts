/** UDP sockets by whichever implementation this installation has. */
import { loadNative } from "@meridian/system/native"
import { adoptUdp, bindUdpDescriptor } from "./udp-native.ts"
import type { UdpBindOptions, UdpSocket } from "./udp.ts"

/** The fallback is loaded only where it serves: node:dgram costs memory that a worker with the addon does not spend. */
const fallback = () => import("./udp-fallback.ts")

/** Opens and binds a socket for use in this process. Rejects with UdpBindError. */
export const bindSocket = async (options: UdpBindOptions): Promise<UdpSocket> =>
  loadNative().addon === undefined ? (await fallback()).bindUdpFallback(options) : adoptUdp(bindUdpDescriptor(options))

/** Takes over a bound descriptor, usually an inherited one; the socket closes it. Rejects with UdpAdoptError. */
export const adoptSocket = async (descriptor: number): Promise<UdpSocket> =>
  loadNative().addon === undefined ? (await fallback()).adoptUdpFallback(descriptor) : adoptUdp(descriptor)
