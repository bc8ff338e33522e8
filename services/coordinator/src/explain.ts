/**
 * What was true at a moment, by folding the log up to it: who led, which generations were active, which peer each node
 * followed, each with the event that says so; and what retention has dropped, so that a gap is not taken for an answer.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { EventLog, LogUnavailable } from "@meridian/event-log"
import { clockSubject, fromIso, toIso } from "@meridian/events"
import type { Explanation } from "@meridian/ipc"
import { ClusterFold } from "./cluster-fold.ts"
import { clockViews, generationViews, setViews } from "./state-view.ts"

/** `at`: milliseconds since 1970; `now`: the same of this moment, by which `at` may be still to come. */
export const explain = (
  log: EventLog["Service"],
  at: number,
  now: number
): Effect.Effect<Explanation, LogUnavailable> =>
  Effect.gen(function* () {
    const fold = new ClusterFold()
    const firstTimes = new Map<string, number>()
    let leader: Explanation["leader"] = null
    let quarantined = 0
    yield* Stream.runForEach(log.read({ from: 1 }), (batch) =>
      Effect.sync(() => {
        quarantined += batch.quarantined.length
        for (const { event } of batch.events) {
          const time = fromIso(event.time)
          if (!firstTimes.has(event.subject)) firstTimes.set(event.subject, time)
          if (time > at || fold.fold(event) !== undefined) continue
          if (event.type === "NtsLeaderTookOver")
            leader = { node: event.data.leader, term: event.data.term, event: event.id }
        }
      })
    )
    const { families } = yield* log.status
    const dropped = families
      .flatMap(({ subjects }) => subjects)
      .filter(({ firstVersion }) => firstVersion > 1)
      .map(({ subject, firstVersion }) => {
        const firstLeft = firstTimes.get(subject)
        return {
          subject,
          events: firstVersion - 1,
          firstLeft: firstLeft === undefined ? null : toIso(firstLeft),
          matters: firstLeft === undefined || firstLeft > at || lacksPeer(fold, subject)
        }
      })
    return {
      at: toIso(at),
      future: at > now,
      leader,
      generations: generationViews(fold, at).filter(({ status }) => status !== "retired" && status !== "revoked"),
      symmetricSets: setViews(fold, at),
      clocks: clockViews(fold),
      dropped,
      quarantined
    }
  })

/** When an event was, milliseconds since 1970; undefined where the log has none of that id. */
export const momentOf = (log: EventLog["Service"], id: string): Effect.Effect<number | undefined, LogUnavailable> =>
  Stream.runFold(
    log.read({ from: 1 }),
    (): number | undefined => undefined,
    (found, { events }) => {
      const event = events.find((it) => it.event.id === id)
      return event === undefined ? found : fromIso(event.event.time)
    }
  )

/** Whether what chose a clock's peer may be among what was dropped: nothing that is left says whom it followed. */
const lacksPeer = (fold: ClusterFold, subject: string): boolean =>
  [...fold.clocks.values()].some(({ node, decidedBy }) => clockSubject(node) === subject && decidedBy === null)
