/**
 * One place in the node that a process fills: start it, watch it from its first moment, restart it with back-off when it dies
 * or falls silent, put a successor in its place without a gap, stop it. What the process does is the caller's business.
 *
 * Nothing in here gives up: a system that has no process to spare is asked again, for as long as the place is to be filled.
 */
import type { ChildProcess, Serializable } from "node:child_process"
import type { WorkerState } from "@meridian/ipc"
import { backoff } from "@meridian/time/backoff"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { isAlive } from "@meridian/ipc/message"
import { launch } from "./launch.ts"
import { GIVES_WAY_SECONDS, startPriority } from "./start-priority.ts"
import type { Looks } from "./turn-count.ts"

export interface ProcessPlan {
  /** "worker 0", "clock": how the log names it. */
  readonly name: string
  /** Throws, or returns a process without a pid that emits an error, when the system has none to spare. */
  readonly spawn: () => ChildProcess
  /** Told once a process runs, before it has said anything. */
  readonly onStart: (child: ChildProcess) => void
  /** Called for every message of every process that fills this place; true says that the process is ready. */
  readonly onMessage: (pid: number, message: unknown) => boolean
  /** For how many looks the event loop of a process has not turned; undefined where only what it says shows that. */
  readonly still: (pid: number) => number | undefined
  /**
   * Calls what looks at the processes once a second, until it is stopped, with the looks since the call before: one, but where `look` said that
   * it may rest and it was called because a process is still.
   */
  readonly eachSecond: (look: (looks: number) => boolean) => Looks
  /** Called once when a process is gone, after its last message. */
  readonly onExit: (pid: number) => void
  /** Asks the process to finish what it holds and exit. */
  readonly askToEnd: (child: ChildProcess) => void
  /** Every process shows each second or two that it lives; a ready one that did not for so long is stalled, and replaced. */
  readonly silentSeconds: number
  /** Whether a successor may serve beside it: then a stalled one is killed only when its successor answers in its place. */
  readonly overlaps: boolean
  /** Whether it gives way, while it starts, to what the program before this one has left to serve. */
  readonly givesWay: boolean
  /** Longest wait before the next start: what somebody waits for is tried at least once a second. */
  readonly longestBackoffMs: number
}

interface Running {
  readonly child: ChildProcess
  readonly pid: number
  /** By the clock of the fibers, milliseconds. */
  readonly startedAt: number
  readonly ready: Deferred.Deferred<void>
  /** Why it ended, in words. */
  readonly exited: Deferred.Deferred<string>
  /** Looks since its last sign of life: whatever held this process up held the others up as well, so time is not what is counted. */
  silent: number
  age: number
  stalled: boolean
}

const FIRST_BACKOFF_MS = 100
/** A process that lived this long was healthy: the next crash is the first again. */
const HEALTHY_AFTER_MS = 10_000
/** A process that is being read and compiled on a busy machine may take long from one word to the next. */
export const STARTING_SILENT_SECONDS = 20
/** On a small machine that is busy with other things, half a minute is not enough. One that ends is noticed at once. */
const READY_LIMIT_SECONDS = 90
/** So many starts that a signal ended, which all are that fell silent, until the place counts as one that cannot be filled. */
export const STARTS_TRIED = 3
/** A process that was asked to end and has not is killed after this. */
const END_LIMIT = "3 seconds"

/** Of crashes in a row so many are logged one by one, and then each so many. */
const CRASHES_LOGGED = 5
const CRASHES_LOGGED_EACH = 60

/** Before a try after so many that failed in a row, milliseconds: 100, 200, 400 … */
const backoffMs = (failures: number, longest: number): number => backoff({ first: FIRST_BACKOFF_MS, longest }, failures)
/** Before the n-th restart in a row: the first comes at once, as requests wait in the sockets meanwhile. */
const restartMs = (crashes: number, longest: number): number => (crashes <= 1 ? 0 : backoffMs(crashes - 1, longest))

/** How long a replacement asks a system that has no process to spare, about ten seconds: the old one serves meanwhile. */
const untilSpared = { schedule: Schedule.exponential(FIRST_BACKOFF_MS), times: 6 }

export class SupervisedProcess {
  /** How often another was started because one ended by itself or stalled. */
  restarts = 0
  /** How often one fell silent. */
  stalls = 0
  /** How many a signal ended. */
  private killed = 0
  /** Counts up with all that its processes say besides that they are alive, and with each that starts or ends; then this is called. */
  news = 0
  onNews: () => void = () => {}
  private current: Running | undefined
  private replacement: Deferred.Deferred<void> | undefined
  private looks: Looks | undefined
  private readonly all = new Set<Running>()
  private readonly ending = Deferred.makeUnsafe<void>()
  private readonly firstOutcome = Deferred.makeUnsafe<void, string>()
  private readonly plan: ProcessPlan

  constructor(plan: ProcessPlan) {
    this.plan = plan
  }

  get pid(): number | undefined {
    return this.current?.pid
  }

  get state(): WorkerState {
    if (this.isEnding) return "stopped"
    if (this.current === undefined) return "waiting"
    if (this.current.stalled) return "stalled"
    return Deferred.isDoneUnsafe(this.current.ready) ? "running" : "starting"
  }

  /** Sends a message to every process that fills this place now: during a replacement there are two. */
  broadcast(message: Serializable): void {
    for (const { child } of this.all) if (child.connected) child.send(message, () => {})
  }

  /** Succeeds when the place is filled by a process that is ready; fails with a sentence when one gives up before, or {@link STARTS_TRIED} are killed. */
  get firstReady(): Effect.Effect<void, string> {
    return Effect.mapError(Deferred.await(this.firstOutcome), (why) => `${this.plan.name} did not start: ${why}`)
  }

  /** Fills the place, and keeps it filled until it is stopped or interrupted, which leaves no process behind. */
  readonly keepFilled: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    yield* Effect.forkChild(this.watch)
    let failures = 0
    let refusals = 0
    while (!this.isEnding) {
      const running: Running | undefined = this.current ?? (yield* this.tryStart(refusals === 0))
      if (running === undefined) {
        refusals += 1
        yield* this.pause(backoffMs(refusals, this.plan.longestBackoffMs))
        continue
      }
      refusals = 0
      this.current = running
      const why = yield* Deferred.await(running.exited)
      if (this.replacement !== undefined) yield* Deferred.await(this.replacement)
      if (this.isEnding) return
      // A successor took its place.
      if (this.current !== running) continue
      this.current = undefined
      const lived = (yield* Clock.currentTimeMillis) - running.startedAt
      failures = lived > HEALTHY_AFTER_MS ? 1 : failures + 1
      this.restarts += 1
      const wait = restartMs(failures, this.plan.longestBackoffMs)
      if (failures <= CRASHES_LOGGED || failures % CRASHES_LOGGED_EACH === 0)
        yield* Effect.logWarning(
          `${this.plan.name} ended by itself (${why}), ${failures > 1 ? `${failures} times in a row, ` : ""}starting another ${wait === 0 ? "at once" : `in ${wait} ms`}`
        )
      yield* this.pause(wait)
    }
  }).pipe(
    // One that hangs does not notice that its supervisor is gone.
    Effect.onInterrupt(() => Effect.sync(() => this.all.forEach(({ child }) => void child.kill("SIGKILL"))))
  )

  /**
   * Starts a successor, waits until it is ready, then has the predecessor finish and exit. A successor that does not
   * become ready is killed and the predecessor stays.
   */
  readonly replace: Effect.Effect<void> = Effect.suspend(() => this.succeed(this.current)).pipe(Effect.uninterruptible)

  /** Ends the process; its successor starts when it is gone: for a place where two at a time would be in each other's way. */
  readonly renew: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    const predecessor = this.current
    if (predecessor === undefined || this.replacement !== undefined || this.isEnding) return
    const gone = Deferred.makeUnsafe<void>()
    this.replacement = gone
    yield* this.end(predecessor)
    // Whoever keeps the place filled finds it empty, and nobody to have ended by himself.
    this.current = undefined
    this.replacement = undefined
    yield* Deferred.succeed(gone, undefined)
  }).pipe(Effect.uninterruptible)

  /**
   * Another process, which inherits what there is to inherit now: beside the one that serves, or after it where two would be in
   * each other's way. One that takes a place already may have been started before.
   */
  readonly refresh: Effect.Effect<void> = Effect.suspend(() =>
    this.replacement === undefined ? Effect.void : Deferred.await(this.replacement)
  ).pipe(Effect.andThen(Effect.suspend(() => (this.plan.overlaps ? this.replace : this.renew))))

  /** Has the process finish what it holds and exit; nothing is started in its place any more. */
  readonly stop: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    Deferred.doneUnsafe(this.ending, Effect.void)
    if (this.replacement !== undefined) yield* Deferred.await(this.replacement)
    yield* Effect.forEach([...this.all], (running) => this.end(running), { concurrency: "unbounded", discard: true })
  }).pipe(Effect.uninterruptible)

  private get isEnding(): boolean {
    return Deferred.isDoneUnsafe(this.ending)
  }

  private pause(milliseconds: number): Effect.Effect<void> {
    return Effect.raceFirst(Effect.sleep(milliseconds), Deferred.await(this.ending))
  }

  /** A process, or a line in the log that says why there is none; of refusals in a row the first is said. */
  private tryStart(isFirst: boolean): Effect.Effect<Running | undefined> {
    return Effect.matchEffect(this.start, {
      onSuccess: (running) => Effect.succeed<Running | undefined>(running),
      onFailure: (why) =>
        Effect.as(
          isFirst ? Effect.logError(`${this.plan.name}: ${why}; it is tried again until it works`) : Effect.void,
          undefined
        )
    })
  }

  private readonly start: Effect.Effect<Running, string> = Effect.gen({ self: this }, function* () {
    const { plan } = this
    const startedAt = yield* Clock.currentTimeMillis
    const child = yield* launch(plan.spawn)
    if (startPriority.othersServe && plan.givesWay) startPriority.giveWay(child.pid ?? 0)
    const running: Running = {
      child,
      pid: child.pid ?? 0,
      startedAt,
      ready: Deferred.makeUnsafe<void>(),
      exited: Deferred.makeUnsafe<string>(),
      silent: 0,
      age: 0,
      stalled: false
    }
    this.looks?.wake()
    this.all.add(running)
    this.tellNews()
    child.on("message", (message) => {
      this.lives(running)
      if (!isAlive(message)) this.tellNews()
      if (!plan.onMessage(running.pid, message)) return
      startPriority.takePart(running.pid)
      Deferred.doneUnsafe(running.ready, Effect.void)
      Deferred.doneUnsafe(this.firstOutcome, Effect.void)
    })
    const gone = (why: string, isKilled = false): void => {
      this.all.delete(running)
      this.tellNews()
      if (!Deferred.doneUnsafe(running.exited, Effect.succeed(why))) return
      // Nobody serves that a successor could give way to.
      for (const other of this.all) startPriority.takePart(other.pid)
      // A machine that is very busy may take longer over a start than is waited for, or have no memory for it: that alone does not end the node at once.
      if (isKilled) this.killed += 1
      if (!isKilled || this.killed >= STARTS_TRIED)
        Deferred.doneUnsafe(this.firstOutcome, Effect.fail(`it ended (${why})`))
      plan.onExit(running.pid)
    }
    // "close", not "exit": the last messages of a process may arrive after it is gone.
    // One that gives up says so by its code: without one it was told to end, by a signal that it obeys.
    child.on("close", (code, signal) => gone(signal ?? `exit code ${code}`, signal !== null || code === 0))
    child.on("error", (error) => gone(error.message))
    plan.onStart(child)
    return running
  })

  /** Looks whether each process lives: without a fiber, which wakes for those in trouble alone. */
  private readonly watch: Effect.Effect<void> = Effect.callback<readonly Running[]>((resume) => {
    const looks = this.plan.eachSecond((passed) => {
      const troubled = [...this.all].filter((running) => this.isTroubled(running, passed))
      if (troubled.length === 0) return this.mayRest
      looks.stop()
      resume(Effect.succeed(troubled))
      return false
    })
    this.looks = looks
    return Effect.sync(looks.stop)
  }).pipe(
    Effect.flatMap((troubled) => Effect.forEach(troubled, (running) => this.relieve(running), { discard: true })),
    Effect.forever
  )

  private tellNews(): void {
    this.news += 1
    this.onNews()
  }

  private lives(running: Running): void {
    running.silent = 0
    running.stalled = false
  }

  /** @param looks that have passed: whether its event loop has turned meanwhile. Returns for how many it has not since */
  private notice(running: Running, looks: number): number {
    const still = this.plan.still(running.pid)
    if (still !== undefined && still < Math.max(looks, 1)) this.lives(running)
    return still ?? Number.POSITIVE_INFINITY
  }

  /** Whether nobody starts, and all can be called still without a look of this place's. */
  private get mayRest(): boolean {
    return [...this.all].every(
      ({ pid, ready, age }) =>
        Deferred.isDoneUnsafe(ready) && age > GIVES_WAY_SECONDS && this.plan.still(pid) !== undefined
    )
  }

  /** Counts the looks that have passed; whether it was silent for too long, or is not ready in time. */
  private isTroubled(running: Running, looks: number): boolean {
    const still = this.notice(running, looks)
    running.silent = Math.min(running.silent + looks, still + 1)
    running.age += looks
    if (running.age === GIVES_WAY_SECONDS) startPriority.takePart(running.pid)
    const isReady = Deferred.isDoneUnsafe(running.ready)
    const limit = isReady ? this.plan.silentSeconds : STARTING_SILENT_SECONDS
    return running.silent >= limit || (!isReady && running.age >= READY_LIMIT_SECONDS)
  }

  private relieve(running: Running): Effect.Effect<void> {
    const isReady = Deferred.isDoneUnsafe(running.ready)
    const isLate = !isReady && running.age >= READY_LIMIT_SECONDS
    const what = isLate
      ? `was not ready within ${READY_LIMIT_SECONDS} s`
      : `said nothing for ${running.silent} s: it is stalled`
    const isNew = !running.stalled
    running.stalled = true
    running.silent = 0
    running.age = 0
    if (isNew) this.stalls += 1
    this.tellNews()
    const { name, overlaps } = this.plan
    if (isReady && overlaps && running === this.current && this.replacement === undefined && !this.isEnding)
      return Effect.logWarning(`${name} (process ${running.pid}) ${what}; another takes its place`).pipe(
        Effect.andThen(Effect.sync(() => void (this.restarts += 1))),
        Effect.andThen(Effect.forkChild(Effect.uninterruptible(this.succeed(running)))),
        Effect.asVoid
      )
    return Effect.andThen(
      Effect.logWarning(`${name} (process ${running.pid}) ${what}, and killed`),
      Effect.sync(() => void running.child.kill("SIGKILL"))
    )
  }

  private succeed(predecessor: Running | undefined): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      if (predecessor === undefined || this.replacement !== undefined || this.isEnding) return
      const replaced = Deferred.makeUnsafe<void>()
      this.replacement = replaced
      const successor = yield* Effect.result(this.readySuccessor(predecessor))
      if (successor._tag === "Success") this.current = successor.success
      else if (!this.isEnding)
        yield* Effect.logError(`${this.plan.name}: its successor failed, the old process stays: ${successor.failure}`)
      this.notice(predecessor, 0)
      if (predecessor.stalled) yield* this.kill(predecessor)
      else if (successor._tag === "Success") yield* this.end(predecessor)
      this.replacement = undefined
      yield* Deferred.succeed(replaced, undefined)
    })
  }

  /** A process that serves beside the one that is there. The end of the place ends the waiting. */
  private readonly readySuccessor = Effect.fnUntraced({ self: this }, function* (predecessor: Running) {
    const isEnding = Effect.andThen(Deferred.await(this.ending), Effect.fail("the node ends"))
    const successor = yield* Effect.raceFirst(Effect.retry(this.start, untilSpared), isEnding)
    if (!predecessor.stalled) startPriority.giveWay(successor.pid)
    const exited = Effect.flatMap(Deferred.await(successor.exited), (why) => Effect.fail(`it ended (${why})`))
    const ready = Deferred.await(successor.ready).pipe(Effect.raceFirst(exited), Effect.raceFirst(isEnding))
    return yield* Effect.as(ready, successor).pipe(Effect.tapError(() => this.kill(successor)))
  })

  /** Has it finish what it holds. One that is not ready holds nothing. */
  private end(running: Running): Effect.Effect<void> {
    const { child, exited, ready } = running
    const { plan } = this
    if (!Deferred.isDoneUnsafe(ready)) return this.kill(running)
    return Effect.gen({ self: this }, function* () {
      if (child.exitCode === null && child.signalCode === null) plan.askToEnd(child)
      const inTime = yield* Deferred.await(exited).pipe(Effect.timeoutOption(END_LIMIT))
      if (Option.isSome(inTime)) return
      yield* Effect.logWarning(`${plan.name} did not end in ${END_LIMIT}, killed`, { pid: child.pid })
      yield* this.kill(running)
    })
  }

  private kill({ child, exited }: Running): Effect.Effect<void> {
    return Effect.andThen(
      Effect.sync(() => void child.kill("SIGKILL")),
      Effect.asVoid(Deferred.await(exited))
    )
  }
}
