/**
 * The node: sockets, clock page, the clock's process, the workers, the control socket; what signals do to them. Everything is
 * acquired in one scope and given back in reverse order.
 */
import { spawn } from "node:child_process"
import { mkdirSync, openSync, rmSync } from "node:fs"
import { hostname } from "node:os"
import { join } from "node:path"
import { openClockPageReader, openClockPageWriter } from "@meridian/native-io/clock-page"
import { systemClock } from "@meridian/native-io/system-clock"
import type { NodeStatus } from "@meridian/observability/node-status"
import { addCounters, noCounters } from "@meridian/observability/worker-report"
import { isSynchronised, rootDispersionAt, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { formatReferenceId } from "@meridian/wire/reference-id"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { openControlSocket } from "./control-socket.ts"
import { dropPrivilege, type Identity } from "./privilege.ts"
import { formatListen, openSockets } from "./sockets.ts"
import { SupervisedProcess } from "./supervised-process.ts"
import { WorkerSlot } from "./worker-slot.ts"

export interface NodePlan {
  readonly version: string
  readonly addresses: readonly string[]
  readonly port: number
  readonly workers: number
  readonly stateDirectory: string
  readonly stratum: number
  /** Whom to become once the sockets are open; undefined stays. */
  readonly identity: Identity | undefined
  /** Whether the addon is there; without it each worker binds its own sockets. */
  readonly native: boolean
  readonly programs: { readonly worker: string; readonly discipline: string }
}

export interface RunningNode {
  readonly status: () => NodeStatus
  /** Replaces the workers one by one; each successor reads before its predecessor stops. */
  readonly replaceWorkers: Effect.Effect<void>
  /** Has every worker answer what waits, then ends them and the clock. */
  readonly drain: Effect.Effect<void>
}

/** What stopped the node from starting, in one line that says what to do. */
export interface StartFailed {
  readonly _tag: string
  readonly message: string
}

const attempt = <A>(what: () => A | Promise<A>): Effect.Effect<A, StartFailed> =>
  Effect.tryPromise({
    try: async () => what(),
    catch: (error) => {
      const known = error as Partial<StartFailed>
      return { _tag: known._tag ?? "StartFailed", message: known.message ?? String(error) }
    }
  })

const clockProcess = (plan: NodePlan, page: string): SupervisedProcess =>
  new SupervisedProcess({
    name: "clock",
    spawn: () =>
      spawn(
        process.execPath,
        [
          "--max-semi-space-size=1",
          "--v8-pool-size=1",
          plan.programs.discipline,
          "--clock-page",
          page,
          "--stratum",
          String(plan.stratum)
        ],
        { stdio: ["ignore", "inherit", "inherit", "ipc"] }
      ),
    onMessage: (_pid, message) => (message as { type?: unknown } | null)?.type === "ready",
    onExit: () => {},
    askToEnd: (child) => void child.kill("SIGTERM")
  })

/** Starts everything; succeeds when every worker reads its sockets. */
export const startNode = (plan: NodePlan): Effect.Effect<RunningNode, StartFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const { monotonic: elapsed } = systemClock()
    const startedAt = elapsed.seconds()
    yield* attempt(() => mkdirSync(plan.stateDirectory, { recursive: true, mode: 0o755 }))
    const running: { status: () => NodeStatus } = { status: () => status() }
    const control = yield* attempt(() => openControlSocket(plan.stateDirectory, () => running.status()))
    yield* Effect.addFinalizer(() => Effect.sync(() => void control.close()))
    const sockets = yield* attempt(() => openSockets(plan))

    // Begin with an empty page: what an earlier run published is nothing to vouch for.
    const page = join(plan.stateDirectory, "clock.page")
    const pageDescriptor = yield* attempt(() => {
      rmSync(page, { force: true })
      openClockPageWriter(page).close()
      return openSync(page, "r")
    })
    if (plan.identity !== undefined) {
      const identity = plan.identity
      yield* attempt(() => dropPrivilege(identity, plan.stateDirectory))
    }

    const clock = clockProcess(plan, page)
    const slots = sockets.map(
      (own, index) => new WorkerSlot({ index, program: plan.programs.worker, clockPage: pageDescriptor, sockets: own })
    )
    const places = [clock, ...slots.map((slot) => slot.process)]
    for (const place of places) yield* Effect.forkScoped(place.begin())
    yield* Effect.forEach(places, (place) => place.firstReady, { concurrency: "unbounded", discard: true }).pipe(
      Effect.mapError((message): StartFailed => ({ _tag: "ProcessNotReady", message }))
    )

    const reader = openClockPageReader(pageDescriptor)
    const curve = unsynchronisedCurve()
    const status = (): NodeStatus => {
      reader.readInto(curve)
      const monotonic = elapsed.seconds()
      const workers = slots.map((slot) => slot.status())
      const synchronised = isSynchronised(curve, monotonic)
      return {
        node: hostname(),
        version: plan.version,
        pid: process.pid,
        uptime: monotonic - startedAt,
        listening: plan.addresses.map((address) => formatListen(address, plan.port)),
        io: plan.native ? "native" : "fallback",
        state: plan.stateDirectory,
        clock: {
          source: "local-reference",
          synchronised,
          stratum: synchronised ? curve.stratum : 16,
          leap: synchronised ? curve.leap : 3,
          referenceId: formatReferenceId(curve.referenceId, curve.stratum),
          rootDelay: curve.rootDelay,
          rootDispersion: rootDispersionAt(curve, monotonic),
          offset: curve.offset,
          frequency: curve.frequency * 1e6
        },
        workers,
        totals: {
          ...slots.reduce((sum, slot) => addCounters(sum, slot.counters), noCounters),
          overflow: workers.reduce((sum, worker) => sum + worker.overflow, 0),
          receivedPerSecond: workers.reduce((sum, worker) => sum + worker.receivedPerSecond, 0),
          repliedPerSecond: workers.reduce((sum, worker) => sum + worker.repliedPerSecond, 0)
        }
      }
    }
    return {
      status,
      replaceWorkers: Effect.forEach(slots, (slot) => slot.process.replace, { discard: true }),
      drain: Effect.forEach(slots, (slot) => slot.process.stop, { concurrency: "unbounded", discard: true }).pipe(
        Effect.andThen(clock.stop)
      )
    }
  })
