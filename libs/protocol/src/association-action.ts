/** What an association asks of its shell. Every drop has a name and, in the shell, a counter under that name. */
import type { NtpTimestamp } from "@meridian/time/timestamp"
import type { Endpoint } from "./association-options.ts"

/** Send these bytes; then report when they left with `transmitted(exchange, stamp)`, again when a better stamp is known. */
export interface Send {
  readonly _tag: "Send"
  /** Number of the exchange within the association. */
  readonly exchange: number
  readonly bytes: Uint8Array
  readonly to: Endpoint
  /** The kernel's transmit stamp is of use: as T1 of this exchange and, interleaved, for the next. */
  readonly expectTransmitStamp: boolean
  /** From a fresh random port (RFC 9109), closing the one before. Symmetric peers speak from the port they listen on. */
  readonly newSourcePort: boolean
  /** Sent ahead of a measurement: its reply is none, so it is no poll and no word on reach. */
  readonly isAhead: boolean
}

/** Call `poll` at this reading of CLOCK_MONOTONIC (seconds), and not at any told before. */
export interface SetTimer {
  readonly _tag: "SetTimer"
  readonly at: number
}

/** One measurement (RFC 5905 §8). Seconds unless said otherwise. */
export interface Sample {
  readonly _tag: "Sample"
  /** CLOCK_MONOTONIC when T4 was taken: in interleaved mode that of the exchange measured, not of the reply that told. */
  readonly time: number
  /** The source's time minus ours. */
  readonly offset: number
  /** Round trip, at least our precision. */
  readonly delay: number
  readonly dispersion: number
  /** The source's, log2 seconds. */
  readonly precision: number
  readonly t1: NtpTimestamp
  readonly t2: NtpTimestamp
  readonly t3: NtpTimestamp
  readonly t4: NtpTimestamp
  readonly interleaved: boolean
  readonly rootDelay: number
  readonly rootDispersion: number
  readonly stratum: number
  readonly leap: number
  readonly referenceId: number
  readonly referenceTime: NtpTimestamp
  /** The source's poll field, log2 seconds. */
  readonly poll: number
}

/**
 * An authentic reply that is no measurement, for it says itself that the source has no time to give: leap 3, stratum 16, too
 * great a root distance. What it says of the source counts from now on (RFC 5905 A.5.1.1). Seconds.
 */
export interface Unusable {
  readonly _tag: "Unusable"
  readonly leap: number
  /** 16 for 0. */
  readonly stratum: number
  readonly rootDelay: number
  readonly rootDispersion: number
}

/** The source began or ceased to answer. */
interface ReachabilityChanged {
  readonly _tag: "ReachabilityChanged"
  readonly reachable: boolean
  /** The last eight requests, newest lowest. */
  readonly reach: number
}

/** A kiss-o'-death that may be believed: it echoes our request and, where replies are authenticated, so was it (NTSN aside). */
interface Kiss {
  readonly _tag: "Kiss"
  readonly code: string
}

/** Exchange keys, then call `keysExchanged`. Asked again, more and more rarely, until that is done. */
export interface NeedKeyExchange {
  readonly _tag: "NeedKeyExchange"
  readonly reason: "no-cookies" | "nak" | "unreachable"
}

/** A passive association or one with a broadcast server: the other side is late. Nothing is sent, but its poll went by without an answer. */
interface Missed {
  readonly _tag: "Missed"
}

/**
 * The association has ended and must be let go: it sends nothing more. `silent` and `client` are of passive ones: the peer
 * was not heard for long, or asks as a client now, which is the workers' to answer. `silent` also ends a broadcast association.
 */
export interface Demobilise {
  readonly _tag: "Demobilise"
  readonly reason: "denied" | "restricted" | "silent" | "client"
}

/** A packet that gave no sample, or (`no-key`) one that could not be sent. */
export interface Drop {
  readonly _tag: "Drop"
  readonly reason: DropReason
}

export type AssociationAction =
  | Send
  | SetTimer
  | Sample
  | Unusable
  | ReachabilityChanged
  | Kiss
  | NeedKeyExchange
  | Missed
  | Demobilise
  | Drop

export const dropReasons = [
  /** the association has ended */
  "demobilised",
  /** not from the address and port that are asked */
  "wrong-address",
  /** fewer bytes than a header */
  "short",
  /** a version below 1 or above 4 */
  "version",
  /** not the mode that answers ours */
  "mode",
  /** a trailer that is neither extension fields nor a MAC, or NTS fields that do not add up */
  "malformed",
  /** RFC 5905 test 1: seen before, or older than what was seen */
  "duplicate",
  /** RFC 5905 test 2: the origin is not what was sent last */
  "bogus-origin",
  /** RFC 5905 test 3: a peer that has not heard us yet, or a reply without an origin */
  "zero-origin",
  /** RFC 5905 test 3: no receive or no transmit timestamp */
  "zero-timestamp",
  /** nothing was asked, or the answer came already */
  "unasked",
  /** RFC 5905 test 5: no MAC or no NTS fields where there must be, or a MAC where none was asked for */
  "not-authenticated",
  /** RFC 5905 test 5: a MAC under another key than ours, a wrong digest, a seal that does not open */
  "forged",
  /** Autokey: authentic, and the exchange of credentials is not at its end: no time is believed yet */
  "autokey-incomplete",
  /** NTS: the unique identifier is not the request's */
  "wrong-identifier",
  /** the source could not verify us, or says so */
  "crypto-nak",
  /** NTS: the source does not know our cookie any more, or somebody says so */
  "nts-nak",
  /** a kiss-o'-death; see the Kiss beside it */
  "kiss",
  /** RFC 5905 test 6: leap 3, stratum 0 or 16 and more */
  "unsynchronised",
  /** RFC 5905 test 6: its clock was set after it sent the packet */
  "reference-time",
  /** RFC 5905 test 7: root delay / 2 + root dispersion of 16 s or more */
  "root-distance",
  /** it says that it answered before it was asked */
  "server-timestamps",
  /** the reply came before the request left, by our clock: it was stepped */
  "local-timestamps",
  /** it says that it held the packet for longer than it was away */
  "negative-delay",
  /** broadcast: how long its packets are on their way is not known yet */
  "delay-unknown",
  /** the reply to a packet that was sent ahead of a measurement */
  "sent-ahead",
  /** interleaved: what the reply tells was measured before */
  "measured-already",
  /** a request was not sent, since the key is not in the table */
  "no-key"
] as const
export type DropReason = (typeof dropReasons)[number]

export const drop = (reason: DropReason): Drop => ({ _tag: "Drop", reason })
