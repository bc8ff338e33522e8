/**
 * Kernel mode: the keeper with a simulated machine whose kernel it steers, and the decision whether to steer at all. No
 * real clock is steered: the one real process here is started without CAP_SYS_TIME.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { defaultDisciplineOptions, noLocalMode, TrackedSource } from "@meridian/algorithms"
import { ClockPageReader, ClockPageWriter } from "@meridian/clocks/clock-page"
import { SimulatedKernel } from "@meridian/clocks/kernel-clock-simulated"
import { originOf } from "@meridian/time/clock-line"
import { type ClockCurve, Leap, servedTimeAt, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { ClockKeeper } from "../src/clock-keeper.ts"
import type { Reading } from "../src/clocks.ts"
import { chooseKernelMode } from "../src/kernel-mode.ts"
import { LeapSeconds } from "../src/leap-seconds.ts"
import { SystemClockSteering } from "../src/system-clock-steering.ts"
import { type Folder, makeFolder, upstream } from "./running-discipline.ts"
import { onStage } from "./stage.ts"

const LEAP_AT = 1_483_228_800
const options = { ...defaultDisciplineOptions, minpoll: 0, maxpoll: 0, firstMayPanic: true }

let folder: Folder
let page: ClockPageWriter
beforeEach(() => {
  folder = makeFolder()
  page = new ClockPageWriter(folder.page.writable)
})
afterEach(() => {
  page.close()
  folder.remove()
})

interface MachineOptions {
  /** Oscillator's error, seconds a second. */
  readonly drift?: number
  /** CLOCK_REALTIME less true time at the start. */
  readonly offset?: number
  /** True time at the start, Unix seconds. */
  readonly epoch?: number
  readonly smear?: number
  /** From the drift file. */
  readonly frequency?: number
  readonly privileged?: () => boolean
}

/** A machine with one good source, its kernel, and the service's parts that steer it. */
class Machine {
  raw = 0
  readonly kernel: SimulatedKernel
  readonly warnings: string[] = []
  readonly voided: number[] = []
  readonly keeper: ClockKeeper
  readonly steering: SystemClockSteering
  readonly leaps: LeapSeconds
  readonly tracked = new TrackedSource(
    { id: "192.0.2.1", prefer: false, noselect: false, alwaysTrue: false, minpoll: 0, maxpoll: 0 },
    2 ** -20
  )
  announced: Leap = Leap.none
  private readonly epoch: number
  private readonly drift: number
  /** Leap seconds that true time has had. */
  private leapt = 0

  constructor({ drift = 0, offset = 0, epoch = 1_700_000_000, smear = 0, frequency = 0 }: MachineOptions = {}) {
    this.epoch = epoch
    this.drift = drift
    this.kernel = new SimulatedKernel({ raw: () => this.raw, epoch: epoch + offset })
    const warn = (message: string): void => void this.warnings.push(message)
    this.leaps = new LeapSeconds(null, smear, warn)
    const now = this.read()
    page.begin(originOf(now, now.monotonic))
    const { step, stepout, panic, slewRate } = options
    this.steering = new SystemClockSteering(
      this.kernel.clock,
      { step, stepout, panic, slewRate },
      this.kernel.monotonic(),
      warn,
      (seconds) => this.voided.push(seconds)
    )
    this.keeper = new ClockKeeper(
      { discipline: options, frequency, local: noLocalMode, hasSources: true },
      page,
      new ClockPageReader(folder.page.readable),
      () => this.read(),
      this.leaps,
      () => this.kernel.monotonic(),
      this.steering
    )
  }

  read(): Reading {
    const { seconds, fraction } = this.kernel.realtime()
    return { seconds, nanoseconds: Math.floor(fraction * 1e9), monotonic: this.kernel.monotonic() }
  }

  get truth(): number {
    return this.epoch + this.raw / (1 + this.drift) + this.leapt
  }

  /** CLOCK_REALTIME less true time. */
  get systemError(): number {
    const { seconds, fraction } = this.kernel.realtime()
    return seconds - this.truth + fraction
  }

  /** What a worker would serve less true time, or undefined where it would say that it does not know. */
  get servedError(): number | undefined {
    const curve = onPage()
    if (curve.stratum === 16) return undefined
    const { seconds, nanoseconds } = servedTimeAt(curve, this.read().monotonic)
    return seconds - this.truth + nanoseconds / 1e9
  }

  /** The service's tick. */
  tick(): void {
    const change = this.keeper.watchRealtime()
    if (change._tag === "Stepped") this.voided.push(change.seconds)
    const leapt = this.keeper.passLeapSecond()
    if (leapt !== 0) this.tracked.clockStepped(leapt)
    this.keeper.steer()
    this.keeper.publish()
  }

  measure(): void {
    const { monotonic } = this.read()
    this.tracked.polled()
    const report = { stratum: 2, leap: this.announced, rootDelay: 0, rootDispersion: 0, loop: false }
    const offset = -this.systemError + this.keeper.added(monotonic)
    this.tracked.answered({ time: monotonic, offset, delay: 1e-4, dispersion: 1e-6 }, report)
    this.keeper.decide([this.tracked])
  }

  /** Four ticks and a sample a second. */
  run(seconds: number, answers = true, each: () => void = () => {}): void {
    for (let second = 0; second < seconds; second += 1) {
      for (let quarter = 0; quarter < 4; quarter += 1) {
        this.raw += 0.25
        const end = LEAP_AT - (this.announced === Leap.delete ? 1 : 0)
        if (this.truth >= end && this.epoch < end && this.leapt === 0 && this.announced !== Leap.none)
          this.leapt = this.announced === Leap.insert ? -1 : 1
        this.tick()
        each()
      }
      if (answers) this.measure()
      each()
    }
  }
}

const onPage = (): ClockCurve => {
  const curve = unsynchronisedCurve()
  new ClockPageReader(folder.page.readable).readInto(curve)
  return curve
}

describe("a machine's clock in kernel mode", () => {
  it("is stepped once when it is first set, and what is served on top of it is next to nothing", () => {
    const machine = new Machine({ offset: 5, drift: 40e-6 })
    machine.run(60)
    expect(machine.voided).toEqual([expect.closeTo(-5, 2)])
    expect(machine.steering.steps).toBe(1)
    expect(Math.abs(machine.systemError)).toBeLessThan(1e-5)
    expect(Math.abs(machine.keeper.correction(machine.kernel.monotonic()))).toBeLessThan(1e-6)
    expect(Math.abs(onPage().frequency)).toBeLessThan(1e-6)
    expect(machine.kernel.clock.read().frequency).toBeCloseTo(-40e-6, 7)
    expect(machine.keeper.foreignSteps).toBe(0)
    expect(machine.warnings).toEqual([])
  })

  it("is slewed where it is off by less than the step threshold, while served time is right already", () => {
    const machine = new Machine({ offset: 0.1 })
    machine.run(10)
    expect(machine.steering.steps).toBe(0)
    expect(machine.systemError).toBeGreaterThan(0.09)
    expect(Math.abs(machine.servedError ?? 1)).toBeLessThan(1e-4)
    machine.run(250)
    expect(Math.abs(machine.systemError)).toBeLessThan(1e-5)
    expect(Math.abs(machine.servedError ?? 1)).toBeLessThan(1e-5)
  })

  it("is said to be synchronised while it is, with a bound that holds", () => {
    const machine = new Machine({ offset: 0.1 })
    expect(machine.kernel.clock.read()).toMatchObject({ synchronised: false, ownLoop: false })
    machine.run(3, false)
    expect(machine.kernel.clock.read().synchronised).toBe(false)
    machine.run(10, true, () => {
      const { synchronised, maxError } = machine.kernel.clock.read()
      expect(synchronised ? maxError + 1e-3 : Infinity).toBeGreaterThan(Math.abs(machine.systemError))
    })
    expect(machine.kernel.clock.read().synchronised).toBe(true)
    machine.tracked.reach = 0
    machine.keeper.decide([machine.tracked])
    expect(machine.keeper.discipline.state).toBe("holdover")
    machine.run(60, false)
    expect(machine.kernel.clock.read().synchronised).toBe(true)
    machine.raw += 5e5
    machine.run(2, false)
    expect(machine.kernel.clock.read().synchronised).toBe(false)
    expect(onPage().stratum).toBe(16)
  })

  it("holds its frequency when the sources are gone", () => {
    const machine = new Machine({ drift: -80e-6 })
    machine.run(120)
    machine.tracked.reach = 0
    machine.keeper.decide([machine.tracked])
    machine.run(600, false)
    expect(Math.abs(machine.systemError)).toBeLessThan(1e-3)
    expect(machine.kernel.clock.read().frequency).toBeCloseTo(80e-6, 6)
  })

  it("begins with the drift file's frequency", () => {
    const machine = new Machine({ drift: 50e-6, frequency: -50e-6 })
    machine.run(20, false)
    expect(Math.abs(machine.systemError)).toBeLessThan(2e-5)
  })

  it("is left at its best frequency, with no slewing under way, when the service ends", () => {
    const machine = new Machine({ offset: 0.1, drift: 30e-6 })
    machine.run(20)
    expect(Math.abs(machine.kernel.clock.read().frequency + 30e-6)).toBeGreaterThan(400e-6)
    machine.keeper.stop()
    expect(machine.kernel.clock.read().frequency).toBeCloseTo(-30e-6, 6)
    expect(Math.abs(machine.servedError ?? 1)).toBeLessThan(1e-4)
  })
})

describe("another program, in kernel mode,", () => {
  it.each([40, -40])(
    "that sets the clock by %d s is noticed at the next look, and undone after the stepout",
    (step) => {
      const machine = new Machine({ drift: 20e-6 })
      machine.run(60)
      machine.kernel.setByOther(step)
      machine.tick()
      expect(machine.keeper.foreignSteps).toBe(1)
      expect(Math.abs(machine.servedError ?? 1)).toBeLessThan(1e-4)
      machine.run(299, true, () => expect(Math.abs(machine.servedError ?? 1)).toBeLessThan(1e-4))
      expect(machine.steering.state).toBe("disputed")
      expect(machine.systemError).toBeCloseTo(step, 3)
      machine.run(5)
      expect(Math.abs(machine.systemError)).toBeLessThan(1e-4)
      expect(machine.keeper.foreignSteps).toBe(1)
      expect(machine.keeper.steps).toBe(0)
    }
  )

  it("that sets it by an hour is left to a person, who is told", () => {
    const machine = new Machine()
    machine.run(30)
    machine.kernel.setByOther(3_600)
    machine.run(400)
    expect(machine.systemError).toBeCloseTo(3_600, 3)
    expect(Math.abs(machine.servedError ?? 1)).toBeLessThan(1e-4)
    expect(machine.warnings).toEqual([expect.stringMatching(/is 3600.* s off and not stepped.*tinker panic/)])
  })

  it("that changes its frequency, or switches the kernel's loop on, is named and overruled", () => {
    const machine = new Machine()
    machine.run(30)
    machine.kernel.clock.adjust({ rate: { frequency: 300e-6, tick: 10_000 } })
    machine.run(3)
    expect(machine.warnings).toEqual([expect.stringContaining("another program changes the frequency")])
    machine.run(60)
    expect(Math.abs(machine.kernel.clock.read().frequency)).toBeLessThan(1e-6)
    expect(Math.abs(machine.systemError)).toBeLessThan(1e-4)
    const record = new Float64Array(12)
    record[0] = 0x10
    record[5] = 1
    machine.kernel.adjtime(record)
    machine.run(3)
    expect(machine.warnings.at(-1)).toContain("the kernel's own clock loop")
    expect(machine.kernel.clock.read().ownLoop).toBe(false)
  })
})

describe("a privilege that is lost", () => {
  it("is said once, and served time stays right", () => {
    let isPrivileged = true
    const machine = new Machine({ drift: 20e-6 })
    const adjtime = machine.kernel.adjtime.bind(machine.kernel)
    machine.kernel.adjtime = (record) => {
      if (!isPrivileged && record[0] !== 0) throw Object.assign(new Error(), { code: "EPERM" })
      adjtime(record)
    }
    machine.run(30)
    isPrivileged = false
    machine.run(60, true, () => expect(Math.abs(machine.servedError ?? 1)).toBeLessThan(1e-4))
    expect(machine.warnings).toEqual([expect.stringMatching(/CAP_SYS_TIME; the system's clock is left alone/)])
  })
})

describe("a leap second in kernel mode", () => {
  it.each([
    ["inserted", "right", Leap.insert, 0],
    ["inserted", "ahead", Leap.insert, 0.1],
    ["inserted", "behind", Leap.insert, -0.1],
    ["deleted", "right", Leap.delete, 0]
  ] as const)("is %s by the kernel, whose clock is %s, and served time goes with it", (_what, _where, leap, offset) => {
    const machine = new Machine({ epoch: LEAP_AT - 30, offset })
    const leapsAt = leap === Leap.insert ? 30 : 29
    machine.announced = leap
    const seen = new Set<number>()
    machine.run(40, true, () => {
      const curve = onPage()
      if (curve.stratum < 16) seen.add(curve.leap)
      const error = machine.servedError
      // Where the clock still is off by `offset`, its day ends by that much earlier or later.
      const near = Math.abs(machine.raw - leapsAt) < 0.3
      expect(error === undefined || near ? 0 : Math.abs(error)).toBeLessThan(1e-3)
      if (machine.truth > LEAP_AT + 3) machine.announced = Leap.none
    })
    expect(seen).toEqual(new Set([leap, Leap.none]))
    expect(machine.keeper.foreignSteps).toBe(0)
    expect(machine.steering.steps).toBe(0)
    machine.run(20)
    expect(machine.kernel.clock.read()).toMatchObject({ leap: "none", leapState: "none" })
    expect(Math.abs(machine.servedError ?? 1)).toBeLessThan(1e-3)
    expect(machine.warnings).toEqual([])
  })

  it("is told to the kernel on the last half day alone", () => {
    const machine = new Machine({ epoch: LEAP_AT - 43_210 })
    machine.announced = Leap.insert
    machine.run(8)
    expect(machine.leaps.armed).toMatchObject({ at: LEAP_AT })
    expect(machine.kernel.clock.read().leap).toBe("none")
    machine.run(5)
    expect(machine.kernel.clock.read().leap).toBe("insert")
  })

  it("that is smeared for clients is a leap second for the kernel", () => {
    const machine = new Machine({ epoch: LEAP_AT - 60, smear: 40 })
    machine.announced = Leap.insert
    let lastServed = -Infinity
    let smeared = 0
    machine.run(70, true, () => {
      const curve = onPage()
      if (curve.stratum === 16) return
      expect(curve.leap).toBe(Leap.none)
      if (curve.referenceId >>> 24 === 254) smeared += 1
      const { seconds, nanoseconds } = servedTimeAt(curve, machine.read().monotonic)
      const served = seconds - LEAP_AT + nanoseconds / 1e9
      expect(served).toBeGreaterThanOrEqual(lastServed - 1e-6)
      lastServed = served
      if (machine.truth > LEAP_AT + 3) machine.announced = Leap.none
    })
    expect(smeared).toBeGreaterThan(100)
    expect(Math.abs(machine.systemError)).toBeLessThan(1e-4)
    expect(machine.keeper.foreignSteps).toBe(0)
  })
})

describe("whether to steer", () => {
  const { clock } = new SimulatedKernel({ raw: () => 0, epoch: 0 })
  const sources = [upstream("192.0.2.1", 123)]

  it("takes being asked, the addon, the privilege and a source", () => {
    expect(chooseKernelMode({ mode: "kernel", sources, referenceClocks: [] }, { clock, privileged: true })).toEqual({
      _tag: "Kernel",
      clock
    })
    expect(chooseKernelMode({ mode: "virtual", sources, referenceClocks: [] }, { clock, privileged: true })).toEqual({
      _tag: "Virtual"
    })
  })

  it.each([
    [
      sources,
      { clock, privileged: false },
      /CAP_SYS_TIME.*AmbientCapabilities=CAP_SYS_TIME.*--user NAME.*virtual mode/
    ],
    [sources, { clock: undefined, privileged: true }, /addon.*virtual mode/],
    [[], { clock, privileged: true }, /no source is configured.*virtual mode/]
  ] as const)("is refused in a sentence where one is missing", (from, has, reason) => {
    expect(chooseKernelMode({ mode: "kernel", sources: from, referenceClocks: [] }, has)).toEqual({
      _tag: "Refused",
      reason: expect.stringMatching(reason)
    })
  })

  it(
    "a real process without CAP_SYS_TIME says how to give it, and serves in virtual mode",
    onStage(async (stage) => {
      const servers = await stage.fakes({ offset: 0.25 })
      const discipline = await stage.follow(servers, { mode: "kernel" })
      const report = await discipline.report(({ tracking }) => tracking.state === "synchronised")
      expect(report.tracking).toMatchObject({ mode: "virtual", kernel: null })
      // A server that has to wait for a processor stamps late, and what was set by that is worked off.
      await expect.poll(() => discipline.page().offset, { timeout: PATIENCE_MS }).toBeCloseTo(0.25, 2)
      expect(discipline.warnings).toEqual([expect.stringContaining("AmbientCapabilities=CAP_SYS_TIME")])
    })
  )
})
