/**
 * The lease in a key-value bucket whose entries last for a few seconds. Creating the entry takes the lease, and of several
 * that try one succeeds; the holder alone renews it. Its revision when it was taken grows from holder to holder: the fencing
 * term. The holder counts its time from before each renewal was sent, by a clock that only goes forward, and stops in good
 * time before anybody else can take over. The time at which NATS stored the entry shows every node what time NATS has.
 */
import type { JetStreamClient } from "@nats-io/jetstream"
import { type KvEntry, Kvm } from "@nats-io/kv"
import * as Effect from "effect/Effect"
import { randomUUID } from "node:crypto"
import { isNodeName } from "@meridian/events"
import type { Lease } from "./lease.ts"

/** How long the lease lasts without renewal. A leader that is killed is replaced within this and a moment. */
export const LEASE_MS = 4_000
const RENEW_MS = 1_000
const ACQUIRE_MS = 400
/** The holder stops believing in it this long before it can lapse. */
const MARGIN_MS = 500
const KEY = "leader"

/** What was seen of the entry is worth nothing after this. */
const SEEN_MS = 2 * LEASE_MS

interface Held {
  /** Revision when it was taken. */
  readonly taken: number
  readonly revision: number
  /** performance.now() until which it may be relied on. */
  readonly until: number
}

/** What the lease asks of the node's clock, and tells it. */
export interface LeaseClock {
  /** Whether to try for the lease, and to keep it. */
  readonly mayCompete: boolean
  /** Milliseconds since 1970 by NATS's clock, a moment ago. */
  readonly hearServer: (time: number) => void
}

/** The node that an entry names, null where it names none: whoever may write there may write anything. */
const holderIn = (text: string): string | null => {
  try {
    const { node } = JSON.parse(text) as { readonly node?: unknown }
    return typeof node === "string" && isNodeName(node) ? node : null
  } catch {
    return null
  }
}

/** Opens the bucket and competes for the lease from now on. Rejects where the bucket cannot be opened. */
export const natsLease = async (
  client: JetStreamClient,
  bucket: string,
  replicas: number,
  node: string,
  clock: LeaseClock
): Promise<Lease> => {
  const kv = await new Kvm(client).create(bucket, { ttl: LEASE_MS, history: 1, replicas })
  const manager = await client.jetstreamManager()
  // A holder is a process, not a node: one that was restarted is somebody else.
  const me = JSON.stringify({ node, process: randomUUID() })
  let held: Held | undefined
  /** Who held it when the entry was looked at last. */
  let seen: { readonly node: string | null; readonly at: number } | undefined
  let resigned = false
  let timer: NodeJS.Timeout | undefined

  const holding = (): Held | undefined => (held !== undefined && performance.now() < held.until ? held : undefined)

  const release = async (): Promise<void> => {
    const last = held
    held = undefined
    if (last === undefined) return
    // Purging leaves no marker behind, so that taking it is again the creation of an entry. Never a successor's.
    await manager.streams
      .purge(`KV_${bucket}`, { filter: `$KV.${bucket}.${KEY}`, seq: last.revision + 1 })
      .catch(() => undefined)
  }

  const attempt = async (): Promise<void> => {
    const until = performance.now() + LEASE_MS - MARGIN_MS
    const current = holding()
    held = current
    if (!clock.mayCompete) {
      await release()
      return void (await look())
    }
    try {
      if (current === undefined) {
        const taken = await kv.create(KEY, me)
        if (!resigned) held = { taken, revision: taken, until }
      } else {
        const revision = await kv.update(KEY, me, current.revision)
        if (!resigned) held = { ...current, revision, until }
      }
      // Not waited for: the next renewal must not come late for it.
      void look()
    } catch {
      // Out of reach, somebody else's, or ours with the answer lost: what stands there tells.
      await adopt(current)
    }
  }

  /** The entry as it stands, null where there is none or NATS is out of reach. */
  const look = async (): Promise<KvEntry | null> => {
    let entry: KvEntry | null
    try {
      entry = await kv.get(KEY)
    } catch {
      return null
    }
    seen = { node: entry === null ? null : holderIn(entry.string()), at: performance.now() }
    if (entry !== null) clock.hearServer(entry.created.getTime())
    return entry
  }

  /** An entry of ours whose acknowledgement was lost is ours all the same; how old it is only a renewal makes sure. */
  const adopt = async (current: Held | undefined): Promise<void> => {
    try {
      const entry = await look()
      if (entry === null || entry.string() !== me || resigned) return
      const until = performance.now() + LEASE_MS - MARGIN_MS
      const revision = await kv.update(KEY, me, entry.revision)
      if (!resigned) held = { taken: current?.taken ?? revision, revision, until }
    } catch {
      // The end that was known stands.
    }
  }

  const keepOn = async (): Promise<void> => {
    await attempt()
    if (!resigned) timer = setTimeout(() => void keepOn(), holding() === undefined ? ACQUIRE_MS : RENEW_MS)
  }
  void keepOn()

  return {
    held: () => holding()?.taken,
    holder: () => {
      if (holding() !== undefined) return node
      return seen !== undefined && performance.now() - seen.at < SEEN_MS ? seen.node : undefined
    },
    release: Effect.promise(release),
    resign: Effect.promise(async () => {
      resigned = true
      clearTimeout(timer)
      await release()
    })
  }
}
