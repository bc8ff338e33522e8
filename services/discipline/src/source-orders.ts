/** What an operator has done with sources, in chronyc's words: not asked, asked again, asked quickly, looked up again. */
import type { SourceCommand } from "@meridian/ipc/source-command"
import type { AssociationSet, Moment } from "@meridian/protocol/associations"
import type { AssociationEvents } from "./association-events.ts"
import type { UpstreamListener } from "./upstream-surroundings.ts"
import type { Upstream } from "./upstream.ts"

interface SourceOrderParts {
  readonly set: AssociationSet
  readonly all: () => readonly Upstream[]
  readonly events: AssociationEvents
  readonly listener: UpstreamListener
  readonly moment: () => Moment
  /** Somebody is due at another time. */
  readonly changed: () => void
}

export class SourceOrders {
  /** Numeric addresses. */
  #offline: ReadonlySet<string>
  readonly #parts: SourceOrderParts

  constructor(offline: readonly string[], parts: SourceOrderParts) {
    this.#offline = new Set(offline)
    this.#parts = parts
  }

  /** Done once. */
  command({ act, addresses, good, total }: SourceCommand): void {
    const { set, all, moment, changed } = this.#parts
    if (act === "refresh") set.refresh(moment())
    else for (const { id } of all().filter(isAt(addresses))) set.startBurst(moment(), id, good, total)
    changed()
  }

  /** All that are not to be asked, those among them that are new included; the others are asked. */
  useOffline(addresses: readonly string[]): void {
    this.#offline = new Set(addresses)
    for (const upstream of this.#parts.all()) this.order(upstream)
    this.#parts.changed()
  }

  /** Has a source stand as it was ordered to: from its first moment on. */
  order(upstream: Upstream): void {
    const { set, events, listener, moment } = this.#parts
    const isOffline = this.#offline.has(upstream.endpoint.address)
    if (set.isOffline(upstream.id) === isOffline) return
    set.setOnline(moment(), upstream.id, !isOffline)
    if (!set.isOffline(upstream.id)) return
    const { reach } = upstream.tracked
    // What it said lately counts no more.
    events.forget(upstream)
    if (reach !== 0) listener.reachabilityChanged(upstream, false, 0)
  }
}

const isAt =
  (addresses: readonly string[]) =>
  ({ endpoint }: Upstream): boolean =>
    addresses.includes(endpoint.address)
