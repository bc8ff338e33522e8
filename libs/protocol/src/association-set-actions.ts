/** What a set of associations asks to be done. */
import type { AssociationAction, Demobilise, SetTimer } from "./association-action.ts"
import type { PassiveRefusal } from "./association-callers.ts"
import type { AssociationOptions, Endpoint } from "./association-options.ts"

/** What one association asks for, timers and ends aside. */
export interface Associated {
  readonly _tag: "Associated"
  readonly id: number
  readonly action: Exclude<AssociationAction, SetTimer | Demobilise>
}

export interface Mobilised {
  readonly _tag: "Mobilised"
  readonly id: number
  /** The configured line's host; undefined for a peer that came by itself. */
  readonly host: string | undefined
  readonly endpoint: Endpoint
  readonly options: AssociationOptions
}

/** Let go of sockets and state of this association. */
export interface Demobilised {
  readonly _tag: "Demobilised"
  readonly id: number
  readonly endpoint: Endpoint
  readonly reason: Demobilise["reason"] | "unpeered" | "replaced" | "key-withdrawn" | "no-socket"
}

/** Look the host up and tell `resolved` or `resolutionFailed`. */
interface Resolve {
  readonly _tag: "Resolve"
  readonly host: string
}

/** Something that was asked for cannot be. */
export interface Refused {
  readonly _tag: "Refused"
  readonly host: string
  readonly reason: "duplicate-host" | "duplicate-address" | "unknown-host"
}

/** A peer that came by itself is not taken. Its packet was answered already, and its next one will be. */
interface CallerRefused {
  readonly _tag: "CallerRefused"
  readonly reason: PassiveRefusal
}

export type SetAction = Associated | Mobilised | Demobilised | Resolve | Refused | CallerRefused
