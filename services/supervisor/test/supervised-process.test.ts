/** Supervision under a clock of the test's own: processes that crash, hang, never start, and a system that has none to spare. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { afterEach, describe, expect, it, vi } from "vitest"
import { GIVES_WAY_SECONDS, startPriority } from "../src/start-priority.ts"
import { STARTS_TRIED, STARTING_SILENT_SECONDS } from "../src/supervised-process.ts"
import { pass, refuse, silentSeconds, stage, underTestClock } from "./supervised-stage.ts"

describe("a place", () => {
  it("is filled, tells its process what it serves by, and stops when told", () =>
    underTestClock(function* () {
      const { place, children, exited } = yield* stage()
      expect(place.state).toBe("starting")
      expect(children[0]!.told).toEqual(["plan"])
      children[0]!.say("ready")
      yield* place.firstReady
      expect(place).toMatchObject({ state: "running", pid: 1, restarts: 0 })
      yield* place.stop
      expect({ state: place.state, exited }).toEqual({ state: "stopped", exited: [1] })
    }))

  it("has another process at once when one dies, and never waits more than a second for the next", () =>
    underTestClock(function* () {
      const { place, children } = yield* stage()
      children[0]!.say("ready")
      const waits: number[] = []
      for (let crash = 0; crash < 12; crash += 1) {
        const before = children.length
        children.at(-1)!.end(1)
        yield* TestClock.adjust(0)
        expect(place.state).toBe(crash === 0 ? "starting" : "waiting")
        let waited = 0
        while (children.length === before) {
          yield* TestClock.adjust("50 millis")
          waited += 50
        }
        waits.push(waited)
      }
      expect(waits.slice(0, 5)).toEqual([0, 100, 200, 400, 800])
      expect(Math.max(...waits)).toBe(1_000)
      expect(place.restarts).toBe(12)
    }))

  it("forgets earlier crashes of a process that has lived", () =>
    underTestClock(function* () {
      const { children } = yield* stage()
      for (let crash = 0; crash < 4; crash += 1) {
        children.at(-1)!.end(1)
        yield* TestClock.adjust("1 second")
      }
      children.at(-1)!.say("ready")
      yield* pass(children, 11)
      const before = children.length
      children.at(-1)!.end(1)
      yield* TestClock.adjust(0)
      expect(children.length).toBe(before + 1)
    }))
})

describe("a successor", () => {
  const priorities = () => {
    const steps: string[] = []
    vi.spyOn(startPriority, "giveWay").mockImplementation((pid) => void steps.push(`${pid} gives way`))
    vi.spyOn(startPriority, "takePart").mockImplementation((pid) => void steps.push(`${pid} takes part`))
    return steps
  }
  afterEach(() => vi.restoreAllMocks())

  it("gives way while another serves, until it serves itself", () =>
    underTestClock(function* () {
      const steps = priorities()
      const { place, children } = yield* stage()
      children[0]!.say("ready")
      yield* Effect.forkChild(place.replace)
      yield* TestClock.adjust(0)
      expect(steps).toEqual(["1 takes part", "2 gives way"])
      children[1]!.say("ready")
      yield* TestClock.adjust(0)
      expect(steps.slice(2)).toContain("2 takes part")
      expect(place).toMatchObject({ state: "running", pid: 2 })
    }))

  it("takes its share once nobody serves, or where its start takes long", () =>
    underTestClock(function* () {
      const steps = priorities()
      const { place, children } = yield* stage()
      children[0]!.say("ready")
      yield* Effect.forkChild(place.replace)
      yield* TestClock.adjust(0)
      children[0]!.end(null, "SIGSEGV")
      expect(steps.slice(2)).toEqual(["2 takes part"])
      yield* pass(children, GIVES_WAY_SECONDS)
      expect(steps.slice(3)).toEqual(["2 takes part"])
    }))

  it("gives way to nobody where it follows one that died, or hangs", () =>
    underTestClock(function* () {
      const steps = priorities()
      const { children } = yield* stage()
      children[0]!.say("ready")
      children[0]!.end(1)
      yield* TestClock.adjust(0)
      children[1]!.say("ready")
      children[1]!.isStopped = true
      yield* pass(children, silentSeconds)
      expect(children).toHaveLength(3)
      expect(steps.filter((step) => step.includes("gives way"))).toEqual([])
    }))
})

describe("a process that is silent", () => {
  it("keeps its place until its successor serves in it, and is killed then", () =>
    underTestClock(function* () {
      const { place, children, exited } = yield* stage()
      const [first] = children
      first!.say("ready")
      yield* pass(children, 5)
      first!.isStopped = true
      yield* pass(children, silentSeconds)
      expect(children).toHaveLength(2)
      expect(place).toMatchObject({ state: "stalled", pid: 1, stalls: 1 })
      expect(exited).toEqual([])
      children[1]!.say("ready")
      yield* TestClock.adjust(0)
      expect(place).toMatchObject({ state: "running", pid: 2, restarts: 1 })
      expect({ exited, by: first!.signalCode }).toEqual({ exited: [1], by: "SIGKILL" })
    }))

  it("and was only held up finishes what it holds when its successor serves", () =>
    underTestClock(function* () {
      const { place, children } = yield* stage()
      const [first] = children
      first!.say("ready")
      first!.isStopped = true
      yield* pass(children, silentSeconds)
      first!.isStopped = false
      first!.say("alive")
      children[1]!.say("ready")
      yield* TestClock.adjust(0)
      expect(place.pid).toBe(2)
      expect({ code: first!.exitCode, signal: first!.signalCode }).toEqual({ code: 0, signal: null })
    }))

  it("is none that turns without a word", () =>
    underTestClock(function* () {
      let turns = true
      const { place, children, exited } = yield* stage({ still: () => (turns ? 0 : Number.POSITIVE_INFINITY) })
      const [first] = children
      first!.say("ready")
      first!.isStopped = true
      yield* pass(children, 10 * silentSeconds)
      expect(place).toMatchObject({ state: "running", pid: 1, stalls: 0 })
      turns = false
      yield* pass(children, silentSeconds)
      expect(place).toMatchObject({ state: "stalled", pid: 1, stalls: 1 })
      turns = true
      first!.isStopped = false
      children[1]!.say("ready")
      yield* TestClock.adjust(0)
      expect({ exited, code: first!.exitCode }).toEqual({ exited: [1], code: 0 })
    }))

  it("is noticed as soon where nobody has looked for as long as all turned", () =>
    underTestClock(function* () {
      let turnedAt = 0
      let seconds = 0
      const still = (): number => seconds - turnedAt
      const { place, children, exited, looked } = yield* stage({ still })
      children[0]!.say("ready")
      const turning = (pass: number, turns: boolean) =>
        Effect.gen(function* () {
          for (let second = 0; second < pass; second += 1) {
            seconds += 1
            if (turns) turnedAt = seconds
            yield* TestClock.adjust("1 second")
          }
        })
      yield* turning(GIVES_WAY_SECONDS + 1, true)
      const before = looked.length
      yield* turning(600, true)
      expect(looked).toHaveLength(before)
      yield* turning(silentSeconds - 2, false)
      expect(place.state).toBe("running")
      yield* turning(1, false)
      expect(place).toMatchObject({ state: "stalled", pid: 1, stalls: 1 })
      expect(looked.at(-1)).toBe(600 + silentSeconds - 1)
      // Its successor is looked at from its start on, and what passed before says nothing of it.
      expect(children).toHaveLength(2)
      turnedAt = seconds
      children[1]!.say("ready")
      yield* turning(5, true)
      expect({ place: place.pid, state: place.state, exited }).toEqual({ place: 2, state: "running", exited: [1] })
      expect(looked.slice(-5)).toEqual([1, 1, 1, 1, 1])
    }))

  it("is killed first where two may not be side by side", () =>
    underTestClock(function* () {
      const { place, children } = yield* stage({ overlaps: false })
      children[0]!.say("ready")
      children[0]!.isStopped = true
      yield* pass(children, silentSeconds)
      expect(children[0]!.signalCode).toBe("SIGKILL")
      yield* TestClock.adjust("100 millis")
      expect(place).toMatchObject({ state: "starting", pid: 2, restarts: 1, stalls: 1 })
    }))

  it("while it starts is replaced as well", () =>
    underTestClock(function* () {
      const { place, children } = yield* stage({ overlaps: false })
      children[0]!.isStopped = true
      yield* pass(children, 20)
      expect(children[0]!.signalCode).toBe("SIGKILL")
      yield* TestClock.adjust("100 millis")
      expect(place).toMatchObject({ state: "starting", pid: 2 })
    }))

  it("is tried again before the node counts as one that cannot start", () =>
    underTestClock(function* () {
      const { place, children } = yield* stage()
      const outcome = yield* Effect.forkChild(Effect.result(place.firstReady))
      for (let start = 1; start < STARTS_TRIED; start += 1) {
        children.at(-1)!.isStopped = true
        yield* pass(children, STARTING_SILENT_SECONDS + 2)
        expect(children).toHaveLength(start + 1)
      }
      children.at(-1)!.say("ready")
      expect((yield* Fiber.join(outcome))._tag).toBe("Success")
      expect(place).toMatchObject({ state: "running", stalls: STARTS_TRIED - 1 })
    }))

  it("is one that speaks and never becomes ready, too", () =>
    underTestClock(function* () {
      const { children } = yield* stage()
      yield* pass(children, 89)
      expect(children[0]!.signalCode).toBeNull()
      yield* pass(children, 1)
      expect(children[0]!.signalCode).toBe("SIGKILL")
    }))
})

describe("a process that ends before it was ready", () => {
  it("is tried again where a signal ended it, which says nothing against the next", () =>
    underTestClock(function* () {
      const { place, children } = yield* stage()
      const outcome = yield* Effect.forkChild(Effect.result(place.firstReady))
      for (let start = 1; start < STARTS_TRIED; start += 1) {
        // One that obeys SIGTERM ends with code 0.
        if (start === 1) children.at(-1)!.end(0)
        else children.at(-1)!.end(null, "SIGKILL")
        yield* TestClock.adjust("1 second")
        expect(children).toHaveLength(start + 1)
      }
      children.at(-1)!.say("ready")
      expect((yield* Fiber.join(outcome))._tag).toBe("Success")
      expect(place).toMatchObject({ state: "running", restarts: STARTS_TRIED - 1 })
    }))

  it("is the end of the start where signals go on to end it", () =>
    underTestClock(function* () {
      const { place, children } = yield* stage()
      const outcome = yield* Effect.forkChild(Effect.result(place.firstReady))
      for (let start = 0; start < STARTS_TRIED; start += 1) {
        children.at(-1)!.end(null, "SIGSEGV")
        yield* TestClock.adjust("1 second")
      }
      expect(yield* Fiber.join(outcome)).toMatchObject({
        _tag: "Failure",
        failure: "worker 0 did not start: it ended (SIGSEGV)"
      })
    }))

  it("is the end of the start where it gave up itself", () =>
    underTestClock(function* () {
      const { place, children } = yield* stage()
      const outcome = yield* Effect.forkChild(Effect.result(place.firstReady))
      children[0]!.end(1)
      expect(yield* Fiber.join(outcome)).toMatchObject({
        _tag: "Failure",
        failure: "worker 0 did not start: it ended (exit code 1)"
      })
    }))
})

describe("a system that has no process to spare", () => {
  it("is asked again until it has: at the start, and when a process died", () =>
    underTestClock(function* () {
      const refusals = [refuse("ENOMEM"), refuse("EAGAIN"), refuse("EMFILE")]
      const { place, children } = yield* stage({}, refusals)
      expect({ state: place.state, children: children.length }).toEqual({ state: "waiting", children: 0 })
      yield* TestClock.adjust("1 second")
      expect(children).toHaveLength(1)
      children[0]!.say("ready")
      yield* place.firstReady
      refusals.push(...Array.from({ length: 30 }, () => refuse("ENOMEM")))
      children[0]!.end(null, "SIGSEGV")
      yield* TestClock.adjust("40 seconds")
      expect({ state: place.state, children: children.length }).toEqual({ state: "starting", children: 2 })
    }))

  it("keeps the old process when it is to be replaced, and gets its successor as soon as it can", () =>
    underTestClock(function* () {
      const { place, children, refusals } = yield* stage()
      children[0]!.say("ready")
      refusals.push(refuse("ENOMEM"), refuse("ENOMEM"))
      const replacing = yield* Effect.forkChild(place.replace)
      yield* pass(children, 1)
      expect(children).toHaveLength(2)
      children[1]!.say("ready")
      yield* Fiber.join(replacing)
      expect(place).toMatchObject({ pid: 2, state: "running" })
      refusals.push(...Array.from({ length: 30 }, () => refuse("ENOMEM")))
      const again = yield* Effect.forkChild(place.replace)
      yield* pass(children, 20)
      yield* Fiber.join(again)
      expect(place).toMatchObject({ pid: 2, state: "running" })
    }))
})

describe("stopping", () => {
  it("during a replacement ends the old one gracefully and the new one at once", () =>
    underTestClock(function* () {
      const { place, children } = yield* stage()
      children[0]!.say("ready")
      yield* Effect.forkChild(place.replace)
      yield* TestClock.adjust(0)
      expect(children).toHaveLength(2)
      // No time passes.
      yield* place.stop
      expect(children.map(({ exitCode, signalCode }) => [exitCode, signalCode])).toEqual([
        [0, null],
        [null, "SIGKILL"]
      ])
    }))

  it("while nothing can be started ends at once", () =>
    underTestClock(function* () {
      const { place, fiber } = yield* stage(
        {},
        Array.from({ length: 99 }, () => refuse("ENOMEM"))
      )
      yield* TestClock.adjust("5 seconds")
      yield* place.stop
      yield* Fiber.join(fiber)
      expect(place.state).toBe("stopped")
    }))

  it("by an end of the keeping leaves no process behind, not even one that hangs", () =>
    underTestClock(function* () {
      const { children, fiber } = yield* stage()
      children[0]!.isStopped = true
      yield* Fiber.interrupt(fiber)
      expect(children[0]!.signalCode).toBe("SIGKILL")
    }))

  it("kills a process that does not end by itself", () =>
    underTestClock(function* () {
      const { place, children } = yield* stage()
      children[0]!.say("ready")
      children[0]!.isStopped = true
      const stopping = yield* Effect.forkChild(place.stop)
      yield* TestClock.adjust("2 seconds")
      expect(children[0]!.signalCode).toBeNull()
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopping)
      expect(children[0]!.signalCode).toBe("SIGKILL")
    }))
})
