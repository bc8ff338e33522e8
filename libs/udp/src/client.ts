/** Sockets that ask: one for each server, with stamps of the kernel. */
export {
  UdpClientError,
  type UdpClientSocket,
  type UdpEndpoint,
  endpointText,
  isGroup,
  udpClientError
} from "./udp-client.ts"
export { openUdpClient } from "./udp-client-open.ts"
