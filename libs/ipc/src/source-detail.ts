/**
 * What tools of this field ask of one source beyond its report: ntpq's peer variables, chronyc's `ntpdata`, `sourcestats` and
 * `authdata`. Times in seconds, frequencies in ppm, polls and precisions in log2 seconds.
 */

/** The 64 bits of an NTP timestamp as 16 hexadecimal digits; all 0 for none. */
export type StampText = string

export const noStamp: StampText = "0".repeat(16)

/** A stage of the clock filter (RFC 5905 §10). The dispersion is as of now. */
export interface FilterStageReport {
  readonly offset: number
  readonly delay: number
  readonly dispersion: number
}

export interface SourceDetail {
  /** 1 … 65535; the same for as long as the source is there. */
  readonly association: number
  /** Ours towards it; null while it is not known. */
  readonly localAddress: string | null
  readonly localPort: number
  readonly version: number
  /** Mode of its packets, 0 before the first. */
  readonly theirMode: number
  readonly theirPoll: number
  readonly minpoll: number
  readonly maxpoll: number
  readonly precision: number
  /** The 32 bits of its last packet. */
  readonly referenceIdBits: number
  readonly referenceTime: StampText
  /** Of the last exchange that was measured. */
  readonly origin: StampText
  readonly receive: StampText
  readonly transmit: StampText
  readonly destination: StampText
  /** When it was asked last. */
  readonly sent: StampText
  /** Polls in a row without an answer. */
  readonly unanswered: number
  /** Until it is asked again; null where that is not known. */
  readonly nextPoll: number | null
  /** Since it became reachable or unreachable. */
  readonly reachabilitySince: number
  readonly packetsSent: number
  /** Packets that came from its address, and those of them that gave a sample. */
  readonly packetsReceived: number
  readonly samplesTaken: number
  /** RFC 5905's flash bits: why the last packet gave no sample; 0 when it did. */
  readonly flash: number
  /** Newest first. */
  readonly filter: readonly FilterStageReport[]
  /** What the estimator stands on. */
  readonly samples: number
  /** Between the oldest and the newest sample of the filter. */
  readonly span: number
  /** Of the source's clock against served time, with its standard deviation. */
  readonly frequency: number | null
  readonly frequencyDeviation: number | null
  readonly offsetDeviation: number | null
  readonly prefer: boolean
  readonly noselect: boolean
  readonly true: boolean
  readonly bias: number
  /** Of the cookies in the jar, and of the last exchange; null without NTS. */
  readonly nts: NtsDetail | null
}

export interface NtsDetail {
  /** IANA's number of the AEAD; 0 before the first exchange. */
  readonly aead: number
  /** bits */
  readonly keyLength: number
  readonly cookieLength: number
  /** Since the last exchange that gave keys; null where none did. */
  readonly exchangedAgo: number | null
  /** Exchanges in a row that failed. */
  readonly failures: number
  /** Whether the last answer was a NAK that is not yet dealt with. */
  readonly naks: number
}

/** The node's own NTS counts as a client, since the start of the clock's process. */
export interface NtsClientCounters {
  readonly sent: number
  readonly good: number
  readonly bad: number
  readonly exchangesGood: number
  readonly exchangesBad: number
}
