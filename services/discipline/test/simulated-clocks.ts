/** Reference clocks and this machine's clock in simulated time: a day passes in a moment, and nothing is ever late. */
import { ClockDiscipline, defaultDisciplineOptions, type SourceVerdict } from "@meridian/algorithms"
import { type PhcReading, type Pulse, ReferenceClockError } from "@meridian/clocks/reference-clocks"
import type { ReferenceClockConfiguration } from "@meridian/ipc/discipline-report"
import type { UnixTime } from "@meridian/time/timestamp"
import type { ShmTime } from "@meridian/wire/shm-time"
import type { Reading } from "../src/clocks.ts"
import { ReferenceClocks } from "../src/reference-clocks.ts"
import type { ReferencePorts } from "../src/reference-drivers.ts"
import { numberingOf } from "../src/reference-reporting.ts"

const BOOT = 1_700_000_000

export const unixTime = (seconds: number): UnixTime => {
  const whole = Math.floor(seconds)
  return { seconds: BOOT + whole, nanoseconds: Math.min(999_999_999, Math.round((seconds - whole) * 1e9)) }
}

/** What the devices do; to be changed while time passes. */
interface Devices {
  /** Undefined: nothing new in the segment. */
  shm: (system: number) => ShmTime | undefined
  /** Seconds after the true second at which the pulse is stamped, by its number; undefined: no pulse. */
  pulse: (second: number) => number | undefined
  phc: (system: number) => readonly PhcReading[]
  /** By a leap second file. */
  taiOffset: number | undefined
  /** Opening fails with this reason. */
  broken: string | undefined
}

export class Simulation {
  /** True time minus CLOCK_REALTIME at the start, seconds, and the rate at which it grows. */
  readonly offset: number
  readonly frequency: number
  readonly devices: Devices
  readonly clocks: ReferenceClocks
  readonly discipline: ClockDiscipline
  readonly warnings: string[] = []
  readonly reaches: [string, boolean][] = []
  verdicts: ReadonlyMap<string, SourceVerdict> = new Map()
  opened: string[] = []
  closed = 0
  private now = 0
  private pulses = 0
  private lastSecond = 0

  constructor(configurations: readonly ReferenceClockConfiguration[], offset = 0, frequency = 0) {
    this.offset = offset
    this.frequency = frequency
    this.devices = {
      shm: () => undefined,
      pulse: () => undefined,
      phc: () => [],
      taiOffset: undefined,
      broken: undefined
    }
    const read = (): Reading => ({ ...unixTime(this.now), monotonic: 500 + this.now })
    const polls = configurations.map(({ minpoll, maxpoll }) => [minpoll, maxpoll] as const).flat()
    this.discipline = new ClockDiscipline(
      { ...defaultDisciplineOptions, minpoll: Math.min(...polls), maxpoll: Math.max(...polls) },
      500
    )
    const decide = (): void => {
      const tracked = this.clocks.all.map((clock) => clock.tracked)
      const outcome = this.discipline.decide(tracked, read().monotonic)
      this.verdicts = new Map(outcome.decision.verdicts.map((verdict) => [verdict.id, verdict]))
    }
    this.clocks = new ReferenceClocks(
      configurations,
      {
        read,
        precision: -24,
        frequency: undefined,
        ports: this.ports(),
        added: () => 0,
        taiOffset: () => this.devices.taiOffset,
        numbering: () =>
          numberingOf(
            this.clocks.all.map(({ tracked }) => tracked),
            this.verdicts,
            read().monotonic
          )
      },
      {
        measured: decide,
        lost: decide,
        polled: () => {},
        reachabilityChanged: ({ id }, reachable) => void this.reaches.push([id, reachable]),
        warn: (message) => void this.warnings.push(message)
      }
    )
  }

  /** True time minus CLOCK_REALTIME now, seconds. */
  get truth(): number {
    return this.offset + this.frequency * this.now
  }

  /** Served time minus true time, seconds. */
  get error(): number {
    return this.discipline.served(500 + this.now).offset - this.truth
  }

  /** Lets time pass, with a look four times a second as the service has it. */
  pass(seconds: number): void {
    for (let ticks = 0; ticks < 4 * seconds; ticks += 1) {
      this.now += 0.25
      this.clocks.tick()
    }
  }

  private ports(): ReferencePorts {
    const open = <A extends object>(name: string, port: A): A & { close: () => void } => {
      if (this.devices.broken !== undefined) throw new ReferenceClockError(this.devices.broken, `${name} is broken`)
      this.opened.push(name)
      return { ...port, close: () => void (this.closed += 1) }
    }
    return {
      shm: (unit, isPrivate) =>
        open(`shm ${unit} ${isPrivate}`, { take: () => this.devices.shm(this.now) ?? ("nothing" as const) }),
      socket: (path, everybody) => open(`socket ${path} ${everybody}`, { receive: () => undefined }),
      pps: (path, clear) => open(`pps ${path} ${clear}`, { fetch: () => this.lastPulse() }),
      phc: (path) => open(`phc ${path}`, { read: () => this.devices.phc(this.now) })
    }
  }

  /** The last true second that has begun, stamped by CLOCK_REALTIME. */
  private lastPulse(): Pulse {
    const second = Math.floor(this.now + this.truth)
    const late = this.devices.pulse(second)
    if (second !== this.lastSecond && late !== undefined) {
      this.lastSecond = second
      this.pulses += 1
    }
    const at = (this.lastSecond - this.offset) / (1 + this.frequency)
    return { sequence: this.pulses, at: unixTime(at + (late ?? 0)) }
  }
}

/** A segment as a writer leaves it: true time, and CLOCK_REALTIME. */
export const shmFields = (system: number, offset: number, change: Partial<ShmTime> = {}): ShmTime => {
  const [clock, receive] = [unixTime(system + offset), unixTime(system)]
  return {
    mode: 1,
    count: 2,
    clockSeconds: clock.seconds,
    clockMicroseconds: Math.floor(clock.nanoseconds / 1e3),
    clockNanoseconds: clock.nanoseconds,
    receiveSeconds: receive.seconds,
    receiveMicroseconds: Math.floor(receive.nanoseconds / 1e3),
    receiveNanoseconds: receive.nanoseconds,
    leap: 0,
    precision: -1,
    samples: 3,
    ...change
  }
}
