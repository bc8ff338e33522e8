import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { KernelSteering, type SteeringAim, type SteeringOptions, type SteeringRate } from "../src/kernel-steering.ts"

const options: SteeringOptions = { step: 0.128, stepout: 300, panic: 1000, slewRate: 500e-6 }
const nominal: SteeringRate = { frequency: 0, tick: 10_000 }
const gain = ({ frequency, tick }: SteeringRate): number => tick / 10_000 - 1 + frequency

const aim = (offset: number, frequency = 0, more: Partial<SteeringAim> = {}): SteeringAim => ({
  offsetAt: (now) => offset + frequency * now,
  frequency,
  jump: undefined,
  following: true,
  ...more
})

/** Steers for so many seconds, four times a second, and returns the moment it got to. */
const run = (steering: KernelSteering, from: number, seconds: number, to: SteeringAim): number => {
  let now = from
  for (; now < from + seconds; now += 0.25) {
    const { rate, step } = steering.steer(now, to)
    if (step !== 0) steering.stepped(now, step)
    steering.applied(now, rate)
  }
  return now
}

describe("what steering has added", () => {
  it("counts rates and steps from the start on", () => {
    const steering = new KernelSteering(options, 100, nominal)
    expect(steering.added(100)).toBe(0)
    steering.applied(200, { frequency: 100e-6, tick: 10_000 })
    expect(steering.added(200)).toBe(0)
    expect(steering.added(300)).toBeCloseTo((100 * 1e-4) / (1 + 1e-4), 12)
    steering.stepped(300, -7)
    expect(steering.added(300)).toBeCloseTo(-7 + 0.01 / 1.0001, 12)
  })

  it("is known of the moment of a measurement, when the rate has changed since", () => {
    const steering = new KernelSteering(options, 0, nominal)
    steering.applied(10, { frequency: 500e-6, tick: 10_000 })
    steering.applied(20, { frequency: -500e-6, tick: 10_000 })
    expect(steering.added(5)).toBe(0)
    expect(steering.added(15)).toBeCloseTo(5 * 500e-6, 5)
    expect(steering.added(30)).toBeCloseTo((10 * 500e-6) / (1 + 500e-6) - (10 * 500e-6) / (1 - 500e-6), 12)
  })

  it("includes a rate that the kernel had before", () => {
    const steering = new KernelSteering(options, 0, { frequency: -20e-6, tick: 10_001 })
    expect(steering.slope()).toBeCloseTo(80e-6 / (1 + 80e-6), 12)
  })
})

describe("steering", () => {
  it("keeps the line's own rate when it is on it", () => {
    const steering = new KernelSteering(options, 0, nominal)
    const { rate, step, state } = steering.steer(0, aim(0, 30e-6))
    expect({ step, state }).toEqual({ step: 0, state: "locked" })
    expect(gain(rate)).toBeCloseTo(30e-6 / (1 - 30e-6), 12)
  })

  it.each([0.1, -0.1, 0.001])("works off %d s at no more than the slew rate, and does not shoot over", (offset) => {
    const steering = new KernelSteering(options, 0, nominal)
    const target = aim(offset, 40e-6)
    let least = Infinity
    for (let now = 0; now < 400; now += 0.25) {
      const { rate, step } = steering.steer(now, target)
      expect(step).toBe(0)
      expect(Math.abs(gain(rate) - 40e-6)).toBeLessThanOrEqual(500.1e-6)
      steering.applied(now, rate)
      const residue = target.offsetAt(now) - steering.added(now)
      least = Math.min(least, residue * Math.sign(offset))
    }
    expect(least).toBeGreaterThan(-1e-9)
    expect(target.offsetAt(400) - steering.added(400)).toBeCloseTo(0, 9)
  })

  it("steps what the discipline jumped by, and only over the threshold", () => {
    expect(new KernelSteering(options, 0, nominal).steer(0, aim(5, 0, { jump: "first" }))).toMatchObject({ step: 5 })
    expect(new KernelSteering(options, 0, nominal).steer(0, aim(-5, 0, { jump: "step" }))).toMatchObject({ step: -5 })
    expect(new KernelSteering(options, 0, nominal).steer(0, aim(0.1, 0, { jump: "first" }))).toMatchObject({ step: 0 })
  })

  it("has a threshold of its own for steps back", () => {
    const careful = { ...options, stepBack: 2 }
    const stepFor = (offset: number): number =>
      new KernelSteering(careful, 0, nominal).steer(0, aim(offset, 0, { jump: "step" })).step
    expect([stepFor(1), stepFor(-1), stepFor(-3)]).toEqual([1, 0, -3])
  })

  it("with the step threshold switched off steps the first setting alone", () => {
    const never = { ...options, step: 0 }
    expect(new KernelSteering(never, 0, nominal).steer(0, aim(5, 0, { jump: "first" })).step).toBe(5)
    const later = new KernelSteering(never, 0, nominal).steer(0, aim(5, 0, { jump: "step" }))
    expect(later).toMatchObject({ step: 0, state: "locked" })
    expect(gain(later.rate)).toBeCloseTo(500e-6, 6)
  })

  it("takes another program's step back after the stepout, and keeps the clock's rate meanwhile", () => {
    const steering = new KernelSteering(options, 0, nominal)
    const line = aim(0, 10e-6)
    let now = run(steering, 0, 10, line)
    steering.stepped(now, 40)
    const first = steering.steer(now, line)
    expect(first).toMatchObject({ step: 0, state: "disputed" })
    expect(gain(first.rate)).toBeCloseTo(10e-6, 9)
    now += 299
    expect(steering.steer(now, line).state).toBe("disputed")
    now += 1.5
    expect(steering.steer(now, line)).toMatchObject({ step: expect.closeTo(-40, 2), state: "locked" })
  })

  it("does not argue with who sets the clock while there are no sources, nor over the panic threshold", () => {
    const steering = new KernelSteering(options, 0, nominal)
    steering.stepped(0, 40)
    steering.steer(0, aim(0, 0, { following: false }))
    expect(steering.steer(10_000, aim(0, 0, { following: false }))).toMatchObject({ step: 0, state: "disputed" })
    steering.stepped(10_000, 4_000)
    expect(steering.steer(10_001, aim(0))).toMatchObject({ step: 0, state: "panic" })
    expect(steering.steer(20_001, aim(0))).toMatchObject({ step: 0, state: "panic" })
    const daring = new KernelSteering({ ...options, panic: 0 }, 0, nominal)
    daring.stepped(0, 4_000)
    daring.steer(0, aim(0))
    expect(daring.steer(301, aim(0)).step).toBe(-4_000)
  })

  it("begins the stepout anew when the clock was right in between", () => {
    const steering = new KernelSteering(options, 0, nominal)
    steering.stepped(0, 40)
    steering.steer(0, aim(0))
    steering.stepped(200, -40)
    steering.steer(200, aim(0))
    steering.stepped(201, 40)
    expect(steering.steer(301, aim(0)).state).toBe("disputed")
  })

  it("takes a great frequency with the tick, and has 100 ppm left to slew at least", () => {
    for (const frequency of [600e-6, -600e-6, 0.05, -0.05]) {
      const steering = new KernelSteering(options, 0, nominal)
      const { rate, state } = steering.steer(0, aim(0, frequency))
      expect(state).toBe("locked")
      expect(rate.tick).not.toBe(10_000)
      expect(Math.abs(rate.frequency)).toBeLessThanOrEqual(400e-6)
      expect(gain(rate)).toBeCloseTo(frequency / (1 - frequency), 9)
    }
  })

  it("does not flutter between ticks", () => {
    const steering = new KernelSteering(options, 0, nominal)
    const ticks = new Set<number>()
    for (let now = 0; now < 1000; now += 1) {
      const { rate } = steering.steer(now, aim(0, 450e-6 + 50e-6 * Math.sin(now)))
      ticks.add(rate.tick)
      steering.applied(now, rate)
    }
    expect(ticks.size).toBeLessThanOrEqual(2)
  })

  it("says that a frequency is beyond what a kernel corrects", () => {
    expect(new KernelSteering(options, 0, nominal).steer(0, aim(0, 0.2)).state).toBe("limited")
  })

  it("leaves the rate without slewing behind", () => {
    const steering = new KernelSteering(options, 0, nominal)
    run(steering, 0, 5, aim(0.1, 20e-6))
    expect(gain(steering.resting(20e-6))).toBeCloseTo(20e-6, 9)
    expect(steering.slope()).toBeGreaterThan(100e-6)
  })

  it("whatever it is fed, its rate is one that a kernel takes, and steps are what is missing", () => {
    const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 })
    const moment = fc.record({
      offset: finite,
      frequency: fc.double({ noNaN: true, min: -0.2, max: 0.2 }),
      other: fc.oneof(fc.constant(0), finite),
      jump: fc.constantFrom(undefined, "first" as const, "step" as const),
      following: fc.boolean(),
      seconds: fc.double({ noNaN: true, min: 0, max: 1e4 })
    })
    fc.assert(
      fc.property(fc.array(moment, { maxLength: 100 }), (moments) => {
        const steering = new KernelSteering(options, 0, nominal)
        let now = 0
        for (const { offset, frequency, other, jump, following, seconds } of moments) {
          now += seconds
          if (other !== 0) steering.stepped(now, other)
          const before = steering.added(now)
          const { rate, step } = steering.steer(now, { offsetAt: () => offset, frequency, jump, following })
          expect(Math.abs(rate.frequency)).toBeLessThanOrEqual(500e-6)
          expect(rate.tick).toBeGreaterThanOrEqual(9_000)
          expect(rate.tick).toBeLessThanOrEqual(11_000)
          expect(Number.isInteger(rate.tick)).toBe(true)
          expect(step === 0 ? 0 : before + step - offset).toBeCloseTo(0, 6)
          if (step !== 0) steering.stepped(now, step)
          steering.applied(now, rate)
          expect(Number.isFinite(steering.added(now))).toBe(true)
        }
      })
    )
  })
})
