/**
 * What an NTS-KE process tells its supervisor each second, and the messages between the two. Counts are totals since the
 * process started and only grow; rates are the reader's business. Messages travel as structured clones, because keys are
 * bytes.
 */
import { addCounts, isCounts, isRecord } from "./message.ts"

/** The certificate that a node without a configured one makes for itself, in its state directory. */
export const DEVELOPMENT_CERTIFICATE_NAME = "nts-development-certificate.pem"

/** How a connection ended, when it did not end in an agreement or a refused request. */
export const connectionOutcomes = [
  /** Ended before TLS: as many connections as allowed were open, in all or from one address. */
  "too-many-connections",
  "too-many-from-address",
  /** Ended before TLS: connections came faster than allowed, in all or from one address. */
  "rate-in-all",
  "rate-from-address",
  /** During the handshake. */
  "not-tls",
  "tls-version",
  "other-alpn",
  "client-alert",
  "handshake-failed",
  "handshake-timeout",
  "closed-in-handshake",
  /** After it. */
  "no-alpn",
  "request-timeout",
  "closed-without-request",
  "connection-error",
  /** Answered with Error record 2: there is no master key to seal cookies with. */
  "no-master-key"
] as const
export type ConnectionOutcome = (typeof connectionOutcomes)[number]

export interface NtsKeCounters {
  /** Connections taken from the kernel. Equals the sum of `outcomes` and the connections that are still undecided. */
  readonly accepted: number
  /**
   * By how each ended: "agreed", a {@link ConnectionOutcome}, or why the request was declined or refused (reasons of
   * libs/auth nts-ke-server.ts).
   */
  readonly outcomes: Readonly<Record<string, number>>
  /** Agreements by the algorithm's registry name, as "AES_SIV_CMAC_256". */
  readonly agreed: Readonly<Record<string, number>>
  /** Cookies handed out. */
  readonly cookies: number
  /** Handshakes that named a server no certificate is for; they got the first certificate. */
  readonly unknownServerNames: number
  /** Seconds that connections took, by how they ended; absent where they are not measured. */
  readonly time?: NtsKeTime
}

export interface NtsKeTime {
  readonly good: { readonly wall: number; readonly cpu: number }
  readonly nossl: { readonly wall: number; readonly cpu: number }
  readonly bad: { readonly wall: number; readonly cpu: number }
}

export interface CertificateStatus {
  /** DNS names and addresses it is for. */
  readonly names: readonly string[]
  /** Unix seconds */
  readonly notAfter: number
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  readonly fingerprint: string
}

export interface NtsKeReport {
  readonly type: "report"
  readonly counters: NtsKeCounters
  /** Connections open at this moment. */
  readonly open: number
  /** Who speaks TLS: the addon, or node:tls where it cannot. */
  readonly tls: "native" | "node"
  /** bytes */
  readonly rss: number
  /** bytes */
  readonly heapUsed: number
  readonly certificates: readonly CertificateStatus[]
}

/** It listens from now on. */
export interface NtsKeReady {
  readonly type: "ready"
}

/** It stopped listening and finished what was open, its last counters inside; it exits by itself. */
export interface NtsKeDrained {
  readonly type: "drained"
  readonly report: NtsKeReport
}

/** Something an operator should read, said once per cause. */
export interface NtsKeWarning {
  readonly type: "warning"
  readonly message: string
}

export type FromNtsKe = NtsKeReady | NtsKeReport | NtsKeDrained | NtsKeWarning

/** Stop listening, finish what is open, report, exit. */
export interface DrainMessage {
  readonly type: "drain"
}

/** Read the certificates again, whether or not their files seem changed. */
export interface ReloadMessage {
  readonly type: "reload"
}

export type ToNtsKe = DrainMessage | ReloadMessage

const isCertificateStatus = (value: unknown): boolean =>
  isRecord(value) &&
  Array.isArray(value["names"]) &&
  value["names"].every((name) => typeof name === "string") &&
  Number.isFinite(value["notAfter"]) &&
  typeof value["fingerprint"] === "string"

const isReport = (value: unknown): value is NtsKeReport => {
  if (!isRecord(value) || value["type"] !== "report" || !isRecord(value["counters"])) return false
  const { accepted, outcomes, agreed, cookies, unknownServerNames } = value["counters"]
  return (
    [accepted, cookies, unknownServerNames, value["open"], value["rss"], value["heapUsed"]].every((count) =>
      Number.isFinite(count)
    ) &&
    (value["tls"] === "native" || value["tls"] === "node") &&
    isCounts(outcomes) &&
    isCounts(agreed) &&
    Array.isArray(value["certificates"]) &&
    value["certificates"].every(isCertificateStatus)
  )
}

/** Reads a message from an NTS-KE process; undefined when it is none of ours. */
export const parseFromNtsKe = (message: unknown): FromNtsKe | undefined => {
  if (!isRecord(message)) return undefined
  if (message["type"] === "ready") return { type: "ready" }
  if (message["type"] === "warning" && typeof message["message"] === "string")
    return { type: "warning", message: message["message"] }
  if (isReport(message)) return message
  if (message["type"] === "drained" && isReport(message["report"]))
    return { type: "drained", report: message["report"] }
  return undefined
}

/** Reads a message from the supervisor; undefined when it is none of ours. */
export const parseToNtsKe = (message: unknown): ToNtsKe | undefined => {
  if (!isRecord(message)) return undefined
  const { type } = message
  return type === "drain" || type === "reload" ? { type } : undefined
}

export const noNtsKeCounters: NtsKeCounters = {
  accepted: 0,
  outcomes: {},
  agreed: {},
  cookies: 0,
  unknownServerNames: 0
}

/** Sums the counters of two processes, or of a process and those that went before it. */
export const addNtsKeCounters = (a: NtsKeCounters, b: NtsKeCounters): NtsKeCounters => ({
  accepted: a.accepted + b.accepted,
  outcomes: addCounts(a.outcomes, b.outcomes),
  agreed: addCounts(a.agreed, b.agreed),
  cookies: a.cookies + b.cookies,
  unknownServerNames: a.unknownServerNames + b.unknownServerNames
})
