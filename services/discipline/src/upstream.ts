/** One source as this service keeps it: its association's number, what the discipline tracks of it, what it said last. */
import { TrackedSource, type ScreenOptions, SourceEstimator } from "@meridian/algorithms"
import type { UpstreamConfiguration } from "@meridian/ipc/discipline-report"
import type { AssociationAction, Sample, AssociationOptions, Endpoint } from "@meridian/protocol/associations"

/** A frequency to start from, seconds per second, with its standard deviation. */
export interface KnownFrequency {
  readonly value: number
  readonly deviation: number
}

export interface Upstream {
  /** The association's number. */
  readonly id: number
  /** The configured host; undefined for a peer that came by itself. */
  readonly host: string | undefined
  readonly configuration: UpstreamConfiguration | undefined
  /** The symmetric key that it is spoken to with; null without. */
  readonly keyId: number | null
  readonly options: AssociationOptions
  /** Where its line or its name led; keys are asked for here. */
  readonly mobilisedAt: Endpoint
  /** Where time is asked for: elsewhere when a key exchange said so. */
  endpoint: Endpoint
  tracked: TrackedSource
  sample: Sample | undefined
  /** Ours towards it, by which orphans order themselves; undefined until it is known, and where nobody asks. */
  ownAddress: string | undefined
  /** CLOCK_MONOTONIC of the last usable reply, seconds. */
  lastReply: number | undefined
  readonly dropped: Record<string, number>
  /** Ours towards it, as the kernel chooses it; undefined until it is known. */
  localAddress: string | undefined
  /** What became of the last packet from it: a drop's reason, or nothing when it gave a sample. */
  lastDrop: string | undefined
  /** Packets that left, that came from it, and those of them that gave a sample. */
  sent: number
  received: number
  taken: number
  /** CLOCK_MONOTONIC, seconds: when it was asked last, and when it began or ceased to be reachable. */
  sentAt: number | undefined
  reachabilityAt: number | undefined
  /** Times that it was asked, or would have been with a key. */
  polls: number
  /** Such times since the selection last found it to be of use. */
  useless: number
}

/** One that was not asked yet. */
export const newUpstream = (
  mobilised: Pick<Upstream, "id" | "host" | "configuration" | "keyId" | "options" | "endpoint" | "tracked">
): Upstream => ({
  ...mobilised,
  mobilisedAt: mobilised.endpoint,
  sample: undefined,
  ownAddress: undefined,
  lastReply: undefined,
  dropped: {},
  localAddress: undefined,
  lastDrop: undefined,
  sent: 0,
  received: 0,
  taken: 0,
  sentAt: undefined,
  reachabilityAt: undefined,
  polls: 0,
  useless: 0
})

/** How the association of a line behaves. */
export const optionsOf = (source: UpstreamConfiguration): AssociationOptions => ({
  mode: source.kind === "peer" ? "active" : "client",
  version: source.version,
  minpoll: source.minpoll,
  maxpoll: source.maxpoll,
  iburst: source.iburst,
  burst: source.burst,
  presend: source.presend ?? undefined,
  xleave: source.xleave,
  prefer: source.prefer,
  noselect: source.noselect,
  alwaysTrue: source.true
})

/** What its line says of the path to it. */
const screenOf = (screen: UpstreamConfiguration["screen"] | undefined): ScreenOptions | undefined =>
  screen === null || screen === undefined
    ? undefined
    : {
        maxdelay: screen.maxdelay ?? undefined,
        maxdelayratio: screen.maxdelayratio ?? undefined,
        maxdelaydevratio: screen.maxdelaydevratio ?? undefined,
        mindelay: screen.mindelay ?? undefined,
        asymmetry: screen.asymmetry ?? undefined,
        filter: screen.filter ?? undefined
      }

/**
 * @param precision of our clock, seconds
 * @param frequency undefined when nothing is known
 * @param id its name in the selection, its address unless another source has that
 * @param configuration of its line; undefined where none names it
 */
export const trackedAt = (
  endpoint: Endpoint,
  options: AssociationOptions,
  precision: number,
  frequency: KnownFrequency | undefined,
  configuration: UpstreamConfiguration | undefined,
  id: string = endpoint.address
): TrackedSource => {
  const { prefer, noselect, alwaysTrue, minpoll, maxpoll } = options
  return new TrackedSource(
    {
      id,
      prefer,
      noselect,
      alwaysTrue,
      minpoll,
      maxpoll,
      screen: screenOf(configuration?.screen)
    },
    precision,
    new SourceEstimator(precision, frequency)
  )
}

export const count = (upstream: Upstream, reason: string): void => {
  upstream.dropped[reason] = (upstream.dropped[reason] ?? 0) + 1
}

/** Keeps count of what an association did. @param now CLOCK_MONOTONIC, seconds */
export const noteAction = (upstream: Upstream, action: AssociationAction, now: number): void => {
  if (action._tag === "Send") {
    upstream.sent += 1
    upstream.sentAt = now
  }
  if (action._tag === "Sample") {
    upstream.taken += 1
    upstream.lastDrop = undefined
  }
  if (action._tag === "Drop") upstream.lastDrop = action.reason
  if (action._tag === "ReachabilityChanged") upstream.reachabilityAt = now
}
