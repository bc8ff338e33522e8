/** TLS in C, in Node's own OpenSSL (libs/tls/native/tls-server.c): JavaScript meets whole requests only. */
import { closeSync } from "@meridian/system/files"
import { EXPORTER_LABEL } from "@meridian/auth/nts-ke-server"
import { tcpListen } from "@meridian/tls/tcp-listen"
import type { NativeTlsListener, NativeTlsListenerClass } from "@meridian/tls/tls-listener"
import { type ConnectionOutcome, connectionOutcomes } from "@meridian/ipc/nts-ke-report"
import { ALPN, RecordDecoder } from "@meridian/wire/nts-ke"
import type { Exporter } from "./answer.ts"
import type { LoadedCertificate } from "./certificates.ts"
import { handshakeOutcome } from "./handshake-outcome.ts"
import { LISTEN_BACKLOG, type OpenTls, type TlsEvents, type TlsPortSettings } from "./tls-port.ts"
import { chooseCertificate, cipherNames, type TlsVersion } from "./tls-settings.ts"

/** @param TlsListener of the addon */
export const openTlsNative =
  (TlsListener: NativeTlsListenerClass): OpenTls =>
  (certificates, settings, events) => {
    let shown = certificates
    const listener = new TlsListener(listenerSettings(settings), {
      admit: (address) => events.admit(address),
      serverName: (name) => certificateIndex(shown, name),
      request: (bytes) => answer(bytes, exporterOf(listener), events),
      ended: (address, why, unknownName) => {
        if (unknownName) events.unknownServerName()
        if (why !== undefined) events.undecided(endOutcome(why))
        events.closed(address)
      }
    })
    listener.useCertificates(shown)
    return {
      useCertificates: (next) => {
        listener.useCertificates(next)
        shown = next
      },
      listen: async (endpoint) => {
        if (endpoint._tag === "descriptor") return listener.listen(endpoint.descriptor)
        const descriptor = tcpListen({ address: endpoint.address, port: endpoint.port, backlog: LISTEN_BACKLOG })
        try {
          listener.listen(descriptor)
        } catch (error) {
          closeSync(descriptor)
          throw error
        }
      },
      stopListening: () => listener.stopListening(),
      endOldest: (address) => void (address !== undefined && listener.endOldest(address)),
      destroy: () => listener.close()
    }
  }

const listenerSettings = ({ tls, exchangeSeconds }: TlsPortSettings) => ({
  protocol: ALPN,
  minimum: versionNumber(tls.minimum),
  maximum: versionNumber(tls.maximum),
  ...cipherNames(tls),
  // What node:tls calls OpenSSL's own choice.
  groups: tls.curves === "auto" ? "" : tls.curves,
  exporterLabel: EXPORTER_LABEL,
  handshakeMilliseconds: Math.ceil(tls.handshakeSeconds * 1000),
  exchangeMilliseconds: Math.ceil(exchangeSeconds * 1000)
})

const versionNumber = (version: TlsVersion): 2 | 3 => (version === "TLSv1.2" ? 2 : 3)

const certificateIndex = (certificates: readonly LoadedCertificate[], name: string): number => {
  const chosen = chooseCertificate(certificates, name)
  return chosen === undefined ? -1 : certificates.indexOf(chosen)
}

const exporterOf =
  (listener: NativeTlsListener): Exporter =>
  (length, context) => {
    const out = new Uint8Array(length)
    if (!listener.exportKeys(context, out)) throw new Error("expected key material from OpenSSL, found none")
    return out
  }

/** The C code ends a message where the decoder does; were it to differ, the connection ends unanswered. */
const answer = (bytes: Uint8Array, exporter: Exporter, events: TlsEvents): Uint8Array | undefined => {
  const message = new RecordDecoder()
  return message.push(bytes) === "reading" ? undefined : events.request(message, exporter)
}

const known: ReadonlySet<string> = new Set(connectionOutcomes)

const endOutcome = (why: string): ConnectionOutcome =>
  known.has(why)
    ? (why as ConnectionOutcome)
    : handshakeOutcome(`ERR_SSL_${why.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_")}`)
