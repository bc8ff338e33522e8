/** Client sockets by whichever implementation this installation has. */
import { loadNative } from "@meridian/system/native"
import { openUdpClientFallback } from "./udp-client-fallback.ts"
import { openUdpClientNative } from "./udp-client-native.ts"
import type { UdpClientOptions, UdpClientSocket } from "./udp-client.ts"

/** Opens a socket. Rejects with UdpClientError. */
export const openUdpClient = async (options: UdpClientOptions): Promise<UdpClientSocket> => {
  const { addon } = loadNative()
  return addon === undefined ? openUdpClientFallback(options) : openUdpClientNative(addon, options)
}
