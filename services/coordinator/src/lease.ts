/** Who may lead. Whoever holds the lease does, until a moment that it knows beforehand. */
import type * as Effect from "effect/Effect"

export interface Lease {
  /** While held: a number that is greater with each new holder. Undefined once it is lost or may be. */
  readonly held: () => number | undefined
  /** The node that holds it as far as was seen a moment ago, null for none; undefined where that cannot be told. */
  readonly holder?: () => string | null | undefined
  /** Gives it up, so that another may have it; competes for it again. */
  readonly release: Effect.Effect<void>
  /** Gives it up for good. */
  readonly resign: Effect.Effect<void>
}
