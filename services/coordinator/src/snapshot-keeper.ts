/** When the state is worth a snapshot, and saving it. */
import * as Effect from "effect/Effect"
import type { EventLog } from "@meridian/event-log"
import { sentence } from "./notices.ts"
import { type OwnSnapshot, writeSnapshot } from "./own-snapshot.ts"

export const SNAPSHOT_NAME = "coordinator"
const EVERY_MS = 300_000
const EVERY_EVENTS = 10_000

export class SnapshotKeeper {
  readonly #node: string
  readonly #read: () => OwnSnapshot
  readonly #tell: (topic: string, message: string) => Effect.Effect<void>
  #savedAt = performance.now()
  #seq = 0
  #essentials = ""

  /** @param read the state as it stands */
  constructor(node: string, read: () => OwnSnapshot, tell: (topic: string, message: string) => Effect.Effect<void>) {
    this.#node = node
    this.#read = read
    this.#tell = tell
  }

  /** The state now goes from a snapshot of this place on; 0 for none. */
  begin(seq: number): void {
    this.#seq = seq
  }

  /** Milliseconds until one is to be saved, none or fewer when it is. */
  get dueIn(): number {
    const { seq, fold } = this.#read()
    const news = seq - this.#seq
    // These change seldom, and a start without NATS needs the newest.
    if (news >= EVERY_EVENTS || this.#essentialsOf(fold) !== this.#essentials) return 0
    return news > 0 ? this.#savedAt + EVERY_MS - performance.now() : Infinity
  }

  save(log: EventLog["Service"]): Effect.Effect<void> {
    return Effect.suspend(() => {
      const state = this.#read()
      const essentials = this.#essentialsOf(state.fold)
      return Effect.matchEffect(log.saveSnapshot(SNAPSHOT_NAME, writeSnapshot(state)), {
        onSuccess: () =>
          Effect.sync(() => {
            this.#savedAt = performance.now()
            this.#seq = state.seq
            this.#essentials = essentials
          }),
        onFailure: (error) => this.#tell("snapshot", `no snapshot could be saved: ${sentence(error)}`)
      })
    })
  }

  /** What a start without the log must know: keys, and whether the node is drained. */
  #essentialsOf(fold: OwnSnapshot["fold"]): string {
    const { nts, symmetric, clusterKey, policy } = fold
    const versions = [nts, symmetric, clusterKey, policy].map(({ version }) => version)
    return [...versions, fold.member(this.#node).drained].join(" ")
  }
}
