/** A picture of a node that runs well, to be changed where a test needs it otherwise. */
import type { ClientList } from "@meridian/ipc"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { noCounters } from "@meridian/ipc/worker-report"

export const snapshotOf = (change: Partial<NodeSnapshot>): NodeSnapshot => ({
  type: "snapshot",
  sequence: 1,
  at: 1_800_000_000,
  monotonic: 5_000,
  facts: {
    processor: "x86_64",
    system: "Linux",
    release: "6.18.0",
    precision: -24,
    cores: 2,
    runtime: "v26.0.0",
    startedAt: 1_799_999_000
  },
  status: {
    node: "node-1",
    version: "0.1.0",
    pid: 1,
    uptime: 1_000,
    listening: ["127.0.0.1:123"],
    io: "native",
    state: "/run/meridian",
    clock: {
      source: "none",
      synchronised: false,
      stratum: 16,
      leap: 3,
      referenceId: "",
      rootDelay: 0,
      rootDispersion: 0,
      offset: 0,
      frequency: 0
    },
    waitingFor: [],
    workers: [],
    ntsKe: [],
    keys: { masterKeyGenerations: [], symmetricKeyIds: [] },
    coordinator: null,
    totals: { ...noCounters, receivedPerSecond: 0, repliedPerSecond: 0 }
  },
  tracking: null,
  sources: [],
  ntsClient: null,
  processes: [],
  cluster: null,
  autokey: null,
  clients: null,
  ...change
})

/** So many clients, newest first. */
export const clientsOf = (count: number): ClientList => ({
  entries: Array.from({ length: count }, (_, index) => ({
    address: index % 2 === 0 ? `192.0.${index >> 8}.${index & 0xff}` : `2001:db8::${index.toString(16)}`,
    port: 123,
    packets: index + 1,
    first: 1_799_999_000,
    last: 1_800_000_000 - index,
    interval: index === 0 ? null : 64,
    mode: 3,
    version: 4,
    authenticated: false,
    dropped: 0,
    kisses: 0,
    limited: false,
    restrictions: 0,
    score: 0
  })),
  known: count,
  evicted: 0,
  refused: 0,
  most: 10_000,
  bytes: count * 100,
  maxAge: 3_600,
  minAge: 64
})
