/** Admits connections, answers one request on each and counts how they end. TLS is tls-port.ts's. */
import type { ConnectionOutcome } from "@meridian/ipc/nts-ke-report"
import { KeyRing } from "@meridian/auth/key-ring"
import { COOKIES_PER_REPLY } from "@meridian/auth/nts-ke-server"
import type { RecordDecoder } from "@meridian/wire/nts-ke"
import { addressKey, Admission, type AdmissionLimits } from "./admission.ts"
import { answerRequest, type AnswerSettings, type Exporter } from "./answer.ts"
import type { LoadedCertificate } from "./certificates.ts"
import { Crowd } from "./crowd.ts"
import { Counters } from "./counters.ts"
import type { Endpoint, OpenTls, TlsPort, TlsPortSettings } from "./tls-port.ts"

interface ListenerSettings extends TlsPortSettings {
  readonly admission: AdmissionLimits
  readonly answer: AnswerSettings
  /** Unix seconds by which master keys are judged. */
  readonly now: () => number
}

export class NtsKeListener {
  readonly counters = new Counters()
  /** Replaced whole at each rotation. Without a generation that seals now, requests get an internal error. */
  keys: KeyRing = KeyRing.empty

  private readonly settings: ListenerSettings
  private readonly admission: Admission
  private readonly crowd = new Crowd()
  private readonly tls: TlsPort

  /**
   * @param certificates at least one
   * @throws Error of OpenSSL when TLS cannot be set up so
   */
  constructor(certificates: readonly LoadedCertificate[], settings: ListenerSettings, openTls: OpenTls) {
    this.settings = settings
    this.admission = new Admission(settings.admission, performance.now() / 1000)
    this.tls = openTls(certificates, settings, {
      admit: (address) => this.admit(address),
      request: (message, exporter) => this.answer(message, exporter),
      undecided: (outcome: ConnectionOutcome) => this.counters.countOutcome(outcome),
      unknownServerName: () => void this.counters.unknownServerNames++,
      closed: (address) => {
        this.crowd.leave(address)
        this.admission.release(addressKey(address))
      }
    })
  }

  /** Connections open at this moment. */
  get open(): number {
    return this.admission.open
  }

  /** Shows these certificates to whoever connects from now on. Throws as the constructor does, and changes nothing then. */
  useCertificates(certificates: readonly LoadedCertificate[]): void {
    this.tls.useCertificates(certificates)
  }

  /** Starts listening; rejects with the system's error. */
  listen(endpoint: Endpoint): Promise<void> {
    return this.tls.listen(endpoint)
  }

  /** Takes no new connections for good; those that are open are finished. */
  stopListening(): void {
    this.tls.stopListening()
  }

  /** Stops listening and waits for the open connections, no longer than each of them may take. */
  async drain(): Promise<void> {
    this.stopListening()
    const limit = (this.settings.tls.handshakeSeconds + this.settings.exchangeSeconds) * 1000
    const until = performance.now() + limit
    while (this.open > 0 && performance.now() < until) await new Promise((done) => setTimeout(done, 10))
    this.tls.destroy()
  }

  private admit(address: string | undefined): boolean {
    this.counters.accepted++
    const key = addressKey(address)
    const now = performance.now() / 1000
    let refusal = this.admission.admit(key, now)
    if (refusal === "too-many-connections" && this.makeWay()) refusal = this.admission.admit(key, now)
    if (refusal === undefined) this.crowd.enter(address)
    else this.counters.countOutcome(refusal)
    return refusal === undefined
  }

  /** Has a connection ended that holds up others, as soon as whoever accepts connections is done with it. */
  private makeWay(): boolean {
    const found = this.crowd.oldestOfMost()
    if (found === undefined) return false
    this.admission.makeWay(addressKey(found.address))
    setImmediate(() => this.tls.endOldest(found.address))
    return true
  }

  private answer(message: RecordDecoder, exporter: Exporter): Uint8Array<ArrayBuffer> {
    const masterKey = this.keys.activeAt(this.settings.now())
    const { outcome, reply, aead } = answerRequest(message, exporter, masterKey, this.settings.answer)
    this.counters.countOutcome(outcome)
    if (aead !== undefined) this.counters.countAgreement(aead.name, COOKIES_PER_REPLY)
    return reply
  }
}
