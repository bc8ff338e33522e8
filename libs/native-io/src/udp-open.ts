/** UDP sockets by whichever implementation this installation has. */
import { loadNative } from "./native.ts"
import { adoptUdpFallback, bindUdpFallback } from "./udp-fallback.ts"
import { adoptUdp, bindUdpDescriptor } from "./udp-native.ts"
import type { UdpBindOptions, UdpSocket } from "./udp.ts"

/** Opens and binds a socket for use in this process. Rejects with UdpBindError. */
export const bindSocket = async (options: UdpBindOptions): Promise<UdpSocket> =>
  loadNative().addon === undefined ? bindUdpFallback(options) : adoptUdp(bindUdpDescriptor(options))

/** Takes over a bound descriptor, usually an inherited one; the socket closes it. Throws UdpAdoptError. */
export const adoptSocket = (descriptor: number): UdpSocket =>
  loadNative().addon === undefined ? adoptUdpFallback(descriptor) : adoptUdp(descriptor)
