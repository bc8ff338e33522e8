/** Events of the real aggregates, made short. */
import type { AnyEvent, ClockEvent, MemberEvent, NtsKeysEvent, PolicyEvent, SealedKey } from "@meridian/events"

const envelope = (subject: string, version: number, id: string) => ({
  schema: 1,
  id,
  time: "2026-11-21T12:00:00.000Z",
  node: "node-a",
  cause: "cause-1",
  subject,
  version
})

/** An event of a node's clock. */
export const clockEvent = (node: string, version: number, id = `${node}-${version}`): ClockEvent => ({
  type: "SourceReachabilityChanged",
  ...envelope(`clock.${node}`, version, id),
  data: { source: "192.0.2.1", reachable: version % 2 === 1, reach: 1 }
})

/** A peer chosen from among four sources, with what was measured of each. */
export const peerChoice = (node: string, version: number): ClockEvent => ({
  type: "SystemPeerChosen",
  ...envelope(`clock.${node}`, version, `${node}-${version}`),
  data: {
    peer: `192.0.2.${1 + (version % 4)}`,
    previous: `192.0.2.${1 + ((version + 3) % 4)}`,
    reason: "least root distance",
    measurements: [1, 2, 3, 4].map((last) => ({
      source: `192.0.2.${last}`,
      stratum: 2,
      reach: 255,
      offset: -0.000_123 * last,
      delay: 0.0123,
      dispersion: 0.0004,
      jitter: 0.000_01 * last
    }))
  }
})

export const policyEvent = (version: number, id = `policy-${version}`): PolicyEvent => ({
  type: "PolicyChanged",
  ...envelope("policy", version, id),
  schema: 2,
  data: { changes: { ntsAcceptPast: 3 } }
})

export const takeOver = (version: number, id = `keys-${version}`): NtsKeysEvent => ({
  type: "NtsLeaderTookOver",
  ...envelope("keys.nts", version, id),
  data: { term: version, leader: "node-a" }
})

export const published = (version: number, generation: number, sealed: SealedKey): NtsKeysEvent => ({
  type: "NtsGenerationPublished",
  ...envelope("keys.nts", version, `published-${version}`),
  data: {
    generation,
    aead: 15,
    notBefore: "2026-11-21T12:00:00.000Z",
    activation: "2026-11-22T12:00:00.000Z",
    retirement: "2026-12-03T12:00:00.000Z",
    predecessorUntil: "2026-12-02T12:00:00.000Z",
    sealed
  }
})

/** What a node's coordinator says of it: its start, heartbeats, and a summary in their midst. */
export const memberEvents = (node: string, summaryAt: number, count: number): ReadonlyArray<MemberEvent> =>
  Array.from({ length: count }, (_, index): MemberEvent => {
    const version = index + 1
    const frame = { ...envelope(`members.${node}`, version, `${node}-${version}`), node }
    const health = { workers: 2, synchronised: true, ntsGeneration: version, symmetricSet: 0 }
    if (version === 1) return { type: "MemberRegistered", ...frame, data: { version: "0.1.0", workers: 2 } }
    if (version !== summaryAt) return { type: "MemberHeartbeat", ...frame, data: { health } }
    const said = { release: "0.1.0", workers: 2, health, ready: false, reason: "starting", drained: false }
    return { type: "MemberSummarised", ...frame, data: said }
  })

/** A run of clock events from a version on. */
export const clockEvents = (node: string, from: number, count: number): ReadonlyArray<AnyEvent> =>
  Array.from({ length: count }, (_, index) => clockEvent(node, from + index))
