/** How a node's processes end: with it, or to be followed by those of another version. */
import type { ToWorker } from "@meridian/ipc/worker-report"
import * as Effect from "effect/Effect"
import { type Legacy, memoryLayout, MOST_OFFLINE_LEFT } from "./legacy.ts"
import type { NodeParts } from "./node-parts.ts"
import type { SupervisedProcess } from "./supervised-process.ts"

/** A place of the node, whatever runs in it. */
interface Slot {
  readonly service: { readonly process: Pick<SupervisedProcess, "stop"> }
}

/** Why this process cannot become another version's supervisor; undefined where it can. */
export const whyNoHandOver = ({ plan, xdp, anycast }: NodeParts): string | undefined =>
  !plan.native
    ? "the node runs without the addon"
    : xdp !== undefined
      ? "xdp is on"
      : anycast === undefined
        ? undefined
        : "a route is announced from here"

/** Ends all but who serves time and keys, and says what the program that this process becomes finds. */
export const handOver = (parts: NodeParts): Effect.Effect<Legacy> => {
  const { workers, ntsKe, coordinator, clock, shown, signd, autokey, sockets, commandSockets, page, clients } = parts
  return Effect.gen(function* () {
    const outliving = [...workers, ...ntsKe]
    for (const { service } of outliving) service.process.broadcast({ type: "outlive" } satisfies ToWorker)
    const others = [coordinator, clock, shown, signd, autokey].filter((it) => it !== undefined)
    yield* Effect.forEach(others, ({ service }) => service.process.stop, {
      concurrency: "unbounded",
      discard: true
    })
    return {
      ...sockets.legacy,
      layout: memoryLayout(),
      commands: commandSockets,
      page,
      clients: clients.descriptors,
      offline: (parts.live.plan.discipline.offline ?? []).slice(-MOST_OFFLINE_LEFT),
      processes: outliving.flatMap(({ service }) => service.process.pid ?? [])
    } satisfies Legacy
  })
}

/**
 * Withdraws the route, then ends everything, the workers and the clock last: time is answered until there is nothing left to end,
 * so that a start that follows finds the port without an answer for as short as can be. @param tellCounters a last time
 */
export const endNode = (parts: NodeParts, tellCounters: () => void): Effect.Effect<void> => {
  const { workers, ntsKe, coordinator, clock, shown, signd, autokey, anycast, xdp, sockets } = parts
  const ended = (...slots: readonly (Slot | undefined)[]): Effect.Effect<void> =>
    Effect.forEach(slots, (slot) => slot?.service.process.stop ?? Effect.void, {
      concurrency: "unbounded",
      discard: true
    })
  return ended(anycast).pipe(
    Effect.andThen(Effect.sync(() => xdp?.stop())),
    Effect.andThen(ended(...ntsKe, signd, autokey)),
    Effect.andThen(ended(shown)),
    Effect.andThen(ended(coordinator)),
    Effect.andThen(Effect.sync(() => sockets.release())),
    Effect.andThen(ended(...workers)),
    Effect.andThen(Effect.sync(tellCounters)),
    Effect.andThen(ended(clock))
  )
}
