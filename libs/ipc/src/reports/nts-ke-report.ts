/**
 * What an NTS-KE process tells its supervisor each second, and the messages between the two. Counts are totals since the
 * process started and only grow; rates are the reader's business. Messages travel as structured clones, because keys are
 * bytes.
 */
import { type FromService, readerOf, type ToldBy, toldOf } from "../channel/service-messages.ts"
import { count, counts, finite, list, optional, record, text, type TypeOf, words } from "../channel/shape.ts"
import { sumOf, zeroOf } from "../channel/sums.ts"

/** The certificate that a node without a configured one makes for itself, in its state directory. */
export const DEVELOPMENT_CERTIFICATE_NAME = "nts-development-certificate.pem"

/** How a connection ended without TLS. */
export const outcomesWithoutTls = [
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
  /** During the handshake or after it: all places were taken, and its network held most of them. */
  "made-way"
] as const

/** How a connection ended, when it did not end in an agreement or a refused request. */
export const connectionOutcomes = [
  ...outcomesWithoutTls,
  /** After the handshake. */
  "no-alpn",
  "request-timeout",
  "closed-without-request",
  "connection-error",
  /** Answered with Error record 2: there is no master key to seal cookies with. */
  "no-master-key"
] as const
export type ConnectionOutcome = (typeof connectionOutcomes)[number]

/** Seconds. */
const time = record({ wall: finite(0), cpu: finite(0) })

export const ntsKeCounters = record({
  /** Connections taken from the kernel. Equals the sum of `outcomes` and the connections that are still undecided. */
  accepted: count,
  /**
   * By how each ended: "agreed", a {@link ConnectionOutcome}, or why the request was declined or refused (reasons of
   * libs/auth nts-ke-server.ts).
   */
  outcomes: counts,
  /** Agreements by the algorithm's registry name, as "AES_SIV_CMAC_256". */
  agreed: counts,
  cookies: count,
  /** Handshakes that named a server no certificate is for; they got the first certificate. */
  unknownServerNames: count,
  /** What connections took, by how they ended; absent where it is not measured. */
  time: optional(record({ good: time, nossl: time, bad: time }))
})
export type NtsKeCounters = TypeOf<typeof ntsKeCounters>

const certificateStatus = record({
  /** DNS names and addresses it is for. */
  names: list(text(0, 65_535), 65_535),
  /** Unix seconds */
  notBefore: optional(finite()),
  notAfter: finite(),
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  fingerprint: text(1, 128)
})
export type CertificateStatus = TypeOf<typeof certificateStatus>

const ntsKeReport = record({
  type: words("report"),
  counters: ntsKeCounters,
  /** Connections open at this moment. */
  open: count,
  /** Who speaks TLS: the addon, or node:tls where it cannot. */
  tls: words("native", "node"),
  /** bytes */
  rss: count,
  /** bytes */
  heapUsed: count,
  certificates: list(certificateStatus, 65_535),
  /** Why nobody can be answered, or will take the answer: no certificate, or one that is not valid now. Empty while all is well. */
  troubles: list(text(1, 65_535), 65_535)
})
export type NtsKeReport = TypeOf<typeof ntsKeReport>

export type FromNtsKe = FromService<NtsKeReport>

/** Reads a message from an NTS-KE process; undefined when it is none of ours. @throws InvalidMessage */
export const parseFromNtsKe = readerOf(ntsKeReport)

/** Reads a message from the supervisor. `reload`: read the certificates again, whether or not their files seem changed. */
export const parseToNtsKe = toldOf({ outlive: record({}), reload: record({}) })
export type ToNtsKe = ToldBy<typeof parseToNtsKe>

export const noNtsKeCounters: NtsKeCounters = zeroOf(ntsKeCounters)

/** Sums the counters of two processes, or of a process and those that went before it. */
export const addNtsKeCounters = (a: NtsKeCounters, b: NtsKeCounters): NtsKeCounters => sumOf(ntsKeCounters, a, b)
