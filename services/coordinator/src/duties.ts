/**
 * What a coordinator does over and over, each duty in a fiber of its own, so that none waits for another: an append that NATS
 * keeps waiting holds up neither the folding nor the keys.
 *
 * A duty that fails is told of, once per cause, and done again when it is due. One that dies is a fault of this program, after
 * which nobody knows what its state is worth: the process ends by the duty's name, and the supervisor starts another.
 */
import * as Effect from "effect/Effect"
import { LogUnavailable } from "@meridian/event-log"
import { sentence } from "./notices.ts"
import type { Rounds } from "./rounds.ts"

export interface Duty {
  readonly name: string
  /** Milliseconds until there is something to do, none or fewer when there is; cheap, since it is asked each second. */
  readonly dueIn: () => number
  readonly run: Effect.Effect<unknown, unknown>
}

/** A duty that is due whenever a test says so. */
export const duty = (name: string, isDue: () => boolean, run: Effect.Effect<unknown, unknown>): Duty => ({
  name,
  dueIn: () => (isDue() ? 0 : Infinity),
  run
})

/** A defect in a duty. */
export class DutyDied extends Error {
  readonly _tag = "DutyDied"
  readonly duty: string
  constructor(name: string, defect: unknown) {
    super(`${name} died: ${sentence(defect)}`, { cause: defect })
    this.duty = name
  }
}

/** Trying again would never end: the next start puts a damaged log aside. */
export const isDamaged = (error: unknown): error is LogUnavailable =>
  error instanceof LogUnavailable && (error.damaged === true || error.replaced === true)

interface DutySurroundings {
  readonly rounds: Pick<Rounds, "until">
  readonly tell: (topic: string, message: string) => Effect.Effect<void>
}

/** Does a duty at once, and whenever a look finds it due, until the log is found damaged or the duty dies. */
export const perform = (
  { name, dueIn, run }: Duty,
  { rounds, tell }: DutySurroundings
): Effect.Effect<never, LogUnavailable | DutyDied> =>
  run.pipe(
    Effect.catch((error) => (isDamaged(error) ? Effect.fail(error) : tell(name, `${name}: ${sentence(error)}`))),
    Effect.catchDefect((defect) => Effect.fail(new DutyDied(name, defect))),
    Effect.andThen(rounds.until(dueIn)),
    Effect.forever
  )
