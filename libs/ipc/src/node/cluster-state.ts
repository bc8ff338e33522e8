/**
 * What a coordinator says of the cluster: GET /state and GET /explain of its socket. Times are ISO 8601 in UTC with
 * milliseconds, null where there is none. Nothing here holds key material.
 */

/** A generation of the NTS master key. */
export interface GenerationView {
  readonly generation: number
  /** IANA's number; null once the generation has ended. */
  readonly aead: number | null
  readonly status: "pending" | "active" | "past" | "retired" | "revoked"
  readonly notBefore: string | null
  readonly activation: string | null
  readonly retirement: string | null
  /** The event that says so. */
  readonly event: string
}

/** A set of symmetric keys. */
export interface SetView {
  readonly set: number
  readonly status: string
  readonly keys: readonly { readonly id: number; readonly type: string }[]
  readonly announced: string
  readonly trustedFrom: string
  /** End of grace, null while none is set. */
  readonly until: string | null
  readonly event: string
}

/** What a node says of itself. */
interface HealthView {
  /** Workers that answer. */
  readonly workers: number
  readonly synchronised: boolean
  /** Highest generation and set the node holds, 0 for none. */
  readonly ntsGeneration: number
  readonly symmetricSet: number
}

export interface MemberView {
  readonly node: string
  readonly version: string | null
  readonly workers: number
  readonly health: HealthView | null
  readonly heard: string
  readonly live: boolean
  readonly ready: boolean
  readonly reason: string
  readonly drained: boolean
  readonly serving: boolean
}

export interface ClockView {
  readonly node: string
  readonly peer: string | null
  readonly holdover: boolean
  readonly leap: string
  readonly reachable: readonly string[]
  readonly steps: number
  /** The event that chose the peer or entered holdover. */
  readonly event: string | null
  /** Why that event was decided. */
  readonly reason: string | null
  /** What operators did to the node, the last acts. Absent from an older node. */
  readonly acts?: readonly ActView[]
}

/** What an operator did to a running node. */
interface ActView {
  readonly time: string
  /** Empty where nobody is named. */
  readonly author: string
  readonly act: string
  /** Lines that came and went, or addresses. */
  readonly changes: readonly string[]
  /** How many more there were. */
  readonly unnamed: number
  readonly event: string
}

/** The state of the cluster as one node has folded it. */
export interface ClusterState {
  readonly node: string
  /** Null where nobody leads: the lease has no holder, or one that has not taken over. */
  readonly leader: string | null
  /** Who led last as far as the log tells. Absent from an older node. */
  readonly lastLeader?: string | null
  /** Who holds the lease; null for nobody, and where that cannot be told. Absent from an older node. */
  readonly leaseHolder?: string | null
  readonly leading: boolean
  readonly term: number
  readonly log: {
    /** Which store keeps it; null while it is out of reach. */
    readonly adapter: "memory" | "sqlite" | "jetstream" | null
    readonly foldedSeq: number
    readonly lastSeq: number
    readonly quarantined: number
  }
  /** Live keys that no node can open, in words. */
  readonly putAside: readonly string[]
  /** Why the node's clock keeps it from leading, empty when it does not. */
  readonly clockDoubt: string
  /** Why the node's name is in doubt, empty when it is not: another process goes by it. */
  readonly nameDoubt: string
  readonly ready: boolean
  readonly reason: string
  readonly drained: boolean
  readonly members: readonly MemberView[]
  readonly ntsKeys: readonly GenerationView[]
  readonly symmetricSets: readonly SetView[]
  /** Fingerprints. */
  readonly clusterKey: { readonly current: string | null; readonly changingTo: string | null }
  readonly policy: Readonly<Record<string, number>>
  readonly clocks: readonly ClockView[]
}

/** What was true at a moment. */
export interface Explanation {
  readonly at: string
  /** It is still to come: what is said is what is known by now, keys as they will stand then if nothing else happens. */
  readonly future: boolean
  readonly leader: { readonly node: string; readonly term: number; readonly event: string } | null
  /** Every generation that was live then; its status is that of the moment. */
  readonly generations: readonly GenerationView[]
  readonly symmetricSets: readonly SetView[]
  readonly clocks: readonly ClockView[]
  /** Subjects whose first events are gone, and the time of the first that is left. */
  readonly dropped: readonly {
    readonly subject: string
    readonly events: number
    readonly firstLeft: string | null
    /** Whether what is said of this subject may lack something at the moment asked for. */
    readonly matters: boolean
  }[]
  readonly quarantined: number
}
