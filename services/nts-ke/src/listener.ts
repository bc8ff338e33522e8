/** Accepts connections, lets TLS do its work, answers one request on each and ends it. */
import { createServer, type Server, type Socket } from "node:net"
import type { Server as SecureServer, TLSSocket } from "node:tls"
import { KeyRing } from "@meridian/auth/key-ring"
import { COOKIES_PER_REPLY, EXPORTER_LABEL } from "@meridian/auth/nts-ke-server"
import { ALPN, MAXIMUM_MESSAGE_BYTES, RecordDecoder } from "@meridian/wire/nts-ke"
import { addressKey, Admission, type AdmissionLimits } from "./admission.ts"
import { answerRequest, type AnswerSettings } from "./answer.ts"
import type { LoadedCertificate } from "./certificates.ts"
import { Counters, type Outcome } from "./counters.ts"
import { handshakeOutcome } from "./handshake-outcome.ts"
import { chooseCertificate, secureServer, type TlsSettings } from "./tls-settings.ts"

/** Where to listen: a listening descriptor that was inherited, or an address to open. */
export type Door =
  | { readonly _tag: "descriptor"; readonly descriptor: number }
  | { readonly _tag: "bind"; readonly address: string; readonly port: number }

export interface ListenerSettings {
  readonly admission: AdmissionLimits
  readonly tls: TlsSettings
  readonly answer: AnswerSettings
  /** From the end of the handshake: for the request, the reply and the client's goodbye. */
  readonly exchangeSeconds: number
}

/** A client that goes on sending after its answer is cut off here: a message with the largest trailer imaginable. */
const MOST_BYTES_READ = 4 * MAXIMUM_MESSAGE_BYTES

const LISTEN_BACKLOG = 1024

export class NtsKeListener {
  readonly counters = new Counters()
  /** Replaced whole at each rotation. Without a generation that seals now, requests get an internal error. */
  keys: KeyRing = KeyRing.empty

  private readonly settings: ListenerSettings
  private readonly admission: Admission
  private readonly servers: Server[] = []
  private readonly connections = new Set<Socket>()
  private certificates: readonly LoadedCertificate[]
  private secure: SecureServer

  /**
   * @param certificates at least one
   * @throws Error of OpenSSL when TLS cannot be set up so
   */
  constructor(certificates: readonly LoadedCertificate[], settings: ListenerSettings) {
    this.settings = settings
    this.admission = new Admission(settings.admission, performance.now() / 1000)
    this.certificates = certificates
    this.secure = this.secureServer(certificates)
  }

  /** Connections open at this moment. */
  get open(): number {
    return this.admission.open
  }

  /** Shows these certificates to whoever connects from now on. Throws as the constructor does, and changes nothing then. */
  useCertificates(certificates: readonly LoadedCertificate[]): void {
    this.secure = this.secureServer(certificates)
    this.certificates = certificates
  }

  /** Starts listening; rejects with the system's error. */
  async listen(door: Door): Promise<void> {
    const server = createServer((socket) => this.accept(socket))
    this.servers.push(server)
    await new Promise<void>((listening, failed) => {
      server.once("error", failed)
      if (door._tag === "descriptor") server.listen({ fd: door.descriptor, backlog: LISTEN_BACKLOG }, listening)
      else
        server.listen(
          { host: door.address, port: door.port, backlog: LISTEN_BACKLOG, ipv6Only: true, reusePort: true },
          listening
        )
    })
    // Accepting may fail later (too many open files in the system); the next connection tries again.
    server.removeAllListeners("error").on("error", () => {})
  }

  /** Stops listening and waits for the open connections, no longer than each of them may take. */
  async drain(): Promise<void> {
    for (const server of this.servers) server.close()
    const limit = (this.settings.tls.handshakeSeconds + this.settings.exchangeSeconds) * 1000
    const until = performance.now() + limit
    while (this.connections.size > 0 && performance.now() < until) await new Promise((done) => setTimeout(done, 10))
    for (const socket of this.connections) socket.destroy()
  }

  private accept(socket: Socket): void {
    this.counters.accepted++
    socket.on("error", () => {})
    const key = addressKey(socket.remoteAddress)
    const refusal = this.admission.admit(key, performance.now() / 1000)
    if (refusal !== undefined) {
      this.counters.countOutcome(refusal)
      // A reset leaves nothing behind on this side, not even a connection in TIME_WAIT.
      socket.resetAndDestroy()
      return
    }
    this.connections.add(socket)
    socket.once("close", () => {
      this.connections.delete(socket)
      this.admission.release(key)
    })
    this.secure.emit("connection", socket)
  }

  private secureServer(certificates: readonly LoadedCertificate[]): SecureServer {
    const server = secureServer(certificates, this.settings.tls)
    server.on("secureConnection", (socket) => this.exchange(socket))
    server.on("tlsClientError", (error, socket) => {
      this.counters.countOutcome(handshakeOutcome(error))
      socket.destroy()
    })
    return server
  }

  /** Everything after the handshake. Whatever the client does, the socket is gone after `exchangeSeconds`. */
  private exchange(socket: TLSSocket): void {
    let decided = false
    const decide = (outcome: Outcome): void => {
      if (!decided) this.counters.countOutcome(outcome)
      decided = true
    }
    const limit = setTimeout(() => {
      decide("request-timeout")
      socket.destroy()
    }, this.settings.exchangeSeconds * 1000)
    socket.on("error", () => decide("connection-error"))
    socket.once("close", () => {
      decide("closed-without-request")
      clearTimeout(limit)
    })
    this.noteServerName(socket)
    // TLS refuses a wrong protocol by itself, but not a client that names none (RFC 8915 §4: it must).
    if (socket.alpnProtocol !== ALPN) {
      decide("no-alpn")
      socket.resume().end()
      return
    }
    const message = new RecordDecoder()
    socket.on("data", (bytes: Buffer) => {
      if (socket.bytesRead > MOST_BYTES_READ) socket.destroy()
      if (decided || message.push(bytes) === "reading") return
      decide(this.answer(socket, message))
    })
  }

  private answer(socket: TLSSocket, message: RecordDecoder): Outcome {
    const masterKey = this.keys.activeAt(Date.now() / 1000)
    const exporter = (length: number, context: Uint8Array<ArrayBuffer>): Uint8Array =>
      socket.exportKeyingMaterial(length, EXPORTER_LABEL, Buffer.from(context.buffer))
    const { outcome, reply, aead } = answerRequest(message, exporter, masterKey, this.settings.answer)
    if (aead !== undefined) this.counters.countAgreement(aead.name, COOKIES_PER_REPLY)
    // One write for all records: there are clients that read one TLS record and no more. Then close_notify.
    socket.end(reply)
    return outcome
  }

  private noteServerName(socket: TLSSocket): void {
    const name = (socket as { readonly servername?: string | false | null }).servername
    if (typeof name === "string" && chooseCertificate(this.certificates, name) === undefined)
      this.counters.unknownServerNames++
  }
}
