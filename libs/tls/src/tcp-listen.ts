/** Opens a listening TCP socket as a bare descriptor, which a child inherits and serves with `net.Server.listen({fd})`. */
import { isIP } from "node:net"
import { errnoAdvice } from "@meridian/system/errno-words"
import { errnoName, loadNative, type NativeAddon } from "@meridian/system/native"

/** How to open a listening TCP socket. */
export interface TcpListenOptions {
  /** A numeric IPv4 or IPv6 address; `0.0.0.0` and `::` mean all of the family's. A zone (`fe80::1%eth0`) is understood. */
  readonly address: string
  /** 1 … 65535, or 0 for one that is free. */
  readonly port: number
  /** Whether other sockets of the same user may share the port (SO_REUSEPORT); they may unless told otherwise. */
  readonly reusePort?: boolean
  /**
   * Refuse (EADDRINUSE) where anybody listens on the port, even somebody who shares it. For the first socket of a group;
   * those after it then share the port with it.
   */
  readonly exclusive?: boolean
  /** Whether the address need not be there yet: connections are taken from when it is. A zone must be there. */
  readonly beforehand?: boolean
  /** Connections that may wait to be accepted; {@link LISTEN_BACKLOG} unless told, and never above net.core.somaxconn. */
  readonly backlog?: number
}

const LISTEN_BACKLOG = 1024
const MAXIMUM_BACKLOG = 65_535

/** An address that cannot be listened on. `code` is the errno's name. */
export class TcpListenError extends Error {
  readonly _tag = "TcpListenError"
  readonly code: string
  readonly address: string
  readonly port: number

  constructor(code: string, address: string, port: number) {
    super(`TCP ${address} port ${port} cannot be listened on: ${errnoAdvice("port", code)}`)
    this.code = code
    this.address = address
    this.port = port
  }
}

type TcpAddon = NativeAddon & {
  readonly tcpListen?: (
    address: string,
    port: number,
    reusePort: boolean,
    exclusive: boolean,
    backlog: number,
    beforehand: boolean
  ) => number
  readonly tcpAdmit?: (descriptor: number, backlog: number) => void
}

/**
 * Opens a listening socket and returns its descriptor: non-blocking, closed on exec, IPv6 without IPv4. A connection is
 * accepted only when its first bytes are there (TCP_DEFER_ACCEPT, about 5 s), so that silent ones cost the service nothing.
 * Throws {@link TcpListenError}; its code is ENOSYS where the addon is missing.
 */
export const tcpListen = (options: TcpListenOptions): number => {
  const { address, port, reusePort = true, exclusive = false, backlog = LISTEN_BACKLOG, beforehand = false } = options
  const usable = isIP(address) !== 0 && isWithin(port, 0, 65_535) && isWithin(backlog, 1, MAXIMUM_BACKLOG)
  if (!usable) throw new TcpListenError("EINVAL", address, port)
  const addon: TcpAddon | undefined = loadNative().addon
  if (addon?.tcpListen === undefined) throw new TcpListenError("ENOSYS", address, port)
  try {
    return addon.tcpListen(address, port, reusePort, exclusive, backlog, beforehand)
  } catch (error) {
    throw new TcpListenError(errnoName(error), address, port)
  }
}

/**
 * Has the kernel refuse connections to a socket of {@link tcpListen}, whoever else holds it, or take them again. Those that waited
 * to be accepted are reset. The socket keeps its address and port. Throws an Error with the errno's name as its code.
 */
export const tcpAdmit = (descriptor: number, admits: boolean, backlog: number = LISTEN_BACKLOG): void => {
  const addon: TcpAddon | undefined = loadNative().addon
  addon?.tcpAdmit?.(descriptor, admits ? backlog : 0)
}

const isWithin = (value: number, least: number, most: number): boolean =>
  Number.isInteger(value) && value >= least && value <= most
