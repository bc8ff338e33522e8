/** How a node's processes end: with it, or to be followed by those of another version. */
import type { OutliveMessage } from "@meridian/ipc/outlive"
import * as Effect from "effect/Effect"
import { type Legacy, memoryLayout } from "./legacy.ts"
import type { NodeParts } from "./node-parts.ts"

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
    for (const { service } of outliving) service.process.broadcast({ type: "outlive" } satisfies OutliveMessage)
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
      clients: clients.map(({ descriptor }) => descriptor),
      processes: outliving.flatMap(({ service }) => service.process.pid ?? [])
    } satisfies Legacy
  })
}

/** Withdraws the route, has every process finish what it holds, then ends them and the clock. @param tellCounters a last time */
export const endNode = (parts: NodeParts, tellCounters: () => void): Effect.Effect<void> => {
  const { workers, ntsKe, coordinator, clock, shown, signd, autokey, anycast, xdp } = parts
  const serving = [...workers, ...ntsKe, ...(signd === undefined ? [] : [signd])].map((slot) => slot.service.process)
  return (anycast === undefined ? Effect.void : anycast.service.process.stop).pipe(
    Effect.andThen(Effect.sync(() => xdp?.stop())),
    Effect.andThen(Effect.forEach(serving, (place) => place.stop, { concurrency: "unbounded", discard: true })),
    Effect.andThen(autokey === undefined ? Effect.void : autokey.service.process.stop),
    Effect.andThen(shown.service.process.stop),
    Effect.andThen(coordinator.service.process.stop),
    Effect.andThen(Effect.sync(tellCounters)),
    Effect.andThen(clock.service.process.stop)
  )
}
