/**
 * One timer for all that comes round in this process: whoever waits for something to be due is asked once a second, and at
 * the very moment that he has named. Asking is cheap and waking is not: most seconds of a quiet node nobody is woken. Where nobody
 * was for some looks, he is asked each twelfth, until somebody is: what has come in has a look of its own, and what time alone makes due says when.
 */
import { untilTurn } from "@meridian/ipc/turns"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export const LOOK_MS = 1_000
export const REST_LOOK_MS = 12_000
/** Looks that found nobody due. */
const RESTS_AFTER = 1
/** Timers keep milliseconds, and may come a little early. */
const ROUNDING_MS = 1

interface Waiting {
  readonly dueIn: () => number
  readonly wake: () => void
}

export class Rounds {
  readonly #waiting = new Set<Waiting>()
  #timer: NodeJS.Timeout | undefined
  #lookAt = 0
  #fruitless = 0
  #ended = false

  /** No timer is left behind when the scope ends. */
  readonly run: Effect.Effect<void, never, Scope.Scope> = Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => this.#lookIn(LOOK_MS)),
      () =>
        Effect.sync(() => {
          this.#ended = true
          clearTimeout(this.#timer)
        })
    )
  )

  /**
   * Waits until it is due: at the next look, at the earliest. A clock may be stepped, so it is asked anew at each look.
   * @param dueIn milliseconds, none or fewer when it is due; it must be cheap
   */
  until(dueIn: () => number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const waiting: Waiting = { dueIn, wake: () => resume(Effect.void) }
      this.#waiting.add(waiting)
      const left = leftOf(waiting)
      if (left > 0) this.#lookIn(left)
      else this.lookSoon()
      return Effect.sync(() => void this.#waiting.delete(waiting))
    })
  }

  /** Looks within a second. */
  lookSoon(): void {
    this.#fruitless = 0
    this.#lookIn(LOOK_MS)
  }

  /** Looks now, whatever the time: something has come in. */
  look(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    let next = Infinity
    this.#fruitless += 1
    // Who is woken may wait anew at once: for the next look.
    const asked = Array.from(this.#waiting, (waiting) => ({ waiting, left: leftOf(waiting) }))
    for (const { waiting, left } of asked) {
      if (left > 0) {
        next = Math.min(next, left)
        continue
      }
      this.#fruitless = 0
      this.#waiting.delete(waiting)
      waiting.wake()
    }
    this.#lookIn(next)
  }

  /** Never later than it is to look already. */
  #lookIn(ms: number): void {
    const look = this.#fruitless < RESTS_AFTER ? LOOK_MS : REST_LOOK_MS
    const wait = ms < look ? Math.ceil(ms) + ROUNDING_MS : untilTurn(look)
    const at = performance.now() + wait
    if (this.#ended || (this.#timer !== undefined && this.#lookAt <= at)) return
    clearTimeout(this.#timer)
    this.#lookAt = at
    this.#timer = setTimeout(() => this.look(), wait)
  }
}

/** One that cannot even be asked is due: what is wrong with it shows when it runs, and is said. */
const leftOf = ({ dueIn }: Waiting): number => {
  try {
    return dueIn()
  } catch {
    return 0
  }
}
