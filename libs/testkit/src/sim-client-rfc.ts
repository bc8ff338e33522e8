/** The reference: RFC 5905 as written, from the clock filter to the phase-locked loop. */
import { PHI } from "@meridian/time/clock-curve"
import type {
  ClockFilter,
  FilterOutput,
  SourceView,
  SystemMemory,
  SystemOptions,
  SourceReport
} from "@meridian/algorithms"
import {
  emptyClockFilter,
  filterMiss,
  filterOutput,
  filterSample,
  MAXDISP,
  MAXDIST,
  MAXSTRAT,
  MINDISP,
  isPopcornSpike,
  decideSystemPeer,
  defaultSystemOptions,
  noSystemPeer
} from "@meridian/algorithms"
import { RfcLoop } from "./loop-rfc.ts"
import type { SimulatedClient, SimulatedReply, SimulatedSourceOptions } from "./sim-client.ts"

interface RfcPeer {
  readonly id: string
  readonly options: SimulatedSourceOptions
  filter: ClockFilter
  reach: number
  report: SourceReport
  /** The sample last used, and its offset against the corrected clock. */
  used: FilterOutput | undefined
}

interface RfcClientOptions {
  readonly sources: readonly SimulatedSourceOptions[]
  readonly precision: number
  readonly minpoll: number
  readonly maxpoll: number
  readonly frequency?: number | undefined
}

/** The RFC's own limits and its selection rule. */
const rfcOptions: SystemOptions = { ...defaultSystemOptions, maxdist: MAXDIST, selection: "midpoint" }

const silent: SourceReport = { stratum: 16, leap: 3, rootDelay: 0, rootDispersion: 0, loop: false }

export const rfcClient = ({ sources, precision, minpoll, maxpoll, frequency }: RfcClientOptions): SimulatedClient => {
  const loop = new RfcLoop({ minpoll, maxpoll, precision, frequency, panicGate: true }, 0)
  const peers = sources.map((options, index): RfcPeer => ({
    id: String(index),
    options,
    filter: emptyClockFilter,
    reach: 0,
    report: silent,
    used: undefined
  }))
  let memory: SystemMemory = noSystemPeer
  let root:
    | { readonly delay: number; readonly dispersion: number; readonly at: number; readonly stratum: number }
    | undefined
  let updated = Number.NEGATIVE_INFINITY
  let followed: number | undefined

  const clear = (): void => {
    for (const peer of peers) {
      peer.filter = emptyClockFilter
      peer.used = undefined
    }
    updated = Number.NEGATIVE_INFINITY
  }

  const view = ({ id, options, reach, report, used }: RfcPeer): SourceView => ({
    id,
    reach,
    ...report,
    offset: used?.offset ?? 0,
    delay: used?.delay ?? 0,
    dispersion: used?.dispersion ?? MAXDISP,
    jitter: used?.jitter ?? precision,
    updated: used?.time ?? 0,
    pollInterval: 2 ** loop.poll,
    prefer: options.prefer ?? false,
    noselect: options.noselect ?? false,
    alwaysTrue: options.alwaysTrue ?? false
  })

  /** clock_select() and clock_update() of A.5.5. */
  const select = (now: number): void => {
    const decision = decideSystemPeer(peers.map(view), now, rfcOptions, memory)
    memory = decision.memory
    const leader = decision.used[0]?.source
    if (leader === undefined || decision.combined === undefined || leader.updated <= updated) return
    const outcome = loop.update(decision.combined.offset, leader.updated, now)
    if (outcome === "panic") return
    updated = leader.updated
    if (outcome === "step") return clear()
    if (outcome === "ignore" && root === undefined) return
    followed = Number(leader.id)
    const age = PHI * Math.max(0, now - leader.updated)
    root = {
      delay: leader.rootDelay + leader.delay,
      dispersion:
        leader.rootDispersion +
        Math.max(leader.dispersion + age + Math.abs(leader.offset), MINDISP) +
        Math.hypot(leader.jitter, decision.combined.jitter),
      at: now,
      stratum: leader.stratum + 1
    }
  }

  const rootDispersion = (now: number): number =>
    root === undefined ? Number.POSITIVE_INFINITY : root.dispersion + PHI * Math.max(0, now - root.at)

  /** clock_filter() of A.5.2, on offsets against the corrected clock. */
  const answered = (peer: RfcPeer, { sample, report }: SimulatedReply, now: number): void => {
    peer.reach |= 1
    peer.report = report
    if (report.leap === 3 || report.stratum >= MAXSTRAT) return
    const next = filterSample(peer.filter, { ...sample, offset: sample.offset - loop.correction(now) })
    if (typeof next === "string") return
    peer.filter = next
    const output = filterOutput(next, now, precision)
    if (output === undefined) return
    const last = peer.used
    if (last !== undefined && output.time <= last.time) return
    const spike =
      last !== undefined &&
      isPopcornSpike({
        lastOffset: last.offset,
        offset: output.offset,
        jitter: output.jitter,
        interval: output.time - last.time,
        pollInterval: 2 ** loop.poll
      })
    if (spike) return
    peer.used = output
    select(now)
  }

  const at = (index: number): RfcPeer => peers[index] as RfcPeer
  return {
    name: "rfc5905",
    polled: (source) => {
      const peer = at(source)
      peer.reach = (peer.reach << 1) & 0xff
      if (peer.reach !== 0 && (peer.reach & 7) === 0) peer.filter = filterMiss(peer.filter)
    },
    answered: (source, reply, now) => answered(at(source), reply, now),
    wallStepped: () => undefined,
    pollExponent: (source) =>
      Math.max(at(source).options.minpoll ?? minpoll, Math.min(at(source).options.maxpoll ?? maxpoll, loop.poll)),
    correction: (now) => loop.correction(now),
    slope: (now) => loop.slope(now),
    rootDistance: (now) => (root?.delay ?? 0) / 2 + rootDispersion(now),
    root: (now) => ({ delay: root?.delay ?? 0, dispersion: rootDispersion(now), stratum: root?.stratum ?? 16 }),
    followed: () => followed
  }
}
