/** How an association behaves: the options of `server`, `pool` and `peer` in ntp.conf, and what every association is handed. */
import type { Leap } from "@meridian/time/clock-curve"
import type { NtpTimestamp } from "@meridian/time/timestamp"

/** A numeric address and a UDP port. Addresses are compared as text, so they are always written in one way. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/**
 * `client` asks a server, `active` is our end of a `peer` line, `passive` our end of a `peer` line that only the other side
 * has (RFC 5905 §3; docs/adr/007), `broadcast` hears a server that tells many.
 */
type AssociationMode = "client" | "active" | "passive" | "broadcast"

/** Whether both ends are peers, which tell each other their served time. */
export const isSymmetric = (mode: AssociationMode): boolean => mode === "active" || mode === "passive"

export interface AssociationOptions {
  readonly mode: AssociationMode
  /** 1 … 4, as sent. */
  readonly version: number
  /** log2 seconds, -7 … 17; minpoll is at most maxpoll. Below 0 only where the source turns out to be near. */
  readonly minpoll: number
  readonly maxpoll: number
  /** Several requests in a row once the source answers for the first time, and each time it comes back. */
  readonly iburst: boolean
  /** Several requests in a row at every poll. */
  readonly burst: boolean
  /** Polls of at least 2^presend seconds have a packet sent ahead of them, which fills caches on the path; undefined: none. */
  readonly presend?: number | undefined
  /** Interleaved mode (RFC 9769). */
  readonly xleave: boolean
  /** For the selection, which reads them here. */
  readonly prefer: boolean
  readonly noselect: boolean
  readonly alwaysTrue: boolean
  /** Of a broadcast server, where it is known: the round trip, seconds. Otherwise some exchanges measure it. */
  readonly broadcastDelay?: number | undefined
}

export const LEAST_POLL = 0
/** Within one network. */
const LEAST_NEAR_POLL = -7
export const GREATEST_POLL = 17

export const defaultAssociationOptions: AssociationOptions = {
  mode: "client",
  version: 4,
  minpoll: 6,
  maxpoll: 10,
  iburst: false,
  burst: false,
  xleave: false,
  prefer: false,
  noselect: false,
  alwaysTrue: false
}

/** Both clocks, read together. */
export interface Moment {
  /** Our time as an NTP timestamp: the timescale that offsets are measured against. */
  readonly wall: NtpTimestamp
  /** CLOCK_MONOTONIC, seconds: timers, ages. */
  readonly monotonic: number
}

/** What our own packets to a symmetric peer say of us (RFC 5905 §7.3); a client's requests say nothing. */
export interface SystemVariables {
  readonly leap: Leap
  /** 1 … 15, or 0 when unsynchronised, as on the wire. */
  readonly stratum: number
  readonly referenceId: number
  readonly reference: NtpTimestamp
  /** Seconds. */
  readonly rootDelay: number
  readonly rootDispersion: number
}

/** Randomness and our own state, injected. */
export interface AssociationEnvironment {
  /** Fills with unpredictable bytes: what tells a true reply from a forged one. */
  readonly fillRandom: (bytes: Uint8Array) => void
  /** Uniform in 0 … 1, for jitter; need not be unpredictable. */
  readonly random: () => number
  /** log2 seconds of reading our clock. */
  readonly precision: number
  readonly system: () => SystemVariables
}

/** An option outside its range; the message names it, what was expected and what was found. */
export class InvalidAssociationOption extends Error {
  readonly _tag = "InvalidAssociationOption"
}

/** Throws {@link InvalidAssociationOption}. */
export const checkAssociationOptions = (options: AssociationOptions): void => {
  const { minpoll, maxpoll, version } = options
  for (const [name, value] of Object.entries({ minpoll, maxpoll }))
    if (!Number.isInteger(value) || value < LEAST_NEAR_POLL || value > GREATEST_POLL)
      throw new InvalidAssociationOption(`expected ${name} from ${LEAST_NEAR_POLL} to ${GREATEST_POLL}, found ${value}`)
  if (minpoll > maxpoll)
    throw new InvalidAssociationOption(`expected minpoll at or below maxpoll, found ${minpoll} and ${maxpoll}`)
  if (![1, 2, 3, 4].includes(version))
    throw new InvalidAssociationOption(`expected version 1, 2, 3 or 4, found ${version}`)
}
