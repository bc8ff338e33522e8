/**
 * The addon's TLS server (native/tls-server.c): TLS with the OpenSSL inside Node, one request and one reply on each
 * connection, as NTS key establishment has it (RFC 8915 §4).
 */
import { loadNative } from "@meridian/system/native"

export interface TlsListenerSettings {
  /** The one application protocol (ALPN). */
  readonly protocol: string
  /** 2 for TLS 1.2, 3 for TLS 1.3. */
  readonly minimum: 2 | 3
  readonly maximum: 2 | 3
  /** OpenSSL names separated by colons, of TLS 1.2; empty for none of one's own. */
  readonly cipherList: string
  /** The same of TLS 1.3. */
  readonly cipherSuites: string
  /** The same of key exchange groups. */
  readonly groups: string
  /** For {@link NativeTlsListener.exportKeys}. */
  readonly exporterLabel: string
  /** From connecting to the end of the handshake; at most an hour, like the next. */
  readonly handshakeMilliseconds: number
  /** From the end of the handshake to the client's goodbye. */
  readonly exchangeMilliseconds: number
}

/** An exception in one of these is an uncaught one; the connection ends. */
export interface TlsListenerHandlers {
  /** Whether to keep a connection from this numeric address; otherwise it is reset, and nothing more is said of it. */
  readonly admit: (address: string) => boolean
  /** The index of the certificate for this name, or -1 where none is for it; the client then gets the first. */
  readonly serverName: (name: string) => number
  /**
   * The reply to a message, which is whole or breaks a limit of libs/wire nts-ke.ts; it goes out in one TLS record, followed
   * by close_notify. Undefined ends the connection.
   */
  readonly request: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array | undefined
  /**
   * A connection is gone. `why` is undefined when it was answered; else "handshake-timeout", "closed-in-handshake",
   * "no-alpn", "request-timeout", "closed-without-request", "made-way" or "connection-error", or, of a failed handshake, OpenSSL's reason
   * in its own words ("wrong version number").
   * @param unknownName the handshake was done, with a name that no certificate is for
   */
  readonly ended: (address: string, why: string | undefined, unknownName: boolean) => void
}

/** PEM texts. */
export interface TlsCertificate {
  /** The server's own certificate first. */
  readonly chain: string
  /** Not encrypted. */
  readonly key: string
}

export interface NativeTlsListener {
  /** For connections from now on. Throws an Error with OpenSSL's reason, and changes nothing then. */
  readonly useCertificates: (certificates: readonly TlsCertificate[]) => void
  /** Takes over a listening TCP socket; when it throws (errno's name as `code`), the descriptor stays the caller's. */
  readonly listen: (descriptor: number) => void
  readonly stopListening: () => void
  /** Within a `request` only: key material (RFC 5705) that fills `out`, up to 255 bytes. False when there is none. */
  readonly exportKeys: (context: Uint8Array, out: Uint8Array) => boolean
  /** Ends the oldest handshake from this address, or else its oldest exchange ("made-way"). Not from within a handler. */
  readonly endOldest: (address: string) => boolean
  readonly open: () => number
  /** Ends everything at once; handlers are not called any more. */
  readonly close: () => void
}

export type NativeTlsListenerClass = new (
  settings: TlsListenerSettings,
  handlers: TlsListenerHandlers
) => NativeTlsListener

export interface TlsBinding {
  readonly TlsListener?: NativeTlsListenerClass
  /** Why there is no class. */
  readonly tlsProblem?: string
  /** Whether these bytes are a whole message, or more than one may be: for tests. */
  readonly ntsKeMessageEnds?: (bytes: Uint8Array) => boolean
}

/** The addon's TLS server, or why it cannot be used here. */
type NativeTls =
  | { readonly TlsListener: NativeTlsListenerClass; readonly reason?: undefined }
  | { readonly TlsListener?: undefined; readonly reason: string }

export const nativeTls = (): NativeTls => {
  const { addon, reason } = loadNative()
  if (addon === undefined) return { reason }
  const { TlsListener, tlsProblem } = addon as TlsBinding
  return TlsListener === undefined
    ? { reason: tlsProblem ?? "the addon has no TLS; run `node libs/system/build.mjs`" }
    : { TlsListener }
}
