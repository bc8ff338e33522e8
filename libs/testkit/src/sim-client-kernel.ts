/**
 * Meridian's discipline in kernel mode as a simulated client: the discipline of sim-client-meridian.ts, and a kernel clock
 * steered after it. What it serves is that clock and the residue; what other programs of its machine read is that clock
 * alone. `judged` says which of the two the simulation looks at.
 */
import type { SteeringAim, SteeringDecision, SteeringRate } from "@meridian/algorithms"
import { defaultDisciplineOptions, KernelSteering } from "@meridian/algorithms"
import type { SimulatedClient } from "./sim-client.ts"
import { type MeridianClient, type MeridianClientOptions, meridianClient } from "./sim-client-meridian.ts"

/** The machine's clocks as its kernel keeps them. `raw`, which they run on, is the simulation's monotonic clock. */
export interface SteeredMachine {
  readonly monotonic: () => number
  /** Seconds that CLOCK_REALTIME has gained on `raw`, steps and all. */
  readonly gained: () => number
  /** Returns the rate as the kernel holds it. */
  readonly setRate: (rate: SteeringRate) => SteeringRate
  readonly step: (seconds: number) => void
  readonly setByOther: (seconds: number) => void
}

interface KernelClientOptions extends MeridianClientOptions {
  readonly machine: (raw: () => number) => SteeredMachine
  readonly judged: "served" | "system"
}

export interface KernelClient extends SimulatedClient {
  readonly meridian: MeridianClient
  /** Seconds that each state of the steering lasted. */
  readonly states: ReadonlyMap<SteeringDecision["state"], number>
  /** Steps of CLOCK_REALTIME that the steering made. */
  readonly steps: readonly number[]
  /** What is served on top of CLOCK_REALTIME, seconds. */
  readonly residue: () => number
}

/** What a request saw as it left: `raw`, and what the clock had gained. */
interface Sent {
  readonly raw: number
  readonly gained: number
}
/** Requests under way to one source. */
const UNDER_WAY = 8

export const kernelClient = (options: KernelClientOptions): KernelClient => {
  let raw = 0
  const machine = options.machine(() => raw)
  const meridian = meridianClient(options)
  const { discipline } = meridian
  const { step, stepout, panic, slewRate } = { ...defaultDisciplineOptions, ...options.discipline }
  const steering = new KernelSteering(
    { step, stepout, panic, slewRate },
    machine.monotonic(),
    machine.setRate({ frequency: 0, tick: 10_000 })
  )
  const sent: Sent[][] = options.sources.map(() => [])
  const states = new Map<SteeringDecision["state"], number>()
  const steps: number[] = []
  /** Steps of the wall clock by others, which the simulation has in its samples. */
  let stepped = 0
  let jumps = { first: 0, step: 0 }

  const at = (now: number): number => {
    raw = now
    return machine.monotonic()
  }
  /** Whether the discipline jumped since the last call. */
  const jumped = (): SteeringAim["jump"] => {
    const before = jumps
    jumps = { first: meridian.actions.get("Set") ?? 0, step: meridian.actions.get("Stepped") ?? 0 }
    return jumps.first > before.first ? "first" : jumps.step > before.step ? "step" : undefined
  }
  const steer = (monotonic: number): SteeringDecision["state"] | undefined => {
    if (discipline.state === "unset") return undefined
    const decision = steering.steer(monotonic, {
      offsetAt: (moment) => discipline.served(moment).offset,
      frequency: discipline.tracking(monotonic)?.frequency ?? 0,
      jump: jumped(),
      following: discipline.state === "synchronised"
    })
    if (decision.step !== 0) {
      machine.step(decision.step)
      steering.stepped(monotonic, decision.step)
      steps.push(decision.step)
    }
    steering.applied(monotonic, machine.setRate(decision.rate))
    return decision.state
  }
  const residue = (): number => {
    const monotonic = machine.monotonic()
    return discipline.state === "unset" ? 0 : discipline.served(monotonic).offset - steering.added(monotonic)
  }
  const served = options.judged === "served"
  return {
    name: `meridian kernel ${options.judged}`,
    meridian,
    states,
    steps,
    residue,
    polled: (source, now) => {
      const monotonic = at(now)
      sent[source] = [...(sent[source] ?? []), { raw: now, gained: machine.gained() }].slice(-UNDER_WAY)
      meridian.polled(source, monotonic)
    },
    answered: (source, { sample, report }, now) => {
      const monotonic = at(now)
      const left = now - sample.delay
      const [asked] = (sent[source] ?? []).toSorted((a, b) => Math.abs(a.raw - left) - Math.abs(b.raw - left))
      const gained = machine.gained()
      const before = asked?.gained ?? gained
      // What a program sees that reads CLOCK_REALTIME at both ends of the exchange.
      const delay = sample.delay + (gained - before)
      const offset = sample.offset + stepped - (gained + before) / 2
      const uncorrected = offset + steering.added(monotonic - delay / 2)
      meridian.answered(
        source,
        { sample: { ...sample, time: monotonic, delay, offset: uncorrected }, report },
        monotonic
      )
      steer(monotonic)
    },
    wallStepped: (seconds, now) => {
      const monotonic = at(now)
      stepped += seconds
      machine.setByOther(seconds)
      steering.stepped(monotonic, seconds)
      // The exchanges that were under way are void.
      for (const list of sent) list.length = 0
    },
    tick: (now) => {
      const state = steer(at(now))
      if (state !== undefined) states.set(state, (states.get(state) ?? 0) + 1)
    },
    pollExponent: (source) => meridian.pollExponent(source),
    correction: (now) => {
      at(now)
      return machine.gained() - stepped + (served ? residue() : 0)
    },
    slope: (now) => {
      const monotonic = at(now)
      const own = steering.slope()
      const rate = served ? (discipline.state === "unset" ? own : discipline.served(monotonic).frequency) : own
      // Per second of the uncorrected clock.
      return rate / (1 - own)
    },
    rootDistance: (now) => meridian.rootDistance(at(now)) + (served ? 0 : Math.abs(residue())),
    deviation: (now) => meridian.deviation?.(at(now)),
    root: (now) => meridian.root(at(now)),
    followed: () => meridian.followed()
  }
}
