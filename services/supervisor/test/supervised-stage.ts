/** A place under a clock of the test's own, and processes that do as they are told. */
import { EventEmitter } from "node:events"
import type { ChildProcess } from "node:child_process"
import { untilTurn } from "@meridian/ipc/turns"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import { TestClock } from "effect/testing"
import { type ProcessPlan, SupervisedProcess } from "../src/supervised-process.ts"
import { WATCH_MS } from "../src/turn-count.ts"

/** Time passes when the test says so, and the log is nobody's. */
export const underTestClock = <A>(body: () => Generator<Effect.Effect<unknown, unknown>, A, never>): Promise<A> =>
  Effect.runPromise(
    Effect.gen(body).pipe(
      Effect.scoped,
      Effect.provideService(References.MinimumLogLevel, "None"),
      Effect.provide(TestClock.layer())
    ) as Effect.Effect<A>
  )

export class FakeChild extends EventEmitter {
  readonly pid: number
  connected = true
  exitCode: number | null = null
  signalCode: NodeJS.Signals | null = null
  readonly told: unknown[] = []
  /** A stopped process ends by SIGKILL alone. */
  isStopped = false

  constructor(pid: number) {
    super()
    this.pid = pid
  }
  say(message: unknown): void {
    this.emit("message", message)
  }
  send(message: unknown): boolean {
    this.told.push(message)
    return true
  }
  end(code: number | null, signal: NodeJS.Signals | null = null): void {
    if (this.exitCode !== null || this.signalCode !== null) return
    this.exitCode = code
    this.signalCode = signal
    this.emit("close", code, signal)
  }
  kill(signal: NodeJS.Signals): boolean {
    if (signal === "SIGKILL") this.end(null, signal)
    return true
  }
}

export interface Stage {
  readonly place: SupervisedProcess
  readonly children: FakeChild[]
  readonly exited: number[]
  /** What the next starts do in place of starting. */
  readonly refusals: (() => never)[]
  readonly fiber: Fiber.Fiber<void>
  /** For each call of what looks: how many looks had passed. */
  readonly looked: number[]
}

export const silentSeconds = 3

/** A place, the looks since it was called, and whether it wants to be called at the next. */
interface Looker {
  readonly look: (passed: number) => boolean
  passed: number
  rests: boolean
}

/** The looks of a place, each second of the test's clock, but for those that it may rest over while `still` is less than what is silence. */
const looksUnderTestClock = (still: () => number | undefined, called: (passed: number) => void) =>
  Effect.gen(function* () {
    const lookers = new Set<Looker>()
    const call = (looker: Looker): void => {
      const { passed } = looker
      looker.passed = 0
      called(passed)
      looker.rests = looker.look(passed)
    }
    const pass = (): void => {
      const now = [...lookers]
      for (const looker of now) {
        looker.passed += 1
        if (!looker.rests || (still() ?? 0) >= silentSeconds - 1) call(looker)
      }
    }
    const untilLook = Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(untilTurn(WATCH_MS, 25, now)))
    yield* untilLook.pipe(Effect.andThen(Effect.sync(pass)), Effect.forever, Effect.forkChild)
    return (look: (passed: number) => boolean) => {
      const looker: Looker = { look, passed: 0, rests: false }
      lookers.add(looker)
      const wake = (): void => {
        if (looker.rests) call(looker)
        looker.rests = false
      }
      return { wake, stop: () => void lookers.delete(looker) }
    }
  })

export const stage = (change: Partial<ProcessPlan> = {}, refusals: (() => never)[] = []): Effect.Effect<Stage> =>
  Effect.gen(function* () {
    const children: FakeChild[] = []
    const exited: number[] = []
    const looked: number[] = []
    const still = change.still ?? ((): undefined => undefined)
    const eachSecond = yield* looksUnderTestClock(
      () => still(children.at(-1)?.pid ?? 0),
      (passed) => looked.push(passed)
    )
    const place = new SupervisedProcess({
      name: "worker 0",
      silentSeconds,
      overlaps: true,
      givesWay: true,
      longestBackoffMs: 1_000,
      spawn: () => {
        refusals.shift()?.()
        const child = new FakeChild(children.length + 1)
        children.push(child)
        return child as unknown as ChildProcess
      },
      onStart: (child) => void child.send("plan"),
      onMessage: (_pid, message) => message === "ready",
      still: () => undefined,
      eachSecond,
      onExit: (pid) => exited.push(pid),
      askToEnd: (child) => {
        const fake = child as unknown as FakeChild
        if (!fake.isStopped) fake.end(0)
      },
      ...change
    })
    const fiber = yield* Effect.forkChild(place.keepFilled)
    yield* TestClock.adjust(0)
    return { place, children, exited, refusals, fiber, looked }
  })

/** Seconds pass; those that live say so each second, unless they are stopped. */
export const pass = (children: readonly FakeChild[], seconds: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let second = 0; second < seconds; second += 1) {
      yield* TestClock.adjust("1 second")
      for (const child of children) if (!child.isStopped && child.exitCode === null) child.say("alive")
    }
  })

export const refuse = (code: string) => (): never => {
  throw Object.assign(new Error(`spawn ${code}`), { code })
}
