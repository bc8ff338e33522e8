/** What processes are told of Autokey, as parts of the serving plan. Private keys are in it: only who signs gets them. */
import {
  type HostCredentials,
  identitySchemes,
  LONGEST_CERTIFICATE_BYTES,
  MOST_CERTIFICATES
} from "@meridian/auth/autokey/credentials"
import type { StampedParameters } from "@meridian/auth/autokey/group-parameters"
import type { ServerSecret } from "@meridian/auth/autokey/server-secret"
import { macAlgorithmNames } from "@meridian/auth/mac-algorithms"
import {
  bytes,
  finite,
  flag,
  list,
  nullable,
  optional,
  record,
  type Shape,
  text,
  type TypeOf,
  whole,
  words
} from "../channel/shape.ts"

const stamp = whole(0, 2 ** 32 - 1)
const derOfKey = bytes(1, 65_536)
const scheme = words(...identitySchemes)
const digest = words(...macAlgorithmNames)

const hostCredentials = record({
  hostKey: derOfKey,
  hostFilestamp: stamp,
  signKey: nullable(derOfKey),
  certificate: bytes(1, LONGEST_CERTIFICATE_BYTES),
  certificateFilestamp: stamp,
  identity: list(record({ scheme, key: derOfKey, filestamp: stamp }), identitySchemes.length),
  digest
})

/** In a message: structured clones keep no undefined apart from absent. */
type HostMessage = TypeOf<typeof hostCredentials>
export const hostMessage = (host: HostCredentials): HostMessage => ({ ...host, signKey: host.signKey ?? null })
export const hostOfMessage = (host: HostMessage): HostCredentials => ({ ...host, signKey: host.signKey ?? undefined })

const parameters: Shape<readonly StampedParameters[]> = list(
  record({ scheme, key: derOfKey, filestamp: stamp, group: text(1, 255) }),
  1_000
)

const secrets: Shape<readonly ServerSecret[]> = list(
  record({ value: stamp, activation: finite(), retirement: finite() }),
  64
)

/** Certificates that were learned from this node's own sources: what they signed for it, and theirs. */
export const learnedCertificates = list(
  record({ der: bytes(1, LONGEST_CERTIFICATE_BYTES), filestamp: stamp }),
  MOST_CERTIFICATES
)
export type LearnedCertificates = TypeOf<typeof learnedCertificates>

/** The signed values of the key lists by which this node tells the time to many, as RFC 5906 §11.4 has them. */
export const broadcastLists = list(
  record({
    associationId: whole(1, 65_535),
    timestamp: stamp,
    filestamp: stamp,
    value: bytes(8, 8),
    signature: bytes(0, 1_024)
  }),
  64
)
export type BroadcastLists = TypeOf<typeof broadcastLists>

/** For whoever verifies and answers session-keyed requests: no private key is in it. */
export const autokeySecrets = record({ digest, secrets })
export type AutokeySecrets = TypeOf<typeof autokeySecrets>

/** For the process that answers requests with fields. */
export const autokeyPlan = record({
  minimumPoll: whole(-128, 17),
  /** The compiled access list and its limits, as workers have it; absent: everybody is served. */
  access: optional(bytes(0, 256 * 1024 * 1024)),
  /** Null until there are credentials that can be used: requests are counted and dropped. */
  host: nullable(hostCredentials),
  certificates: learnedCertificates,
  /** Absent: nothing is told to many by Autokey. */
  lists: optional(broadcastLists),
  secrets,
  /** The leap-seconds list that clients are told of; null: none. */
  leapFile: nullable(text(1, 4_096)),
  leapFileHashIgnored: flag
})
export type AutokeyPlan = TypeOf<typeof autokeyPlan>

/** For the clock's process, which asks. */
export const autokeyClient = record({
  host: hostCredentials,
  parameters,
  /** What cryptostats says of the host's files. */
  notes: list(text(1, 1_024), 64)
})
export type AutokeyClient = TypeOf<typeof autokeyClient>

/** The whole, as the supervisor has it. */
export interface AutokeyServing {
  readonly host: HostMessage | null
  readonly parameters: readonly StampedParameters[]
  readonly notes: readonly string[]
  readonly certificates: LearnedCertificates
  readonly lists: BroadcastLists
  readonly secrets: readonly ServerSecret[]
  readonly digest: HostMessage["digest"]
  readonly leapFile: string | null
  readonly leapFileHashIgnored: boolean
}
