/**
 * Kernel mode: has the kernel's CLOCK_REALTIME follow the served line, and tells the kernel what it may tell others of it.
 * What is to be done is decided by libs/algorithms kernel-steering.ts; this does it, and notices who else does.
 */
import type { SteeringAim, SteeringDecision, SteeringOptions, SteeringRate, ArmedLeap } from "@meridian/algorithms"
import { KernelSteering, formatSeconds } from "@meridian/algorithms"
import {
  type KernelAdjustment,
  type KernelClock,
  type KernelLeap,
  KernelClockRefused
} from "@meridian/clocks/kernel-clock"

/** What the kernel is to know of the clock's quality. Seconds. */
interface ClockQuality {
  readonly synchronised: boolean
  readonly maxError: number
  readonly estimatedError: number
  /** TAI minus UTC, where it is known. */
  readonly taiOffset: number | undefined
}

interface SteeringUpdate {
  /** Served time, Unix seconds. */
  readonly unix: number
  /** Undefined while the clock was never set. */
  readonly aim: SteeringAim | undefined
  readonly quality: ClockQuality
  readonly leap: ArmedLeap | undefined
}

/** Kernel units are 1.5e-11; what differs by less is the same rate. */
const SAME_RATE = 1e-12
/** Between two reports of the clock's quality to the kernel, seconds. */
const QUALITY_INTERVAL = 1
/** The kernel inserts at the end of its own UTC day: told from noon on, so that a clock hours off is told the right day. */
const ARM_SECONDS = 43_200
/** The kernel has leapt by then, or never will. Seconds after the leap second. */
const LEAP_PATIENCE = 2
/** After a step the kernel must once see the leap second disarmed, or it forgets it: over the beginning of a second. */
const DISARM_SECONDS = 2.5

/** Takes a kernel's clock over; undefined, with a warning, where the kernel refuses. See {@link SystemClockSteering}. */
export const takeKernelClock = (
  clock: KernelClock | undefined,
  options: SteeringOptions,
  now: number,
  warn: (message: string) => void,
  afterStep: (seconds: number) => void
): SystemClockSteering | undefined => {
  if (clock === undefined) return undefined
  try {
    return new SystemClockSteering(clock, options, now, warn, afterStep)
  } catch (error) {
    if (!(error instanceof KernelClockRefused)) throw error
    warn(`${error.message}; it runs in virtual mode, and served time is right all the same`)
    return undefined
  }
}

const sameRate = (a: SteeringRate, b: SteeringRate): boolean =>
  a.tick === b.tick && Math.abs(a.frequency - b.frequency) < SAME_RATE

export class SystemClockSteering {
  /** Steps of CLOCK_REALTIME that were made here. */
  steps = 0
  state: SteeringDecision["state"] = "locked"
  private readonly clock: KernelClock
  private readonly steering: KernelSteering
  private readonly warn: (message: string) => void
  private readonly afterStep: (seconds: number) => void
  /** Of all steps of CLOCK_REALTIME, whoever made them, seconds. */
  private jumped = 0
  private toldAt = -Infinity
  private steppedAt = -Infinity
  /** The leap second that the kernel was told of, until it is over. */
  private armed: ArmedLeap | undefined
  private hasFailed = false

  /**
   * Takes the kernel's clock over. Throws {@link KernelClockRefused}.
   * @param now CLOCK_MONOTONIC, seconds
   * @param afterStep what is under way over the network cannot be measured any more
   */
  constructor(
    clock: KernelClock,
    options: SteeringOptions,
    now: number,
    warn: (message: string) => void,
    afterStep: (seconds: number) => void
  ) {
    this.clock = clock
    this.warn = warn
    this.afterStep = afterStep
    this.steering = new KernelSteering(options, now, clock.takeOver())
  }

  /** Seconds that steering has added to the uncorrected clock, at a moment of CLOCK_MONOTONIC. */
  added(now: number): number {
    return this.steering.added(now)
  }

  /** The part of it that CLOCK_MONOTONIC shares, by which time is served: all but the steps. */
  slewed(now: number): number {
    return this.steering.added(now) - this.jumped
  }

  /** How fast that grows, seconds per second. */
  slope(): number {
    return this.steering.slope()
  }

  /** Seconds per second. */
  get rate(): SteeringRate {
    return this.steering.rate
  }

  /** CLOCK_REALTIME was stepped by somebody else, or by the kernel's leap second. */
  stepped(now: number, seconds: number): void {
    this.steppedAt = now
    this.jumped += seconds
    this.steering.stepped(now, seconds)
  }

  /** Whether the kernel is about to carry out a leap second that served time has just come to. */
  awaitsLeap(unix: number): boolean {
    return !this.hasFailed && this.armed !== undefined && unix < this.armed.at + LEAP_PATIENCE
  }

  /** Whether a step of CLOCK_REALTIME is the leap second that the kernel was told of. */
  isLeap(unix: number, seconds: number): boolean {
    const { armed } = this
    if (armed === undefined || Math.abs(unix - armed.at) > LEAP_PATIENCE) return false
    return Math.abs(seconds + armed.change) < 0.1
  }

  /** To be called a few times a second, and when the line turned. Returns the seconds that CLOCK_REALTIME was stepped by. */
  update(now: number, { unix, aim, quality, leap }: SteeringUpdate): number {
    if (this.hasFailed) return 0
    try {
      const isDue = now - this.toldAt >= QUALITY_INTERVAL
      this.watch(now)
      const decision = aim === undefined ? undefined : this.steering.steer(now, aim)
      const step = decision?.step ?? 0
      if (decision !== undefined) this.judge(decision, aim, now)
      if (step !== 0) {
        this.clock.step(step)
        this.steps += 1
        this.stepped(now, step)
        this.afterStep(step)
      }
      const isNew = decision !== undefined && !sameRate(decision.rate, this.steering.rate)
      if (!isDue && !isNew && step === 0) return 0
      const adjustment: KernelAdjustment = {
        ...(isNew ? { rate: decision.rate } : {}),
        ...this.tell(now, unix, quality, leap)
      }
      const state = this.clock.adjust(adjustment)
      this.toldAt = now
      if (isNew) this.steering.applied(now, state)
      if (this.armed !== undefined && (state.leapState === "in-progress" || state.leapState === "past"))
        this.armed = undefined
      return step
    } catch (error) {
      if (!(error instanceof KernelClockRefused)) throw error
      this.hasFailed = true
      this.warn(
        `${error.message}; the system's clock is left alone from here on, and served time is right all the same`
      )
      return 0
    }
  }

  /** Leaves the clock at its best frequency, with nothing being slewed. Seconds per second; undefined leaves it as it is. */
  rest(now: number, frequency: number | undefined): void {
    if (this.hasFailed || frequency === undefined) return
    try {
      this.steering.applied(now, this.clock.adjust({ rate: this.steering.resting(frequency) }))
    } catch (error) {
      if (!(error instanceof KernelClockRefused)) throw error
      this.warn(error.message)
    }
  }

  /** Another program that steers is taken into account, named, and overruled. */
  private watch(now: number): void {
    const found = this.clock.read()
    if (!sameRate(found, this.steering.rate)) {
      this.steering.applied(now, { frequency: found.frequency, tick: found.tick })
      this.warn(
        "another program changes the frequency of the system's clock: stop it, or leave the clock to it with `discipline virtual`"
      )
    }
    if (found.ownLoop) {
      this.warn(
        "another program switched the kernel's own clock loop on: stop it, or leave the clock to it with `discipline virtual`"
      )
      this.steering.applied(now, this.clock.takeOver())
    }
  }

  private judge({ state }: SteeringDecision, aim: SteeringAim | undefined, now: number): void {
    if (state === this.state) return
    this.state = state
    const residue = aim === undefined ? 0 : this.steering.added(now) - aim.offsetAt(now)
    if (state === "panic")
      this.warn(
        `the system's clock is ${formatSeconds(residue)} off and not stepped, since that is over the panic threshold: set it, or raise \`tinker panic\`; served time is right all the same`
      )
    if (state === "limited")
      this.warn(
        "the system's clock is off by more than the kernel can correct (10 %); served time is right all the same"
      )
  }

  private tell(now: number, unix: number, quality: ClockQuality, leap: ArmedLeap | undefined): KernelAdjustment {
    const { synchronised, maxError, estimatedError, taiOffset } = quality
    return {
      status: { synchronised, leap: this.leapFlag(now, unix, leap) },
      maxError,
      estimatedError,
      ...(taiOffset === undefined ? {} : { taiOffset })
    }
  }

  private leapFlag(now: number, unix: number, leap: ArmedLeap | undefined): KernelLeap {
    if (leap !== undefined) this.armed = leap.at - unix <= ARM_SECONDS ? leap : undefined
    // Served time may reach the leap second a moment before the kernel does: it stays armed until the kernel has leapt.
    else if (this.armed !== undefined && (unix < this.armed.at || unix > this.armed.at + LEAP_PATIENCE))
      this.armed = undefined
    if (this.armed === undefined || now - this.steppedAt < DISARM_SECONDS) return "none"
    return this.armed.change > 0 ? "insert" : "delete"
  }
}
