/** What associations do, told to those that care: sockets send, keys are exchanged, samples become what is tracked. */
import { isScreenedLate } from "@meridian/algorithms"
import type { Sample, Endpoint, AssociationSet, Associated } from "@meridian/protocol/associations"
import { isSymmetric } from "@meridian/protocol/associations"
import type { KeyExchanges } from "./key-exchanges.ts"
import type { NtsCounts } from "./nts-counts.ts"
import { bracketed } from "./source-lines.ts"
import { count, noteAction, trackedAt, type Upstream } from "./upstream.ts"
import type { UpstreamSockets } from "./upstream-sockets.ts"
import type { UpstreamListener, UpstreamSurroundings } from "./upstream-surroundings.ts"

/** Requests in a row that went unanswered, the one under way included, after which the next address of a name is tried. */
const SILENT_BEFORE_NEXT_ADDRESS = 4

interface AssociationParts {
  readonly set: AssociationSet
  readonly byId: ReadonlyMap<number, Upstream>
  readonly sockets: UpstreamSockets
  readonly keys: () => KeyExchanges | undefined
  readonly nts: NtsCounts
}

export class AssociationEvents {
  private readonly set: AssociationSet
  private readonly byId: ReadonlyMap<number, Upstream>
  private readonly sockets: UpstreamSockets
  private readonly keys: () => KeyExchanges | undefined
  private readonly nts: NtsCounts
  private readonly surroundings: UpstreamSurroundings
  private readonly listener: UpstreamListener

  constructor(parts: AssociationParts, surroundings: UpstreamSurroundings, listener: UpstreamListener) {
    this.set = parts.set
    this.byId = parts.byId
    this.sockets = parts.sockets
    this.keys = parts.keys
    this.nts = parts.nts
    this.surroundings = surroundings
    this.listener = listener
  }

  /** A source's address names it, with its port where another source has that address. */
  nameFor({ address, port }: Endpoint): string {
    const isTaken = [...this.byId.values()].some(({ tracked }) => tracked.configuration.id === address)
    return isTaken ? `${bracketed(address)}:${port}` : address
  }

  take({ id, action }: Associated): void {
    const upstream = this.byId.get(id)
    if (upstream === undefined) return
    noteAction(upstream, action, this.surroundings.read().monotonic)
    if (upstream.configuration !== undefined && upstream.configuration.nts !== null) this.nts.note(action)
    switch (action._tag) {
      case "Send":
        this.moved(upstream)
        upstream.tracked.isUnaskable = false
        void this.sockets.send(id, action)
        this.keys()?.changed(id)
        if (action.isAhead) break
        this.polled(upstream)
        if ((this.set.get(id)?.unanswered ?? 0) % SILENT_BEFORE_NEXT_ADDRESS === 0) this.keys()?.turnToOtherAddress(id)
        break
      case "Sample":
        this.keys()?.used(id)
        this.sockets.answered(id)
        this.measured(upstream, action)
        break
      case "Unusable": {
        this.keys()?.used(id)
        const { leap, stratum, rootDelay, rootDispersion } = action
        upstream.tracked.unusable({ leap, stratum, rootDelay, rootDispersion })
        this.listener.lost()
        break
      }
      case "ReachabilityChanged":
        this.listener.reachabilityChanged(upstream, action.reachable, action.reach)
        break
      case "Kiss":
        count(upstream, `kiss ${action.code}`)
        break
      case "Missed":
        this.polled(upstream)
        break
      case "NeedKeyExchange":
        // Beside a request, or in place of one.
        if (action.reason !== "unreachable") this.polled(upstream)
        this.needKeys(upstream)
        break
      case "Drop":
        count(upstream, action.reason)
        if (action.reason === "no-key") {
          this.polled(upstream)
          this.cannotAsk(upstream)
        }
    }
  }

  /** An exchange failed. Who answers has keys from one before. */
  keysFailed(id: number): void {
    const upstream = this.byId.get(id)
    if (upstream?.tracked.reach === 0) this.cannotAsk(upstream)
  }

  private cannotAsk({ tracked }: Upstream): void {
    if (tracked.isUnaskable) return
    tracked.isUnaskable = true
    this.listener.lost()
  }

  private polled(upstream: Upstream): void {
    upstream.polls += 1
    upstream.useless += 1
    upstream.tracked.polled()
    if (upstream.tracked.reach === 0 && upstream.polls > 1) this.listener.lost()
  }

  private measured(upstream: Upstream, sample: Sample): void {
    const { time, delay, dispersion, stratum, leap, rootDelay, rootDispersion } = sample
    const isPeer = isSymmetric(upstream.options.mode)
    const { correction, added } = this.surroundings
    const middle = time - delay / 2
    const bias = upstream.configuration?.bias ?? 0
    const offset = sample.offset + bias + (isPeer ? correction(middle) : 0) + added(middle)
    upstream.sample = sample
    upstream.lastReply = time
    const outcome = upstream.tracked.answered(
      { time, offset, delay, dispersion },
      { stratum, leap, rootDelay, rootDispersion, loop: false }
    )
    if (isScreenedLate(outcome)) count(upstream, outcome)
    this.listener.measured(upstream, sample)
  }

  /** What a source said under keys that were dropped counts no more. */
  dropped(id: number): void {
    this.set.get(id)?.keysDropped()
    const upstream = this.byId.get(id)
    if (upstream !== undefined) this.forget(upstream)
  }

  /** What a source said lately counts no more. */
  forget(upstream: Upstream): void {
    const { precision, frequency } = this.surroundings
    upstream.sample = undefined
    const { endpoint, options, configuration, tracked } = upstream
    // Its name stays: by the address alone it could be that of another source there.
    const { id } = tracked.configuration
    upstream.tracked = trackedAt(endpoint, options, 2 ** precision, frequency, configuration, id)
    this.listener.lost()
  }

  /** A key exchange may have sent us elsewhere: that is another source. */
  private moved(upstream: Upstream): void {
    const endpoint = this.set.get(upstream.id)?.endpoint
    if (endpoint === undefined || endpoint === upstream.endpoint) return
    const { precision, frequency } = this.surroundings
    if (endpoint.address !== upstream.endpoint.address)
      upstream.tracked = trackedAt(
        endpoint,
        upstream.options,
        2 ** precision,
        frequency,
        upstream.configuration,
        this.nameFor(endpoint)
      )
    upstream.endpoint = endpoint
  }

  private needKeys({ id, host, mobilisedAt, configuration }: Upstream): void {
    if (host === undefined || configuration === undefined || configuration.nts === null) return
    const { nts, family } = configuration
    this.keys()?.need({ id, host, family, endpoint: mobilisedAt, nts })
  }
}
