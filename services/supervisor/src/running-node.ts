/** A node that runs, as its owner holds it; and what kept one from starting. */
import { errnoWords } from "@meridian/system/errno-words"
import { errnoName } from "@meridian/system/native"
import type { SourceReport } from "@meridian/ipc/discipline-report"
import type { NodeStatus } from "@meridian/ipc"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SupervisedProcess } from "./supervised-process.ts"
import type { RecordAct } from "./acts.ts"
import type { Legacy } from "./legacy.ts"
import type { NodePlan } from "./node-plan.ts"

export interface RunningNode {
  readonly status: () => NodeStatus
  /** Has the log say what happens from now on: not before whoever started it has seen that it runs. */
  readonly keepJournal: () => void
  /** Replaces the workers one by one; each successor reads before its predecessor stops. */
  readonly replaceWorkers: Effect.Effect<void>
  /** Works by another plan, as far as that is possible without a start; key files and certificates are read again. Returns what went wrong. */
  readonly apply: (next: NodePlan) => Effect.Effect<readonly string[]>
  /** Has the event log say what an operator did. */
  readonly record: RecordAct
  /** Until the clock works by what it was last told, so that whoever looks next sees it; less than a second at most. */
  readonly settled: () => Promise<void>
  /** Those that are asked, as they stand. */
  readonly sources: () => readonly SourceReport[]
  /** Takes the node out as an operator's drain does, for one that is about to end: nobody is cut off. */
  readonly leave: Effect.Effect<void>
  /** Why this process cannot become another version's supervisor; undefined where it can. */
  readonly cannotHandOver: string | undefined
  /** Ends all but who serves time and keys, and says what the program that this process becomes finds. There is no way back. */
  readonly handOver: Effect.Effect<Legacy>
  /** Withdraws the route, has every process finish what it holds, then ends them and the clock. */
  readonly drain: Effect.Effect<void>
}

/** What stopped the node from starting, in one line that says what to do. */
export interface StartFailed {
  readonly _tag: string
  readonly message: string
}

/** A step of the start; what it throws becomes a sentence. */
export const attempt = <A>(what: () => A | Promise<A>): Effect.Effect<A, StartFailed> =>
  Effect.tryPromise({
    try: async () => what(),
    catch: (error) => {
      const known = error as Partial<StartFailed>
      if (known._tag !== undefined) return { _tag: known._tag, message: known.message ?? String(error) }
      const name = errnoName(error)
      return { _tag: "StartFailed", message: name === "UNKNOWN" ? (known.message ?? String(error)) : errnoWords(name) }
    }
  })

/** Starts processes together; succeeds when all are ready. */
export const startAll = (places: readonly SupervisedProcess[]): Effect.Effect<void, StartFailed, Scope.Scope> =>
  Effect.gen(function* () {
    for (const place of places) yield* Effect.forkScoped(place.keepFilled)
    yield* Effect.forEach(places, (place) => place.firstReady, { concurrency: "unbounded", discard: true }).pipe(
      Effect.mapError((message): StartFailed => ({ _tag: "ProcessNotReady", message }))
    )
  })
