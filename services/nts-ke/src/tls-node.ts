/** TLS over node:tls, where the addon is not there or finds no OpenSSL that it knows. */
import { constants } from "node:crypto"
import { createServer as createTcpServer, type Server as TcpServer, type Socket } from "node:net"
import {
  createSecureContext,
  createServer,
  type SecureContext,
  type SecureContextOptions,
  type Server,
  type TLSSocket
} from "node:tls"
import { EXPORTER_LABEL } from "@meridian/auth/nts-ke-server"
import { errnoName } from "@meridian/system/native"
import type { ConnectionOutcome } from "@meridian/ipc/nts-ke-report"
import { ALPN, MAXIMUM_MESSAGE_BYTES, RecordDecoder } from "@meridian/wire/nts-ke"
import type { Exporter } from "./answer.ts"
import type { LoadedCertificate } from "./certificates.ts"
import { handshakeOutcome } from "./handshake-outcome.ts"
import {
  type Endpoint,
  LISTEN_BACKLOG,
  type OpenTls,
  type TlsEvents,
  type TlsPort,
  type TlsPortSettings
} from "./tls-port.ts"
import { chooseCertificate, cipherNames, type TlsSettings } from "./tls-settings.ts"

/** A client that goes on sending after its answer is cut off here: a message with the largest trailer imaginable. */
const MOST_BYTES_READ = 4 * MAXIMUM_MESSAGE_BYTES

export const openTlsNode: OpenTls = (certificates, settings, events) => new NodeTls(certificates, settings, events)

class NodeTls implements TlsPort {
  private readonly settings: TlsPortSettings
  private readonly events: TlsEvents
  private readonly servers: TcpServer[] = []
  private readonly connections = new Set<Socket>()
  private certificates: readonly LoadedCertificate[]
  private secure: Server

  constructor(certificates: readonly LoadedCertificate[], settings: TlsPortSettings, events: TlsEvents) {
    this.settings = settings
    this.events = events
    this.certificates = certificates
    this.secure = this.secureServer(certificates)
  }

  /** New certificates mean a new server; connections of an old one go on undisturbed. */
  useCertificates(certificates: readonly LoadedCertificate[]): void {
    this.secure = this.secureServer(certificates)
    this.certificates = certificates
  }

  async listen(endpoint: Endpoint): Promise<void> {
    const server = createTcpServer((socket) => this.accept(socket))
    this.servers.push(server)
    await new Promise<void>((listening, failed) => {
      server.once("error", failed)
      if (endpoint._tag === "descriptor") server.listen({ fd: endpoint.descriptor, backlog: LISTEN_BACKLOG }, listening)
      else
        server.listen(
          { host: endpoint.address, port: endpoint.port, backlog: LISTEN_BACKLOG, ipv6Only: true, reusePort: true },
          listening
        )
    })
    // Accepting may fail later (too many open files in the system); the next connection tries again.
    server.removeAllListeners("error").on("error", () => {})
  }

  stopListening(): void {
    for (const server of this.servers) server.close()
  }

  endOldest(address: string | undefined): void {
    for (const socket of this.connections)
      if (socket.remoteAddress === address) {
        socket.destroy()
        return
      }
  }

  destroy(): void {
    for (const socket of this.connections) socket.destroy()
  }

  private accept(socket: Socket): void {
    const address = socket.remoteAddress
    socket.on("error", () => {})
    if (!this.events.admit(address)) {
      // A reset leaves nothing behind on this side, not even a connection in TIME_WAIT.
      socket.resetAndDestroy()
      return
    }
    this.connections.add(socket)
    socket.once("close", () => {
      this.connections.delete(socket)
      this.events.closed(address)
    })
    this.secure.emit("connection", socket)
  }

  private secureServer(certificates: readonly LoadedCertificate[]): Server {
    const server = secureServer(certificates, this.settings.tls)
    server.on("secureConnection", (socket) => this.exchange(socket))
    server.on("tlsClientError", (error, socket) => {
      this.events.undecided(handshakeOutcome(errnoName(error)))
      socket.destroy()
    })
    return server
  }

  /** Everything after the handshake. Whatever the client does, the socket is gone after `exchangeSeconds`. */
  private exchange(socket: TLSSocket): void {
    let decided = false
    const undecided = (outcome: ConnectionOutcome): void => {
      if (!decided) this.events.undecided(outcome)
      decided = true
    }
    const limit = setTimeout(() => {
      undecided("request-timeout")
      socket.destroy()
    }, this.settings.exchangeSeconds * 1000)
    socket.on("error", () => undecided("connection-error"))
    socket.once("close", () => {
      undecided("closed-without-request")
      clearTimeout(limit)
    })
    this.noteServerName(socket)
    // TLS refuses a wrong protocol by itself, but not a client that names none (RFC 8915 §4: it must).
    if (socket.alpnProtocol !== ALPN) {
      undecided("no-alpn")
      socket.resume().end()
      return
    }
    const message = new RecordDecoder()
    socket.on("data", (bytes: Buffer) => {
      if (socket.bytesRead > MOST_BYTES_READ) socket.destroy()
      if (decided || message.push(bytes) === "reading") return
      decided = true
      // One write for all records: there are clients that read one TLS record and no more. Then close_notify.
      socket.end(this.events.request(message, exporterOf(socket)))
    })
  }

  private noteServerName(socket: TLSSocket): void {
    const name = (socket as { readonly servername?: string | false | null }).servername
    if (typeof name === "string" && chooseCertificate(this.certificates, name) === undefined)
      this.events.unknownServerName()
  }
}

const exporterOf =
  (socket: TLSSocket): Exporter =>
  (length, context) =>
    socket.exportKeyingMaterial(length, EXPORTER_LABEL, Buffer.from(context.buffer))

/** Everything a context needs: one that is made from less falls back to Node's defaults, TLS 1.2 among them. */
const contextOptions = (certificate: LoadedCertificate, settings: TlsSettings): SecureContextOptions => {
  const { cipherSuites, cipherList } = cipherNames(settings)
  return {
    cert: certificate.chain,
    key: certificate.key,
    minVersion: settings.minimum,
    maxVersion: settings.maximum,
    ciphers: cipherList === "" ? cipherSuites : `${cipherSuites}:${cipherList}`,
    ecdhCurve: settings.curves,
    // No session is ever resumed: key establishment happens once in days, and each needs fresh keys.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION
  }
}

/**
 * A TLS server that listens nowhere: connections are handed to it with `emit("connection", socket)`. A wrong ALPN is
 * refused by TLS itself; whether there was one at all is for the connection to ask.
 */
const secureServer = (certificates: readonly LoadedCertificate[], settings: TlsSettings): Server => {
  const [first] = certificates
  if (first === undefined) throw new RangeError("expected at least one certificate, found none")
  const contexts = certificates.map((certificate) => createSecureContext(contextOptions(certificate, settings)))
  return createServer({
    ...contextOptions(first, settings),
    ALPNProtocols: [ALPN],
    handshakeTimeout: settings.handshakeSeconds * 1000,
    ...(certificates.length === 1
      ? {}
      : {
          SNICallback: (name: string, done: (error: Error | null, context?: SecureContext) => void): void => {
            const chosen = chooseCertificate(certificates, name)
            done(null, contexts[chosen === undefined ? 0 : certificates.indexOf(chosen)])
          }
        })
  })
}
