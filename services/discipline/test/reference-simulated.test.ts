/** Reference clocks over simulated devices: pulses and hardware clocks, which few machines have, and what goes wrong. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { referenceClock } from "./reference-stage.ts"
import { knownPrecision, SENTENCES_PRECISION } from "../src/reference-drivers.ts"
import { shmFields, Simulation, unixTime } from "./simulated-clocks.ts"

/** A number from -1 to 1 for each second, the same each time. */
const noise = (second: number): number => {
  const wave = Math.sin(second * 12.9898) * 43_758.5453
  return 2 * (wave - Math.floor(wave)) - 1
}

const gps = referenceClock({ unit: 0, minpoll: 4, maxpoll: 4 })
const pps = referenceClock({ driver: "pps", path: "/dev/pps0", refid: "PPS", minpoll: 4, maxpoll: 4 })

/** A receiver whose serial line is late by up to 60 ms, and whose pulse is good to a microsecond. */
const receiver = (offset: number, frequency: number): Simulation => {
  const simulation = new Simulation([gps, pps], offset, frequency)
  const { devices } = simulation
  devices.shm = (system) => shmFields(system, simulation.truth - 0.04 + 0.02 * noise(system), { leap: 1 })
  devices.pulse = (second) => 1e-6 * noise(second)
  return simulation
}

describe("pulses", () => {
  it.each([
    [0, 0],
    [3.7, 40e-6],
    [-12.45, -90e-6],
    [0.5, 10e-6]
  ])("numbered by a coarse clock keep a clock that is %d s off and runs off by %d", (offset, frequency) => {
    const simulation = receiver(offset, frequency)
    simulation.pass(600)
    expect(simulation.verdicts.get("PPS(0)")?.verdict).toBe("system-peer")
    expect(simulation.verdicts.get("SHM(0)")?.verdict).toBe("backup")
    expect(Math.abs(simulation.error)).toBeLessThan(3e-6)
    // The leap second that the receiver announces is not lost.
    expect(simulation.discipline.root).toMatchObject({ peer: "PPS(0)", stratum: 1, leap: 1 })
    const bound = simulation.discipline.rootDispersion(500 + 600)
    expect(bound).toBeGreaterThan(Math.abs(simulation.error))
    // 15 ppm since the last poll, and nothing of the coarse clock.
    expect(bound).toBeLessThan(16 * 15e-6 + 1e-4)
  })

  it("fall out of use when nobody numbers them any more, and come back", () => {
    const simulation = receiver(0.2, 0)
    simulation.pass(300)
    const { shm } = simulation.devices
    simulation.devices.shm = () => undefined
    simulation.pass(16 * 10)
    expect(simulation.verdicts.get("SHM(0)")?.verdict).toBe("unreachable")
    expect(simulation.verdicts.get("PPS(0)")?.verdict).toBe("unsynchronised")
    expect(simulation.discipline.state).toBe("holdover")
    expect(simulation.clocks.all[1]?.dropped["unnumbered"]).toBeGreaterThan(0)
    expect(simulation.reaches.at(-1)).toEqual(["SHM(0)", false])
    simulation.devices.shm = shm
    simulation.pass(16 * 10)
    expect(simulation.verdicts.get("PPS(0)")?.verdict).toBe("system-peer")
    expect(simulation.reaches.at(-1)).toEqual(["SHM(0)", true])
  })

  it("that stop are missed, and what numbered them is followed", () => {
    const simulation = receiver(0.2, 0)
    simulation.pass(300)
    simulation.devices.pulse = () => undefined
    simulation.pass(16 * 10)
    expect(simulation.verdicts.get("PPS(0)")?.verdict).toBe("unreachable")
    expect(simulation.verdicts.get("SHM(0)")?.verdict).toBe("system-peer")
    expect(simulation.discipline.root?.peer).toBe("SHM(0)")
    // Late by 40 ms, which its readings do not show; half a second is what it claims.
    expect(Math.abs(simulation.error)).toBeGreaterThan(0.005)
    expect(simulation.discipline.rootDispersion(500 + 460)).toBeGreaterThan(0.5)
  })

  it("alone are never followed", () => {
    const simulation = new Simulation([{ ...pps, prefer: true, true: true }])
    simulation.devices.pulse = () => 0
    simulation.pass(600)
    expect(simulation.verdicts.get("PPS(0)")).toMatchObject({
      verdict: "unsynchronised",
      reason: "pulses come, and no other source says which second is which"
    })
    expect(simulation.discipline.state).toBe("unset")
  })

  it("are taken on the edge that flag2 names, from the device that is named", () => {
    const at = (flag2: boolean): readonly string[] => {
      const flags = [false, flag2, false, false]
      const simulation = new Simulation([{ ...pps, path: "/dev/pps7", flags }])
      simulation.pass(1)
      return simulation.opened
    }
    expect(at(false)).toEqual(["pps /dev/pps7 false"])
    expect(at(true)).toEqual(["pps /dev/pps7 true"])
  })
})

describe("a hardware clock", () => {
  const phc = referenceClock({ driver: "phc", path: "/dev/ptp0", refid: "PTP", minpoll: 2, maxpoll: 2, time1: -37 })

  it("is followed by the quickest of its readings, less what time1 says", () => {
    const simulation = new Simulation([phc], 2.5, 20e-6)
    simulation.devices.phc = (system) =>
      Array.from({ length: 8 }, (_, index) => {
        // The slow ones are lopsided, and so are wrong.
        const long = index === 5 ? 1e-6 : 1e-3 * (1 + Math.abs(noise(system + index)))
        const share = index === 5 ? 0.5 : 0.9
        const device = system + long * share + simulation.truth + 37
        return { before: unixTime(system), device: unixTime(device), after: unixTime(system + long) }
      })
    simulation.pass(300)
    expect(simulation.opened).toEqual(["phc /dev/ptp0"])
    expect(simulation.verdicts.get("PHC(0)")?.verdict).toBe("system-peer")
    expect(Math.abs(simulation.error)).toBeLessThan(1e-6)
    expect(simulation.discipline.root).toMatchObject({ stratum: 1 })
    expect(simulation.discipline.rootDispersion(500 + 300)).toBeLessThan(1e-3)
  })

  it("is claimed to be no better than time2 says", () => {
    const simulation = new Simulation([{ ...phc, time1: 0, time2: 0.02 }])
    simulation.devices.phc = (system) => [
      { before: unixTime(system), device: unixTime(system), after: unixTime(system) }
    ]
    simulation.pass(60)
    expect(simulation.discipline.state).toBe("synchronised")
    expect(simulation.discipline.rootDispersion(500 + 60)).toBeGreaterThan(0.02)
  })

  it("that keeps TAI is followed under flag1 while a leap second file says how far that is from UTC", () => {
    const simulation = new Simulation([{ ...phc, time1: 0, flags: [true, false, false, false] }], 0.25)
    simulation.devices.phc = (system) => [
      { before: unixTime(system), device: unixTime(system + simulation.truth + 37), after: unixTime(system) }
    ]
    simulation.pass(60)
    expect(simulation.clocks.all[0]?.dropped).toEqual({ "no-tai-offset": 240 })
    expect(simulation.discipline.state).toBe("unset")
    simulation.devices.taiOffset = 37
    simulation.pass(60)
    expect(simulation.discipline.state).toBe("synchronised")
    expect(Math.abs(simulation.error)).toBeLessThan(1e-6)
  })

  it("that reads nothing, or backwards, gives no sample", () => {
    for (const readings of [
      [],
      [{ before: unixTime(9), device: unixTime(9), after: unixTime(8) }],
      [{ before: unixTime(NaN), device: unixTime(9), after: unixTime(8) }]
    ]) {
      const simulation = new Simulation([phc])
      simulation.devices.phc = () => readings
      simulation.pass(60)
      expect(simulation.clocks.all[0]?.sample).toBeUndefined()
      expect(simulation.clocks.all[0]?.dropped["not-finite"]).toBe(240)
    }
  })
})

describe("what a driver finds", () => {
  it.each([
    ["mode", { mode: 3 }],
    ["nanoseconds", { clockNanoseconds: 1_000_000_000 }],
    ["microseconds", { receiveMicroseconds: 1_000_000 }],
    ["leap", { leap: 4 }],
    ["leap", { leap: -1 }],
    ["precision", { precision: 99 }],
    ["stale", { receiveSeconds: 1_600_000_000 }],
    ["future", { receiveSeconds: 1_800_000_000 }],
    ["difference", { clockSeconds: 1_600_000_000 }]
  ])("that cannot be is counted as %s and not followed", (reason, change) => {
    const simulation = new Simulation([gps])
    simulation.devices.shm = (system) => shmFields(system, 0, change)
    simulation.pass(64)
    const clock = simulation.clocks.all[0]
    expect(clock?.dropped).toEqual({ [reason]: 256 })
    expect(clock?.tracked.reach).toBe(0)
    expect(simulation.discipline.state).toBe("unset")
  })

  it("may be any time at all under flag1, and within time2 otherwise", () => {
    const year = 365 * 86_400
    const taken = (offset: number, change: object): number => {
      const simulation = new Simulation([{ ...gps, ...change }])
      simulation.devices.shm = (system) => shmFields(system, offset)
      simulation.pass(8)
      return simulation.clocks.all[0]!.lastReading ?? 0
    }
    const flags = [true, false, false, false]
    expect(taken(20 * year, { flags })).toBeGreaterThan(0)
    expect(taken(14_399, {})).toBeGreaterThan(0)
    expect(taken(14_401, {})).toBe(0)
    expect(taken(14_401, { time2: 20_000 })).toBeGreaterThan(0)
    expect(taken(61, { time2: 60 })).toBe(0)
    // Out of range: four hours again.
    expect(taken(14_000, { time2: 0.5 })).toBeGreaterThan(0)
    expect(taken(86_000, { time2: 90_000 })).toBe(0)
  })

  it("is counted by one of the known names, whatever it is, and hurts nobody", () => {
    const word = fc.integer({ min: -(2 ** 31), max: 2 ** 32 })
    const any = fc.record(
      {
        mode: fc.integer({ min: -1, max: 2 }),
        clockSeconds: fc.oneof(word, fc.constant(Number.MAX_SAFE_INTEGER)),
        clockMicroseconds: word,
        clockNanoseconds: word,
        receiveSeconds: fc.oneof(word, fc.integer({ min: 1_700_000_000, max: 1_700_000_020 })),
        receiveMicroseconds: fc.oneof(word, fc.nat(999_999)),
        receiveNanoseconds: word,
        leap: fc.integer({ min: -1, max: 4 }),
        precision: fc.oneof(word, fc.integer({ min: -30, max: 0 }))
      },
      { requiredKeys: [] }
    )
    const known = new Set(
      "mode microseconds nanoseconds not-finite leap precision stale future repeated difference".split(" ")
    )
    fc.assert(
      fc.property(fc.array(any, { minLength: 1, maxLength: 40 }), fc.boolean(), (changes, flag1) => {
        const flags = [flag1, false, false, false]
        const simulation = new Simulation([{ ...gps, flags, minpoll: 0, maxpoll: 0 }])
        let look = 0
        simulation.devices.shm = (system) => shmFields(system, 0, changes[look++ % changes.length])
        simulation.pass(20)
        for (const reason of Object.keys(simulation.clocks.all[0]!.dropped)) expect(known).toContain(reason)
        const { offset } = simulation.discipline.served(520)
        expect(Number.isFinite(offset)).toBe(true)
      }),
      { numRuns: 200 }
    )
  })

  it("after a step of CLOCK_REALTIME is measured against the new time", () => {
    const simulation = new Simulation([gps], 0.25)
    simulation.devices.shm = (system) => shmFields(system, simulation.truth)
    simulation.pass(100)
    const [clock] = simulation.clocks.all
    const before = clock!.tracked.estimate(600)!.offset
    simulation.clocks.clockStepped(-5)
    expect(clock!.tracked.estimate(600)!.offset - before).toBeCloseTo(5, 9)
    expect(clock!.filter.poll(0, undefined)).toBe("no-reading")
  })
})

describe("a receiver without pulses, of a gpsd that claims a microsecond for all it says", () => {
  const late = (change: Parameters<typeof referenceClock>[0] = {}): Simulation => {
    const simulation = new Simulation([referenceClock({ unit: 0, minpoll: 4, maxpoll: 4, ...change })])
    simulation.devices.shm = (system) => shmFields(system, simulation.truth - 0.12, { precision: -20 })
    simulation.pass(300)
    return simulation
  }
  const bound = (simulation: Simulation): number => simulation.discipline.rootDispersion(500 + 300)

  it("claims what can be known, half a second, and says so at the start", () => {
    const simulation = late()
    expect(Math.abs(simulation.error)).toBeCloseTo(0.12, 2)
    expect(bound(simulation)).toBeGreaterThan(0.5)
    expect(simulation.warnings).toEqual([
      expect.stringMatching(
        /^SHM\(0\) has what a receiver says and no pulses: .* right to 500 ms; .*time1 .*precision SECONDS/
      )
    ])
  })

  it("claims what its line says where somebody has measured it", () => {
    const simulation = late({ precision: 0.2 })
    expect(bound(simulation)).toBeGreaterThan(Math.abs(simulation.error))
    expect(bound(simulation)).toBeLessThan(0.25)
    expect(simulation.warnings).toEqual([])
  })

  it("is known by gpsd's names: even units, and sockets of what the receiver says", () => {
    const { warnings } = late({ unit: 1 })
    expect(bound(late({ unit: 1 }))).toBeLessThan(0.01)
    expect(warnings).toEqual([])
    const known = (change: Parameters<typeof referenceClock>[0]) => knownPrecision(referenceClock(change), -20)
    expect(known({ unit: 2 })).toBe(SENTENCES_PRECISION)
    expect(known({ driver: "sock", path: "/run/chrony.clk.ttyS0.sock" })).toBe(SENTENCES_PRECISION)
    expect(known({ driver: "sock", path: "/run/chrony.clk.ttyS0.sock", time2: 0.05 })).toBe(-20)
    expect(known({ driver: "sock", path: "/run/chrony.ttyS0.sock" })).toBe(-20)
  })
})

describe("a device that cannot be opened", () => {
  it("is counted, said, and tried again", () => {
    const simulation = new Simulation([gps])
    simulation.devices.shm = (system) => shmFields(system, 0.01)
    simulation.devices.broken = "EACCES"
    simulation.pass(60)
    const [clock] = simulation.clocks.all
    // Not four times a second, but every five seconds.
    expect(clock?.dropped).toEqual({ EACCES: 12 })
    expect(new Set(simulation.warnings.slice(1))).toEqual(new Set(["SHM(0): shm 0 true is broken; it is tried again"]))
    simulation.devices.broken = undefined
    simulation.pass(60)
    expect(simulation.opened).toEqual(["shm 0 true"])
    expect(simulation.verdicts.get("SHM(0)")?.verdict).toBe("system-peer")
    simulation.clocks.stop()
    expect(simulation.closed).toBe(1)
  })

  it("is private where ntpd's is", () => {
    const opened = (unit: number, mode: number): string => {
      const simulation = new Simulation([{ ...gps, unit, mode }])
      simulation.pass(1)
      return simulation.opened.join()
    }
    expect([opened(0, 0), opened(1, 0), opened(2, 0), opened(2, 1), opened(3, 2)]).toEqual([
      "shm 0 true",
      "shm 1 true",
      "shm 2 false",
      "shm 2 true",
      "shm 3 false"
    ])
  })
})

describe("polls", () => {
  it("begin soon, then keep to minpoll and maxpoll", () => {
    const simulation = new Simulation([{ ...gps, minpoll: 5, maxpoll: 7 }])
    const [clock] = simulation.clocks.all
    const polls: number[] = []
    for (let second = 0; second < 400; second += 1) {
      const before = clock!.polls
      simulation.clocks.wantPoll(second < 200 ? 0 : 17)
      simulation.pass(1)
      if (clock!.polls > before) polls.push(second + 1)
    }
    expect(polls.slice(0, 3)).toEqual([4, 8, 12])
    const intervals = polls.slice(1).map((at, index) => at - polls[index]!)
    expect(new Set(intervals)).toEqual(new Set([4, 32, 128]))
  })
})
