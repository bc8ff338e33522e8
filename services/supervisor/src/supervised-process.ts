/**
 * One place in the node that a process fills: start it, restart it with back-off when it dies, put a successor in its
 * place without a gap, stop it. What the process does is the caller's business.
 */
import type { ChildProcess, Serializable } from "node:child_process"
import type { WorkerState } from "@meridian/ipc/node-status"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

export interface ProcessPlan {
  /** "worker 0", "clock": how the log names it. */
  readonly name: string
  readonly spawn: () => ChildProcess
  /** Called for every message of every process that fills this place; true says that the process is ready. */
  readonly onMessage: (pid: number, message: unknown) => boolean
  /** Called once when a process is gone, after its last message. */
  readonly onExit: (pid: number) => void
  /** Asks the process to finish what it holds and exit. */
  readonly askToEnd: (child: ChildProcess) => void
  /** Of a process that speaks once a second: silent for longer it is stalled, and killed, so that another takes its place. */
  readonly silence?: { readonly seconds: number; readonly stalled: (message: string) => void }
}

interface Running {
  readonly child: ChildProcess
  readonly pid: number
  readonly startedAt: number
  readonly ready: Deferred.Deferred<void>
  /** Why it ended, in words. */
  readonly exited: Deferred.Deferred<string>
}

const FIRST_BACKOFF_MS = 100
const LONGEST_BACKOFF_MS = 5_000
/** A process that lived this long was healthy: the next crash starts from the first back-off again. */
const HEALTHY_AFTER_MS = 10_000
/** On a small machine that is busy with other things, half a minute is not enough. One that ends is noticed at once. */
const READY_LIMIT = "90 seconds"
/** A process that was asked to end and has not is killed after this. */
const END_LIMIT = "3 seconds"

/** Back-off before the n-th restart in a row (n from 1), milliseconds: 100, 200, 400 … 5000. */
export const backoffMs = (failures: number): number =>
  Math.min(FIRST_BACKOFF_MS * 2 ** Math.max(0, failures - 1), LONGEST_BACKOFF_MS)

export class SupervisedProcess {
  restarts = 0
  private current: Running | undefined
  private replacement: Deferred.Deferred<void> | undefined
  private ending = false
  private waiting = false
  private readonly plan: ProcessPlan
  private readonly children = new Set<ChildProcess>()

  constructor(plan: ProcessPlan) {
    this.plan = plan
  }

  get pid(): number | undefined {
    return this.waiting ? undefined : this.current?.pid
  }

  get state(): WorkerState {
    if (this.ending) return "stopped"
    if (this.waiting || this.current === undefined) return "waiting"
    return Deferred.isDoneUnsafe(this.current.ready) ? "running" : "starting"
  }

  /** Sends a message to every process that fills this place now: during a replacement there are two. */
  broadcast(message: Serializable): void {
    for (const child of this.children) if (child.connected) child.send(message, () => {})
  }

  /** Succeeds when the process that fills the place is ready for the first time; fails with a sentence when it never is. */
  get firstReady(): Effect.Effect<void, string> {
    return Effect.suspend(() =>
      this.current === undefined
        ? Effect.fail(`${this.plan.name} was not started`)
        : Effect.mapError(awaitReady(this.current), (why) => `${this.plan.name} did not start: ${why}`)
    )
  }

  /** Starts the first process at once; the returned effect keeps the place filled until it is interrupted. */
  readonly begin = (): Effect.Effect<void> => {
    this.current = this.start()
    return this.keepFilled
  }

  private readonly keepFilled: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    let failures = 0
    while (this.current !== undefined) {
      const running: Running = this.current
      const why = yield* Deferred.await(running.exited)
      if (this.replacement !== undefined) yield* Deferred.await(this.replacement)
      if (this.ending) return
      if (this.current !== running) continue
      failures = Date.now() - running.startedAt > HEALTHY_AFTER_MS ? 1 : failures + 1
      this.restarts += 1
      this.waiting = true
      yield* Effect.logWarning(
        `${this.plan.name} ended by itself (${why}), starting another in ${backoffMs(failures)} ms`
      )
      yield* Effect.sleep(backoffMs(failures))
      if (this.ending) return
      this.waiting = false
      this.current = this.start()
    }
  })

  /**
   * Starts a successor, waits until it is ready, then has the predecessor finish and exit. A successor that does not
   * become ready is killed and the predecessor stays.
   */
  readonly replace: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    const predecessor = this.current
    if (predecessor === undefined || this.waiting || this.replacement !== undefined || this.ending) return
    const replaced = Deferred.makeUnsafe<void>()
    this.replacement = replaced
    const successor = this.start()
    const ready = yield* Effect.result(awaitReady(successor))
    if (ready._tag === "Success") this.current = successor
    else
      yield* Effect.logError(`${this.plan.name}: the successor failed, the old process stays`, { why: ready.failure })
    yield* this.end(ready._tag === "Success" ? predecessor : successor)
    this.replacement = undefined
    yield* Deferred.succeed(replaced, undefined)
  }).pipe(Effect.uninterruptible)

  /** Has the process finish what it holds and exit; nothing is started in its place any more. */
  readonly stop: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    this.ending = true
    if (this.replacement !== undefined) yield* Deferred.await(this.replacement)
    if (this.current !== undefined) yield* this.end(this.current)
  }).pipe(Effect.uninterruptible)

  private end(running: Running): Effect.Effect<void> {
    const { child, exited } = running
    const { plan } = this
    return Effect.gen(function* () {
      if (child.exitCode === null && child.signalCode === null) plan.askToEnd(child)
      const inTime = yield* Deferred.await(exited).pipe(Effect.timeoutOption(END_LIMIT))
      if (Option.isSome(inTime)) return
      yield* Effect.logWarning(`${plan.name} did not end in ${END_LIMIT}, killed`, { pid: child.pid })
      child.kill("SIGKILL")
      yield* Deferred.await(exited)
    })
  }

  private start(): Running {
    const child = this.plan.spawn()
    this.children.add(child)
    const running: Running = {
      child,
      pid: child.pid ?? 0,
      startedAt: Date.now(),
      ready: Deferred.makeUnsafe<void>(),
      exited: Deferred.makeUnsafe<string>()
    }
    child.on("message", (message) => {
      if (this.plan.onMessage(running.pid, message)) Deferred.doneUnsafe(running.ready, Effect.void)
    })
    const gone = (why: string): void => {
      this.children.delete(child)
      if (Deferred.doneUnsafe(running.exited, Effect.succeed(why))) this.plan.onExit(running.pid)
    }
    this.watchOver(running)
    // "close", not "exit": the last messages of a process may arrive after it is gone.
    child.on("close", (code, signal) => gone(signal === null ? `exit code ${code}` : signal))
    child.on("error", (error) => gone(error.message))
    return running
  }

  /** Counts its own ticks rather than time: whatever held this process up held the others up as well. */
  private watchOver({ child, pid, ready }: Running): void {
    const { name, silence } = this.plan
    if (silence === undefined) return
    let silent = 0
    const ticking = setInterval(() => {
      silent += 1
      if (silent < silence.seconds || !Deferred.isDoneUnsafe(ready)) return
      silence.stalled(`${name} (process ${pid}) said nothing for ${silent} s: it is stalled, and killed`)
      silent = 0
      child.kill("SIGKILL")
    }, 1_000)
    child.on("message", () => (silent = 0))
    for (const gone of ["close", "error"]) child.on(gone, () => clearInterval(ticking))
  }
}

const awaitReady = (running: Running): Effect.Effect<void, string> =>
  Deferred.await(running.ready).pipe(
    Effect.raceFirst(Effect.flatMap(Deferred.await(running.exited), (why) => Effect.fail(`it ended (${why})`))),
    Effect.timeoutOrElse({ duration: READY_LIMIT, orElse: () => Effect.fail(`not ready within ${READY_LIMIT}`) })
  )
