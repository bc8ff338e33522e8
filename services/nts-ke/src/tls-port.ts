/** What an NTS-KE service needs of TLS, whoever speaks it: tls-native.ts in C, or tls-node.ts over node:tls. */
import type { ConnectionOutcome } from "@meridian/ipc/nts-ke-report"
import type { RecordDecoder } from "@meridian/wire/nts-ke"
import type { Exporter } from "./answer.ts"
import type { LoadedCertificate } from "./certificates.ts"
import type { TlsSettings } from "./tls-settings.ts"

/** Where to listen: a listening descriptor that was inherited, or an address to open. */
export type Endpoint =
  | { readonly _tag: "descriptor"; readonly descriptor: number }
  | { readonly _tag: "bind"; readonly address: string; readonly port: number }

export interface TlsPortSettings {
  readonly tls: TlsSettings
  /** From the end of the handshake: for the request, the reply and the client's goodbye. */
  readonly exchangeSeconds: number
}

/**
 * What happens on the connections. Each that was admitted is decided once, by `request` or by `undecided`, and then closed
 * once.
 */
export interface TlsEvents {
  /** Whether a connection may stay; one that may not is reset. The address is undefined for a peer that is gone already. */
  readonly admit: (address: string | undefined) => boolean
  /** A message that came whole or broke a limit, after a handshake with the right ALPN. Returns the reply. */
  readonly request: (message: RecordDecoder, exporter: Exporter) => Uint8Array<ArrayBuffer>
  /** It ends without a request. */
  readonly undecided: (outcome: ConnectionOutcome) => void
  /** A handshake was done with a client that asked for a name no certificate is for. */
  readonly unknownServerName: () => void
  /** Its place is free. The same address that was admitted. */
  readonly closed: (address: string | undefined) => void
}

/** Connections with TLS, one request and one reply on each, in bounded time and memory. */
export interface TlsPort {
  /** Shows these to whoever connects from now on. Throws an Error of OpenSSL, and changes nothing then. */
  readonly useCertificates: (certificates: readonly LoadedCertificate[]) => void
  /** Starts listening; rejects with the system's error. */
  readonly listen: (endpoint: Endpoint) => Promise<void>
  readonly stopListening: () => void
  /** Ends the oldest handshake from this address, or else its oldest exchange. Not from within `admit`. */
  readonly endOldest: (address: string | undefined) => void
  /** Ends every connection at once. */
  readonly destroy: () => void
}

/**
 * @param certificates at least one. A client that names no server, or one that no certificate is for, gets the first
 * @throws Error of OpenSSL for a cipher suite or curve it does not know
 */
export type OpenTls = (
  certificates: readonly LoadedCertificate[],
  settings: TlsPortSettings,
  events: TlsEvents
) => TlsPort

/** Connections that may wait to be accepted. */
export const LISTEN_BACKLOG = 1024
