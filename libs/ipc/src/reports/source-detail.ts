/**
 * What tools of this field ask of one source beyond its report: ntpq's peer variables, chronyc's `ntpdata`, `sourcestats` and
 * `authdata`. Times in seconds, frequencies in ppm, polls and precisions in log2 seconds.
 */

import { count, finite, flag, list, nullable, record, text, type TypeOf, whole } from "../channel/shape.ts"

/** The 64 bits of an NTP timestamp as 16 hexadecimal digits; all 0 for none. */
const stamp = text(16, 16)
export type StampText = TypeOf<typeof stamp>

export const noStamp: StampText = "0".repeat(16)

/** A stage of the clock filter (RFC 5905 §10). The dispersion is as of now. */
const filterStage = record({
  offset: finite(),
  delay: finite(),
  dispersion: finite()
})

const ntsDetail = record({
  /** IANA's number of the AEAD; 0 before the first exchange. */
  aead: count,
  /** bits */
  keyLength: count,
  cookieLength: count,
  /** Since the last exchange that gave keys; null where none did. */
  exchangedAgo: nullable(finite()),
  /** Exchanges in a row that failed. */
  failures: count,
  /** Whether the last answer was a NAK that is not yet dealt with. */
  naks: count
})
export type NtsDetail = TypeOf<typeof ntsDetail>

export const sourceDetail = record({
  /** 1 … 65535; the same for as long as the source is there. */
  association: whole(1, 65_535),
  /** Ours towards it; null while it is not known. */
  localAddress: nullable(text()),
  localPort: whole(0, 65_535),
  version: whole(0, 7),
  /** Mode of its packets, 0 before the first. */
  theirMode: whole(0, 7),
  theirPoll: finite(),
  minpoll: finite(),
  maxpoll: finite(),
  precision: finite(),
  /** The 32 bits of its last packet. */
  referenceIdBits: finite(),
  referenceTime: stamp,
  /** Of the last exchange that was measured. */
  origin: stamp,
  receive: stamp,
  transmit: stamp,
  destination: stamp,
  /** When it was asked last. */
  sent: stamp,
  /** Polls in a row without an answer. */
  unanswered: count,
  /** Until it is asked again; null where that is not known. */
  nextPoll: nullable(finite()),
  /** Since it became reachable or unreachable. */
  reachabilitySince: finite(),
  packetsSent: count,
  /** Packets that came from its address, and those of them that gave a sample. */
  packetsReceived: count,
  samplesTaken: count,
  /** RFC 5905's flash bits: why the last packet gave no sample; 0 when it did. */
  flash: count,
  /** Newest first. */
  filter: list(filterStage, 64),
  /** What the estimator stands on. */
  samples: count,
  /** Between the oldest and the newest sample of the filter. */
  span: finite(),
  /** Of the source's clock against served time, with its standard deviation. */
  frequency: nullable(finite()),
  frequencyDeviation: nullable(finite()),
  offsetDeviation: nullable(finite()),
  prefer: flag,
  noselect: flag,
  true: flag,
  bias: finite(),
  /** Of the cookies in the jar, and of the last exchange; null without NTS. */
  nts: nullable(ntsDetail)
})
export type SourceDetail = TypeOf<typeof sourceDetail>

/** The node's own NTS counts as a client, since the start of the clock's process. */
export const ntsClientCounters = record({
  sent: count,
  good: count,
  bad: count,
  exchangesGood: count,
  exchangesBad: count
})
export type NtsClientCounters = TypeOf<typeof ntsClientCounters>
