/** What the leader keeps in order: no ended key stays in the key store, no clock event in the log for longer than the policy says. */
import * as Effect from "effect/Effect"
import type { LogUnavailable, KeyStoreUnavailable, SlotTaken } from "@meridian/event-log"
import { ntsAggregate, symmetricAggregate } from "./cluster-fold.ts"
import { catchUp, type Writer } from "./command.ts"
import type { KeyManager } from "./key-manager.ts"
import type { Mint } from "./minting.ts"
import { isClusters, liveSlots } from "./serving.ts"

const TIDY_INTERVAL_MS = 300_000
const RETENTION_INTERVAL_MS = 3_600_000
/** Beyond what any clock may differ by: of members goes all that a node has summed up since, so that its log begins with that. */
const DAY_MS = 86_400_000

/** Of clock events; null for the policy's. */
export interface ClockRetention {
  readonly ms: number | null
  readonly count: number | null
}

export class Upkeep {
  readonly #writer: Writer
  readonly #retention: ClockRetention
  readonly #keyManager: KeyManager
  readonly #mint: Mint
  #tidied = ""
  #tidiedAt = Number.NEGATIVE_INFINITY
  #retainedAt = Number.NEGATIVE_INFINITY

  constructor(writer: Writer, retention: ClockRetention, keyManager: KeyManager, mint: Mint) {
    this.#writer = writer
    this.#retention = retention
    this.#keyManager = keyManager
    this.#mint = mint
  }

  /** What another has tidied is looked at anew. */
  beginToLead(): void {
    this.#tidied = ""
  }

  /** Milliseconds until there is something to do, none or fewer when there is. */
  get dueIn(): number {
    const now = performance.now()
    return this.isTidyDue
      ? 0
      : Math.min(this.#tidiedAt + TIDY_INTERVAL_MS, this.#retainedAt + RETENTION_INTERVAL_MS) - now
  }

  /** As soon as something has ended, and once in a while. */
  get isTidyDue(): boolean {
    if (performance.now() - this.#tidiedAt >= TIDY_INTERVAL_MS) return true
    return [...liveSlots(this.#writer.fold)].join(" ") !== this.#tidied
  }

  /** Shreds what has ended. @param leads whether this node still does, once the log has been caught up with */
  tidy(leads: () => boolean): Effect.Effect<void, KeyStoreUnavailable | SlotTaken | LogUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const { fold } = this.#writer
      // What was stored without our hearing of it may name a slot: nothing is shredded on an old view.
      for (const { subject } of [ntsAggregate, symmetricAggregate]) yield* catchUp(this.#writer, subject)
      const kept = new Set([...liveSlots(fold), ...this.#mint.reserved(fold)])
      if (!leads()) return
      yield* this.#keyManager.tidyKeyStore(kept, isClusters(fold.clusterKey))
      yield* this.#keyManager.keepOnly(kept)
      this.#tidied = [...liveSlots(fold)].join(" ")
      this.#tidiedAt = performance.now()
    })
  }

  /** At once when it begins to lead, then once an hour. Keys and policy are kept for ever. */
  readonly retain: Effect.Effect<void, LogUnavailable> = Effect.suspend(() => {
    if (performance.now() - this.#retainedAt < RETENTION_INTERVAL_MS) return Effect.void
    this.#retainedAt = performance.now()
    const { log, fold, now } = this.#writer
    const { clockRetentionMs, clockRetentionCount, clockRetentionBytes } = fold.policy.settings
    const { ms, count } = this.#retention
    return Effect.andThen(
      log.retain({
        family: "clock",
        storedBefore: now() - (ms ?? clockRetentionMs),
        keepPerSubject: count ?? clockRetentionCount,
        keepBytesPerSubject: clockRetentionBytes
      }),
      Effect.asVoid(log.retain({ family: "members", storedBefore: now() + DAY_MS }))
    )
  })
}
