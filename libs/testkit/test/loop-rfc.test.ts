import { describe, expect, it } from "vitest"
import { RfcLoop, type RfcLoopOptions } from "../src/loop-rfc.ts"

const options: RfcLoopOptions = { minpoll: 6, maxpoll: 6, precision: 1e-6, frequency: 0, panicGate: false }

/** A loop that has had its first update, fed the true offset of a perfect oscillator that starts `offset` seconds off. */
const settle = (
  loop: RfcLoop,
  offset: number,
  seconds: number,
  frequency = 0
): readonly { readonly at: number; readonly error: number }[] => {
  const errors: { at: number; error: number }[] = []
  for (let t = 64; t <= seconds; t += 64) {
    const error = offset + frequency * t - loop.correction(t)
    loop.update(error, t, t)
    errors.push({ at: t, error })
  }
  return errors
}

describe("RFC 5905 phase-locked loop", () => {
  it("answers an offset as it is known to: zero after 50 minutes at 64 s, overshoot of some percent, then a long tail", () => {
    const errors = settle(new RfcLoop(options, 0), 0.1, 8 * 3600)
    const crossing = errors.find(({ error }) => error <= 0)?.at ?? 0
    expect(crossing).toBeGreaterThan(45 * 60)
    expect(crossing).toBeLessThan(60 * 60)
    const overshoot = -Math.min(...errors.map(({ error }) => error)) / 0.1
    expect(overshoot).toBeGreaterThan(0.03)
    expect(overshoot).toBeLessThan(0.08)
  })

  it("learns a frequency in the long run", () => {
    const loop = new RfcLoop(options, 0)
    const errors = settle(loop, 0, 4 * 86_400, 10e-6)
    expect(loop.frequency).toBeCloseTo(10e-6, 8)
    expect(Math.abs(errors.at(-1)?.error ?? 1)).toBeLessThan(1e-4)
  })

  it("measures the frequency directly before its first setting, for 900 s", () => {
    const loop = new RfcLoop({ ...options, frequency: undefined }, 0)
    expect(loop.update(0.02, 10, 10)).toBe("ignore")
    expect(loop.state).toBe("FREQ")
    settle(loop, 0.02, 800, 50e-6)
    expect(loop.state).toBe("FREQ")
    settle(loop, 0.02, 1000, 50e-6)
    expect(loop.state).toBe("SYNC")
    expect(loop.frequency).toBeGreaterThan(45e-6)
    expect(loop.frequency).toBeLessThan(55e-6)
  })

  it("steps at once when it was never set, and after 900 s of a lasting spike when it was", () => {
    const fresh = new RfcLoop(options, 0)
    expect(fresh.update(0.5, 64, 64)).toBe("step")
    expect(fresh.correction(64)).toBe(0.5)
    expect(fresh.update(0, 128, 128)).toBe("slew")
    expect(fresh.update(0.5, 192, 192)).toBe("ignore")
    expect(fresh.state).toBe("SPIK")
    expect(fresh.update(0.5, 900, 900)).toBe("ignore")
    expect(fresh.update(0.5, 1100, 1100)).toBe("step")
  })

  it("forgets a spike when the offset comes back", () => {
    const loop = new RfcLoop(options, 0)
    settle(loop, 0, 640)
    expect(loop.update(0.3, 700, 700)).toBe("ignore")
    expect(loop.update(0, 764, 764)).toBe("slew")
    expect(loop.state).toBe("SYNC")
  })

  it("refuses over a thousand seconds, but for the first time when it may", () => {
    expect(new RfcLoop(options, 0).update(1001, 64, 64)).toBe("panic")
    const gate = new RfcLoop({ ...options, panicGate: true }, 0)
    expect(gate.update(1001, 64, 64)).toBe("step")
    expect(gate.update(1001, 128, 128)).toBe("panic")
  })

  it("keeps the frequency within 500 ppm and the poll exponent within its limits", () => {
    const loop = new RfcLoop({ ...options, maxpoll: 10 }, 0)
    settle(loop, 0.1, 86_400, 800e-6)
    expect(Math.abs(loop.frequency)).toBeLessThanOrEqual(500e-6)
    const quiet = new RfcLoop({ ...options, maxpoll: 8 }, 0)
    settle(quiet, 0, 86_400)
    expect(quiet.poll).toBe(8)
  })
})
