/**
 * Laying in again what the log has lost: a purge, or a backup that is older than what nodes know. One event a subject says all
 * that the fold holds of it, over the hole. Whoever leads does it for keys and policy, and another where he does not; each node
 * for itself. Of nodes that are away the log knows again when they are back.
 */
import * as Effect from "effect/Effect"
import { type AggregateState, type Envelope, type MemberHealth, memberSubject } from "@meridian/events"
import { type Aggregate, keptAggregates, memberAggregate } from "./cluster-fold.ts"
import { carryOut, type CommandError, type Writer } from "./command.ts"

/** Looks that the leader is given before another node does it. */
export const LOOKS_FOR_LEADER = 3

/** @param subjects what the log lacks; those that are nobody's to lay in here are left */
export const layIn = (
  writer: Writer,
  subjects: ReadonlyArray<string>,
  health: MemberHealth
): Effect.Effect<void, CommandError> =>
  Effect.gen(function* () {
    for (const kept of keptAggregates) {
      if (!subjects.includes(kept.subject)) continue
      const aggregate = kept as unknown as Aggregate<AggregateState, { readonly _tag: "Restore" }, Envelope>
      yield* carryOut(writer, aggregate, () => Effect.succeed({ _tag: "Restore" as const }), undefined, {
        overHole: true
      })
    }
    if (subjects.includes(memberSubject(writer.node)))
      yield* carryOut(
        writer,
        memberAggregate(writer.node),
        () => Effect.succeed({ _tag: "Summarise" as const, health }),
        undefined,
        { overHole: true }
      )
  })
