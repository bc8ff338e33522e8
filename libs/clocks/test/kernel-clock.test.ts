/**
 * One contract for both implementations of the port. The machine's own clock is only ever read here: what changes it is
 * tried in a process that may not, for the error.
 */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { isDeepStrictEqual } from "node:util"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type KernelClock, kernelClock, KernelClockRefused, nativeKernelClock } from "../src/kernel-clock.ts"
import { FREQUENCY_UNITS, RECORD_FIELDS, STATE } from "../src/kernel-clock-record.ts"
import { SimulatedKernel } from "../src/kernel-clock-simulated.ts"
import { errnoName, loadNative } from "@meridian/system/native"

/** 2016-12-31T23:59:50Z, ten seconds before a leap second. */
const BEFORE_LEAP = 1_483_228_790

class Machine {
  raw = 0
  readonly kernel: SimulatedKernel
  constructor(epoch = BEFORE_LEAP, privileged = true) {
    this.kernel = new SimulatedKernel({ raw: () => this.raw, epoch, privileged })
  }
  get clock(): KernelClock {
    return this.kernel.clock
  }
  run(seconds: number): void {
    this.raw += seconds
  }
  /** Gained while so many seconds pass. */
  gains(seconds: number): number {
    const before = this.kernel.gained()
    this.run(seconds)
    return this.kernel.gained() - before
  }
}

describe.each([
  ["native", () => nativeKernelClock() as KernelClock],
  ["simulated", () => new Machine().clock]
] as const)("a %s kernel clock that is read", (kind, open) => {
  it("says what it is and how it stands", () => {
    const clock = open()
    expect(clock.kind).toBe(kind)
    const state = clock.read()
    expect(Math.abs(state.frequency)).toBeLessThanOrEqual(500e-6)
    expect(Math.abs(state.frequency * FREQUENCY_UNITS - Math.round(state.frequency * FREQUENCY_UNITS))).toBeLessThan(
      1e-6
    )
    expect(state.tick).toBeGreaterThanOrEqual(9_000)
    expect(state.tick).toBeLessThanOrEqual(11_000)
    expect(Math.abs((state.tick - 10_000) / 10_000 + state.frequency)).toBeLessThanOrEqual(0.1005)
    expect(state.maxError).toBeGreaterThanOrEqual(0)
    expect(state.maxError).toBeLessThanOrEqual(16)
    expect(["none", "insert", "delete"]).toContain(state.leap)
    expect(["none", "armed", "in-progress", "past"]).toContain(state.leapState)
    expect(Number.isInteger(state.taiOffset)).toBe(true)
  })

  it("is the same when it is read again", () => {
    const clock = open()
    const settings = (): object => {
      const { maxError: _grows, ...others } = clock.read()
      return others
    }
    let [first, second] = [settings(), settings()]
    // The program that steers this machine may have done so in between; it does not do so each time.
    for (let again = 0; again < 4 && !isDeepStrictEqual(first, second); again++) [first, second] = [second, settings()]
    expect(second).toEqual(first)
  })
})

const withoutCapability = fileURLToPath(new URL("kernel-clock-without-capability.ts", import.meta.url))

describe("without CAP_SYS_TIME", () => {
  it("the machine's clock can be read, and everything else is refused by name", () => {
    const isRoot = process.getuid?.() === 0
    const given = isRoot ? ["--bounding-set", "-sys_time", "--inh-caps", "-sys_time"] : ["--no-new-privs"]
    const { status, stdout, stderr } = spawnSync("setpriv", [...given, process.execPath, withoutCapability], {
      encoding: "utf8"
    })
    expect(stderr).toBe("")
    expect(status).toBe(0)
    const { before, after, refused } = JSON.parse(stdout) as { before: object; after: object; refused: string[] }
    expect(refused).toHaveLength(8)
    for (const one of refused) expect(one).toMatch(/^KernelClockRefused EPERM .*CAP_SYS_TIME$/)
    expect(after).toEqual(before)
  })

  it("a simulated clock does the same", () => {
    const { clock } = new Machine(BEFORE_LEAP, false)
    const before = clock.read()
    for (const change of [() => clock.step(1), () => clock.takeOver(), () => clock.adjust({ maxError: 1 })])
      expect(change).toThrow(KernelClockRefused)
    expect(clock.read()).toEqual(before)
  })
})

describe("a native record", () => {
  it.each([undefined, [], new Float64Array(RECORD_FIELDS - 1), new Uint8Array(96)])("%j is refused", (wrong) =>
    expect(() => loadNative().addon?.clockAdjtime(wrong as Float64Array)).toThrow(TypeError)
  )

  it("with a member that is no finite number is refused", () => {
    for (const value of [NaN, Infinity, -1e300])
      for (let field = 0; field < RECORD_FIELDS; field += 1) {
        // Were it let through, no mode is set and nothing would be changed.
        const record = new Float64Array(RECORD_FIELDS)
        record[field] = value
        expect(() => loadNative().addon?.clockAdjtime(record)).toThrow(TypeError)
      }
  })
})

describe("steering a simulated clock", () => {
  it("a rate is what it gains from then on, CLOCK_MONOTONIC too", () => {
    const machine = new Machine()
    machine.clock.adjust({ rate: { frequency: 100e-6, tick: 10_000 } })
    expect(machine.gains(1_000)).toBeCloseTo(0.1, 6)
    expect(machine.kernel.monotonic()).toBeCloseTo(1_000.1, 6)
    machine.clock.adjust({ rate: { frequency: -50e-6, tick: 10_010 } })
    expect(machine.gains(100)).toBeCloseTo(0.1 - 0.005, 6)
  })

  it("a rate is read back as the kernel holds it", () => {
    fc.assert(
      fc.property(fc.double({ min: -1e-3, max: 1e-3, noNaN: true }), fc.integer({ min: 0, max: 20_000 }), (f, tick) => {
        const { clock } = new Machine()
        const state = clock.adjust({ rate: { frequency: f, tick } })
        const wanted = Math.max(-500e-6, Math.min(500e-6, f))
        expect(Math.abs(state.frequency - wanted)).toBeLessThanOrEqual(0.5 / FREQUENCY_UNITS + 1e-18)
        expect(state.tick).toBe(Math.max(9_000, Math.min(11_000, tick)))
        expect(clock.read()).toMatchObject({ frequency: state.frequency, tick: state.tick })
      })
    )
  })

  it.each([0.25, -0.25, 3_600, -3_600.000_000_001, 1e-9, -1e-9, 2 ** 31])("a step of %d s is taken exactly", (step) => {
    const machine = new Machine()
    machine.run(0.5)
    const before = machine.kernel.realtime()
    machine.clock.step(step)
    const after = machine.kernel.realtime()
    expect(after.seconds - before.seconds + (after.fraction - before.fraction)).toBeCloseTo(step, 8)
    expect(after.fraction).toBeGreaterThanOrEqual(0)
    expect(after.fraction).toBeLessThan(1)
    expect(machine.kernel.monotonic()).toBe(0.5)
    expect(machine.clock.read()).toMatchObject({ synchronised: false, maxError: 16 })
  })

  it("a step to before 1970 is refused", () => {
    const { clock } = new Machine()
    expect(() => clock.step(-2e9)).toThrow(expect.objectContaining({ _tag: "KernelClockRefused", code: "EINVAL" }))
  })

  it("the error bound grows by 500 ppm, and at 16 s nobody is synchronised", () => {
    const machine = new Machine()
    const status = { synchronised: true, leap: "none" } as const
    expect(machine.clock.adjust({ status, maxError: 0.5, estimatedError: 1e-4 })).toMatchObject({
      synchronised: true,
      maxError: 0.5,
      estimatedError: 1e-4
    })
    machine.run(100)
    expect(machine.clock.read().maxError).toBeCloseTo(0.55, 6)
    machine.run(40_000)
    expect(machine.clock.read()).toMatchObject({ synchronised: false, maxError: 16 })
    expect(machine.clock.adjust({ maxError: Infinity }).maxError).toBe(16)
  })

  it("TAI is kept, and moves with a leap second", () => {
    const machine = new Machine()
    const status = { synchronised: true, leap: "insert" } as const
    machine.clock.adjust({ taiOffset: 36, status, maxError: 0 })
    machine.run(12)
    expect(machine.clock.read().taiOffset).toBe(37)
  })

  it.each([
    ["insert", -1, ["armed", "in-progress", "past"]],
    ["delete", 1, ["armed", "past"]]
  ] as const)("a leap second to %s comes at the end of the day and goes through its states", (leap, gain, states) => {
    const machine = new Machine()
    const seen: string[] = []
    machine.clock.adjust({ status: { synchronised: true, leap }, maxError: 0 })
    for (let second = 0; second < 15; second += 1) {
      machine.run(1)
      const { leapState } = machine.clock.read()
      if (seen.at(-1) !== leapState) seen.push(leapState)
    }
    expect(seen).toEqual(states)
    expect(machine.kernel.gained()).toBeCloseTo(gain, 9)
    machine.clock.adjust({ status: { synchronised: true, leap: "none" } })
    machine.run(2)
    expect(machine.clock.read().leapState).toBe("none")
    machine.run(86_400)
    expect(machine.kernel.gained()).toBeCloseTo(gain, 6)
  })

  it("a leap second that is disarmed in time, or was armed before a step, does not come", () => {
    for (const undo of [
      (machine: Machine) => void machine.clock.adjust({ status: { synchronised: true, leap: "none" } }),
      (machine: Machine) => machine.clock.step(0.1)
    ]) {
      const machine = new Machine()
      machine.clock.adjust({ status: { synchronised: true, leap: "insert" }, maxError: 0 })
      machine.run(3)
      undo(machine)
      const before = machine.kernel.gained()
      machine.run(20)
      expect(machine.kernel.gained()).toBeCloseTo(before, 6)
    }
  })

  it("taking over ends what another program left to be slewed, and its loop", () => {
    const machine = new Machine()
    machine.kernel.adjtimeByOther(0.2)
    machine.run(2)
    expect(machine.gains(10)).toBeCloseTo(5e-3, 5)
    expect(machine.clock.takeOver()).toMatchObject({ synchronised: false, ownLoop: false, leap: "none" })
    machine.run(1)
    expect(machine.gains(100)).toBeCloseTo(0, 9)
  })

  it("any record at all is taken or refused by name, and time goes on", () => {
    const fields = fc.array(fc.integer({ min: -(2 ** 40), max: 2 ** 40 }), { minLength: RECORD_FIELDS, maxLength: 12 })
    fc.assert(
      fc.property(fields, fc.integer({ min: 0, max: 0xffff }), (values, modes) => {
        const machine = new Machine()
        const record = Float64Array.from([modes, ...values.slice(1)])
        const outcome = (): unknown => {
          try {
            machine.kernel.adjtime(record)
            return record[STATE]! >= 0 ? "taken" : record[STATE]
          } catch (error) {
            return errnoName(error)
          }
        }
        expect(["taken", "EINVAL"]).toContain(outcome())
        machine.run(10)
        const { fraction } = machine.kernel.realtime()
        expect(fraction >= 0 && fraction < 1).toBe(true)
      })
    )
  })

  it("an errno without a name is still a refusal", () => {
    const clock = kernelClock("simulated", () => {
      throw new Error("no code")
    })
    expect(() => clock.read()).toThrow(expect.objectContaining({ _tag: "KernelClockRefused", code: "UNKNOWN" }))
  })
})
