/** What a coordinator might say of a cluster in which not all is well. */
import type { ClusterState } from "@meridian/ipc"

export const state: ClusterState = {
  node: "a",
  leader: "b",
  leading: false,
  term: 7,
  log: { adapter: "jetstream", foldedSeq: 40, lastSeq: 42, quarantined: 1 },
  putAside: ["the key of keys.nts 4 is wrongly sealed in the log and put aside: no node can open it"],
  clockDoubt: "this node's clock is 3600 s ahead of nodes b, c: it does not lead until it is set right",
  nameDoubt: "another process has registered as node a since this one did",
  ready: false,
  reason: "no key",
  drained: false,
  members: [
    {
      node: "a",
      version: "0.1.0",
      workers: 2,
      health: { workers: 1, synchronised: true, ntsGeneration: 3, symmetricSet: 1 },
      heard: "2026-11-21T12:00:00.250Z",
      live: true,
      ready: false,
      reason: "no key",
      drained: false,
      serving: false
    },
    {
      node: "b",
      version: null,
      workers: 0,
      health: null,
      heard: "2026-11-21T11:00:00.000Z",
      live: false,
      ready: true,
      reason: "",
      drained: true,
      serving: false
    }
  ],
  ntsKeys: [
    {
      generation: 2,
      aead: 15,
      status: "active",
      notBefore: "2026-11-20T00:00:00.000Z",
      activation: "2026-11-21T00:00:00.000Z",
      retirement: "2026-12-01T00:00:00.000Z",
      event: "e.1"
    },
    {
      generation: 3,
      aead: 15,
      status: "pending",
      notBefore: "2026-11-21T00:00:00.000Z",
      activation: "2026-11-22T00:00:00.000Z",
      retirement: null,
      event: "e.2"
    }
  ],
  symmetricSets: [
    {
      set: 1,
      status: "trusted",
      keys: [{ id: 10_001, type: "AES-128" }],
      announced: "2026-11-20T00:00:00.000Z",
      trustedFrom: "2026-11-21T00:00:00.000Z",
      until: null,
      event: "e.3"
    }
  ],
  clusterKey: { current: "00ff00ff00ff00ff", changingTo: null },
  policy: {},
  clocks: []
}
