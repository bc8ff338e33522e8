/**
 * What a node of a cluster looks after besides its own: whether the log is still the one it has folded and has lost nothing, what
 * it lays in again, the key store, and its own clock beside the others'. A log of one's own needs none of it.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { memberSubject, type MemberHealth, NTS_KEYS_SUBJECT } from "@meridian/events"
import type { ClusterFold } from "./cluster-fold.ts"
import type { Writer } from "./command.ts"
import { type Duty, duty } from "./duties.ts"
import type { Backend } from "./embedded.ts"
import type { KeyManager } from "./key-manager.ts"
import { layIn, LOOKS_FOR_LEADER } from "./laying-in.ts"
import type { Leader } from "./leader.ts"
import type { Known, LogReplaced, LogWatch } from "./log-watch.ts"
import { HISTORY_WAIT_MS, LostHistory, lostHistory } from "./lost-history.ts"
import type { NodeClock } from "./node-clock.ts"
import { isClusters, liveSlots } from "./serving.ts"

const LOOK_AT_LOG_MS = 4_000
const LAY_IN_MS = 10_000
const LOOK_AGAIN = Schedule.spaced("1 second")

interface CareSurroundings {
  readonly node: string
  readonly clock: NodeClock
  readonly keyManager: KeyManager
  readonly watch: LogWatch
  readonly warn: (message: string) => void
  /** What the node has folded, as it stands. */
  readonly known: () => Known
  readonly health: () => MemberHealth
  /** This node's clock was found to be off, or right again. */
  readonly clockJudged: () => void
  /** The log is another one: this process ends. */
  readonly replaced: (why: LogReplaced) => Effect.Effect<void>
}

export class ClusterCare {
  readonly #in: CareSurroundings
  readonly #history = new LostHistory(() => performance.now())
  #keysLaidInAt = Number.NEGATIVE_INFINITY
  #doubted = false

  constructor(surroundings: CareSurroundings) {
    this.#in = surroundings
  }

  /** Whether leading is left to others that may know what the log has lost. */
  isHistoryAwaited(fold: ClusterFold): boolean {
    return this.#history.isAwaited(fold)
  }

  duties({ log }: Backend, leader: Leader, writer: Writer): ReadonlyArray<Duty> {
    return [
      duty("standing back", () => leader.mustStandBack, leader.standBack),
      { name: "log", dueIn: () => 0, run: this.#lookAtLog(log) },
      { name: "clock", dueIn: () => 0, run: this.#lookAtClock },
      duty("laying in", () => this.#toLayIn(leader).length > 0, this.#layInLog(leader, writer)),
      duty("key store", () => performance.now() - this.#keysLaidInAt >= LAY_IN_MS, this.#layInKeys)
    ]
  }

  /** Others may know what the log has lost: this node leads only when they have had the time to lay it in. */
  awaitHistory({ log, keyStore }: Backend): Effect.Effect<void> {
    const { known, warn } = this.#in
    return Effect.gen({ self: this }, function* () {
      const { beginsAt = 1 } = yield* log.status
      const storedKeys = (yield* keyStore.list).length
      const version = yield* log.version(NTS_KEYS_SUBJECT)
      if (!this.#history.look({ version, beginsAt, storedKeys })) return
      if (known().fold.nts.version > 0) return
      warn(lostHistory(beginsAt, storedKeys))
      yield* Effect.sleep(HISTORY_WAIT_MS)
      if (known().fold.nts.version === 0)
        warn("no node has laid in again what the log has lost: this node may lead now, and the keys begin anew")
    }).pipe(Effect.retry(LOOK_AGAIN), Effect.orDie)
  }

  #lookAtLog(log: Backend["log"]): Effect.Effect<void> {
    return Effect.suspend(() => this.#in.watch.look(log, this.#in.known(), this.#in.warn)).pipe(
      Effect.catch(this.#in.replaced),
      Effect.andThen(Effect.sleep(LOOK_AT_LOG_MS))
    )
  }

  /** The leader does at once what others do where he does not. */
  #toLayIn({ leading }: Leader): ReadonlyArray<string> {
    const { node, watch } = this.#in
    const late = new Set(watch.lacking(LOOKS_FOR_LEADER))
    return watch.lacking().filter((subject) => leading || subject === memberSubject(node) || late.has(subject))
  }

  #layInLog(leader: Leader, writer: Writer): Effect.Effect<void, unknown> {
    return Effect.suspend(() => {
      const { clock, health, watch } = this.#in
      const subjects = this.#toLayIn(leader)
      if (subjects.length === 0 || !clock.mayWrite) return Effect.void
      return Effect.tap(layIn(writer, subjects, health()), () =>
        Effect.sync(() => {
          for (const subject of subjects) watch.lost.delete(subject)
        })
      )
    })
  }

  /** Of what the key store has lost, somebody has a copy; whoever leads need not. */
  readonly #layInKeys: Effect.Effect<void, unknown> = Effect.suspend(() => {
    this.#keysLaidInAt = performance.now()
    const { fold } = this.#in.known()
    return this.#in.keyManager.layIn(liveSlots(fold), isClusters(fold.clusterKey))
  })

  /** Says when the clock is found to be off, and when it is right again. */
  readonly #lookAtClock: Effect.Effect<void> = Effect.sync(() => {
    const { clock, clockJudged, warn } = this.#in
    const off = !clock.mayCompete
    if (off === this.#doubted) return
    this.#doubted = off
    clockJudged()
    warn(off ? clock.doubt : "this node's clock agrees with the others again")
  })
}
