/** What upstreams are given to work with, and whom they tell. */
import type { SymmetricMacs } from "@meridian/auth/mac"
import type { Sample, SystemVariables } from "@meridian/protocol/associations"
import type { UnixTime } from "@meridian/time/timestamp"
import type { AutokeySources } from "./autokey-sources.ts"
import type { ReadClocks } from "./clocks.ts"
import type { KeyExchangeListener, KeyExchanges } from "./key-exchanges.ts"
import type { resolveHost } from "./name-resolver.ts"
import type { PassivePeersSurroundings } from "./passive-peers.ts"
import type { KnownFrequency, Upstream } from "./upstream.ts"

export interface UpstreamListener {
  /** A datagram is here and not yet looked at. */
  readonly arriving: () => void
  /** A sample was taken in. */
  readonly measured: (upstream: Upstream, sample: Sample) => void
  /** A source fell silent, or went: the choice may have to change. */
  readonly lost: () => void
  readonly reachabilityChanged: (upstream: Upstream, reachable: boolean, reach: number) => void
  /** A peer that no line names was taken or let go. */
  readonly passiveChanged: PassivePeersSurroundings["changed"]
  readonly warn: (message: string) => void
}

/** See autokey-sources.ts, whose code is loaded where it is needed. */
export type AutokeyKeeper = Pick<
  AutokeySources,
  "source" | "broadcastServer" | "broadcasts" | "search" | "answerSearch" | "forget" | "report"
>

export interface UpstreamSurroundings {
  readonly read: ReadClocks
  /** log2 seconds */
  readonly precision: number
  readonly frequency: KnownFrequency | undefined
  /** Replaced as a whole when keys come. */
  readonly macs: SymmetricMacs
  /** Our own state, for symmetric peers. */
  readonly system: () => SystemVariables
  /** Undefined where no source has NTS: its code is not loaded then. */
  readonly keyExchanges: ((listener: KeyExchangeListener) => KeyExchanges) | undefined
  /** Undefined where no source is asked by Autokey. */
  readonly autokey?: AutokeyKeeper | undefined
  /** Numeric addresses of a name, best first; rejects as the system's resolver does, which it is where none is given. */
  readonly resolve?: typeof resolveHost | undefined
  /** Served time at a moment of CLOCK_MONOTONIC. */
  readonly served: (monotonic: number) => UnixTime
  /** Served time minus CLOCK_REALTIME at a moment of CLOCK_MONOTONIC, seconds: symmetric peers are told served time. */
  readonly correction: (monotonic: number) => number
  /** What CLOCK_REALTIME was slewed and stepped by until then, seconds: what is tracked is the clock without it. */
  readonly added: (monotonic: number) => number
}
