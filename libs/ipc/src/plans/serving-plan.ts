/**
 * All that a node serves by: keys, settings, limits, sources. The supervisor sends each process its part of it
 * ({@link projections}), whole, when the process starts and whenever something in that part changes; a process takes it over between
 * two batches and says which version it holds. Nothing configures a process by its command line but descriptor numbers.
 *
 * A message, not a format: it lives between two processes of one version and is never stored.
 */
import { MASTER_KEY_BYTES, MAXIMUM_GENERATIONS } from "@meridian/auth/key-ring"
import { MAXIMUM_KEY_BYTES, MAXIMUM_KEY_ID } from "@meridian/auth/key-table"
import { macAlgorithmNames } from "@meridian/auth/mac-algorithms"
import { masterKeysOf, type ServingKeys, symmetricKeysOf } from "@meridian/auth/serving-keys"
import type { AnycastPlan, AnycastSettings } from "./anycast-plan.ts"
import { type AutokeyPlan, autokeyClient, autokeySecrets, type AutokeyServing } from "./autokey-plan.ts"
import type { CoordinatorPlan } from "./coordinator-plan.ts"
import { type DisciplineConfiguration, disciplineConfiguration, keyRange } from "./discipline-configuration.ts"
import {
  bytes,
  finite,
  flag,
  list,
  nullable,
  optional,
  read,
  record,
  rule,
  type Shape,
  text,
  type TypeOf,
  whole,
  words
} from "../channel/shape.ts"

const path = text(1, 4_096)
const port = whole(1, 65_535)
const endTime = finite(0)

const generation = rule(
  record({
    id: whole(0, 0xffffffff),
    key: bytes(MASTER_KEY_BYTES, MASTER_KEY_BYTES),
    /** Unix seconds. */
    activation: finite(),
    retirement: endTime,
    revoked: flag
  }),
  "activation before retirement",
  ({ activation, retirement }) => activation < retirement
)

export const servingKeys: Shape<ServingKeys> = record({
  type: words("keys"),
  generations: list(generation, MAXIMUM_GENERATIONS),
  symmetric: list(
    record({
      id: whole(1, MAXIMUM_KEY_ID),
      algorithm: words(...macAlgorithmNames),
      secret: bytes(1, MAXIMUM_KEY_BYTES)
    }),
    MAXIMUM_KEY_ID
  ),
  trusted: list(keyRange, MAXIMUM_KEY_ID),
  sendCryptoNak: flag
})

/** What requests are answered by, besides keys. */
const servingSettings = {
  /** Replies' poll field is never below this, log2 seconds. */
  minimumPoll: whole(-128, 17),
  /** Of the clock as served, log2 seconds; null: as the process measures it. */
  precision: nullable(whole(-128, 127)),
  /** Requests may wait for so long to be received together, microseconds; 0: never. */
  gatherMicroseconds: whole(0, 10_000),
  /** CLOCK_MONOTONIC seconds until which nobody is answered before there was good time; null or absent: everybody is, with LI 3. */
  silentUntil: optional(nullable(finite())),
  /** Whether peers that nobody configured are told of. */
  tellPeers: flag,
  /** The compiled access list and its limits; absent: everybody is served. */
  access: optional(bytes(0, 256 * 1024 * 1024))
}
const servingSettingsShape = record(servingSettings)
type ServingSettings = TypeOf<typeof servingSettingsShape>

/** What clients that ask are told of this node, beside the key generation in use (libs/wire/src/identity-field.ts). */
const identity = record({ node: text(1, 63), version: text(1, 64), decision: text(0, 64) })
type IdentityPlan = TypeOf<typeof identity>

export const workerPlan = record({
  ...servingSettings,
  /** Absent where nobody is told. */
  identity: optional(identity),
  /** Null where the node serves plain time alone: such a worker does not carry the ciphers' memory. */
  keys: nullable(servingKeys),
  /** Null where nobody is served by Autokey. */
  autokey: nullable(autokeySecrets)
})
export type WorkerPlan = TypeOf<typeof workerPlan>

const tlsVersion = words("TLSv1.2", "TLSv1.3")
/** Connections a second in the long run and at once; 0 a second: no limit. */
const rate = record({ perSecond: whole(0, 1_000_000), burst: whole(0, 1_000_000) })
const connections = whole(1, 1_000_000)

const ntsKeSettings = {
  /** PEM files; with none, one that no client trusts by itself is made in `developmentDirectory`. */
  certificates: list(
    record({
      certificate: path,
      key: path,
      /** What root types to let the node's user read them; absent where their modes let it. */
      mend: optional(text(1, 65_536))
    }),
    1_000
  ),
  developmentDirectory: path,
  /** Each null for the service's own choice. OpenSSL names separated by colons, preferred first. */
  tls: rule(
    record({
      minimum: nullable(tlsVersion),
      maximum: nullable(tlsVersion),
      cipherSuites: nullable(text(1, 4_096)),
      curves: nullable(text(1, 4_096))
    }),
    "a minimum not above the maximum",
    ({ minimum, maximum }) => minimum !== "TLSv1.3" || maximum !== "TLSv1.2"
  ),
  /** Seconds a client may take for its handshake, and after it for its request; null for the service's own choice. */
  handshakeSeconds: nullable(finite(0.001, 60)),
  exchangeSeconds: nullable(finite(0.001, 60)),
  /** Between two reports. */
  reportSeconds: finite(0.001, 60),
  /** AEAD identifiers of the IANA registry that are agreed on; the client's order decides. */
  aeads: rule(list(whole(0, 65_535), 32), "one at least", (ids) => ids.length > 0),
  /** Where clients are told to send their NTP packets; null: here, port 123. */
  timeServer: record({ host: nullable(text(1, 255)), port: nullable(port) }),
  /** Of one process, each null for the service's own choice. */
  admission: record({
    connections: nullable(connections),
    connectionsPerAddress: nullable(connections),
    rate: nullable(rate),
    ratePerAddress: nullable(rate)
  })
}
const ntsKeSettingsShape = record(ntsKeSettings)
export type NtsKeSettings = TypeOf<typeof ntsKeSettingsShape>

export const ntsKePlan = record({
  ...ntsKeSettings,
  /** Whether new connections are taken; those that are open are finished. */
  accepts: flag,
  generations: list(generation, MAXIMUM_GENERATIONS)
})
export type NtsKePlan = TypeOf<typeof ntsKePlan>

export const disciplinePlan = record({
  /** Symmetric keys alone. */
  keys: servingKeys,
  configuration: disciplineConfiguration,
  /** Null where no server is asked by Autokey, or there are no credentials. */
  autokey: nullable(autokeyClient),
  /** The compiled access list and its limits, where clients are answered at multicast groups. */
  access: optional(bytes(0, 256 * 1024 * 1024))
})
export type DisciplinePlan = TypeOf<typeof disciplinePlan>

/** How Windows clients' replies are signed. */
const signdSettings = {
  /** The socket on which the signing daemon is asked. */
  socket: path
}
const signdSettingsShape = record(signdSettings)
type SigndSettings = TypeOf<typeof signdSettingsShape>

export const signdPlan = record({ ...servingSettings, ...signdSettings })
export type SigndPlan = TypeOf<typeof signdPlan>

/** What it shows the node by. */
/** Of 100,000 rules nobody reads a list by mode 6. */
export const MOST_SHOWN_RULES = 1_024

const controlSettings = {
  stateDirectory: path,
  /**
   * Where HTTP is answered; null: nowhere. `asked`: a line of the configuration says so. `tokenFile`: what every request must
   * bring. `operatorsFile`: who may act. `certificateFile`, `keyFile`: both, or plain HTTP. `clientsFile`: authorities of clients.
   */
  http: nullable(
    record({
      address: text(1, 64),
      port,
      asked: flag,
      tokenFile: nullable(path),
      operatorsFile: nullable(path),
      certificateFile: nullable(path),
      keyFile: nullable(path),
      clientsFile: nullable(path)
    })
  ),
  /** The symmetric key that authenticated mode 6 requests must use (ntp.conf `controlkey`); null: nobody may change anything. */
  controlKey: nullable(whole(1, MAXIMUM_KEY_ID)),
  /** The access rules as they stand, the first of them: ntpq's `reslist` shows them. */
  rules: list(
    record({ address: text(1, 64), length: whole(0, 128), ntpPort: flag, flags: whole(0, 2 ** 31 - 1) }),
    MOST_SHOWN_RULES
  )
}
const controlSettingsShape = record(controlSettings)
export type ControlSettings = TypeOf<typeof controlSettingsShape>
export type ShownRule = ControlSettings["rules"][number]

/** Its keys hold the control key and no other; who may ask is in the access list that workers have. */
export const controlPlan = record({
  ...controlSettings,
  keys: servingKeys,
  access: optional(bytes(0, 256 * 1024 * 1024))
})
export type ControlPlan = TypeOf<typeof controlPlan>

/** The whole; no process gets it. */
export interface ServingPlan {
  readonly keys: ServingKeys
  /** Whether anybody is served under keys: else workers are given none. */
  readonly servesKeys: boolean
  readonly serving: ServingSettings
  /** Who the node says that it is; null: nobody is told. */
  readonly identity: IdentityPlan | null
  /** Null where key establishment is not served. */
  readonly ntsKe: NtsKeSettings | null
  /** Whether the node takes new key exchanges; a drained one does not. */
  readonly acceptsNtsKe: boolean
  /** Null where no route is announced. */
  readonly anycast: AnycastSettings | null
  /** Whether the node may be announced; a drained one, or one that is being drained, is not. */
  readonly announces: boolean
  /** Null where Windows clients are not served. */
  readonly signd: SigndSettings | null
  readonly discipline: DisciplineConfiguration
  readonly control: ControlSettings
  readonly coordinator: CoordinatorPlan
  /** Null where Autokey is off. */
  readonly autokey: AutokeyServing | null
}

/** Each kind of process's part: what it works with, and no key beyond. */
export const projections = {
  worker: ({ serving, identity: told, servesKeys, keys, autokey }: ServingPlan): WorkerPlan => ({
    ...serving,
    ...(told === null ? {} : { identity: told }),
    keys: servesKeys ? keys : null,
    autokey: autokey === null ? null : { digest: autokey.digest, secrets: autokey.secrets }
  }),
  autokey: ({ autokey, serving: { minimumPoll, access } }: ServingPlan): AutokeyPlan | undefined => {
    if (autokey === null) return undefined
    const { host, certificates, lists, secrets, leapFile, leapFileHashIgnored } = autokey
    const settings = { minimumPoll, host, certificates, lists, secrets, leapFile, leapFileHashIgnored }
    return access === undefined ? settings : { ...settings, access }
  },
  ntsKe: ({ ntsKe, acceptsNtsKe, keys }: ServingPlan): NtsKePlan | undefined =>
    ntsKe === null ? undefined : { ...ntsKe, accepts: acceptsNtsKe, generations: masterKeysOf(keys).generations },
  /** No key, only when each is used. */
  anycast: ({ anycast, announces, ntsKe, keys }: ServingPlan): AnycastPlan | undefined =>
    anycast === null
      ? undefined
      : {
          ...anycast,
          announces,
          generations:
            ntsKe === null
              ? null
              : keys.generations
                  .filter(({ revoked }) => !revoked)
                  .map(({ id, activation, retirement }) => ({ id, activation, retirement }))
        },
  /** No key: those are the signing daemon's. */
  signd: ({ serving, signd }: ServingPlan): SigndPlan | undefined =>
    signd === null ? undefined : { ...serving, ...signd },
  discipline: ({ discipline, keys, autokey, serving: { access } }: ServingPlan): DisciplinePlan => ({
    ...(access !== undefined && discipline.answering ? { access } : {}),
    keys: symmetricKeysOf(keys),
    configuration: discipline,
    autokey:
      autokey === null || autokey.host === null
        ? null
        : { host: autokey.host, parameters: autokey.parameters, notes: autokey.notes }
  }),
  /** No key but the cluster's, where the environment gave it. */
  coordinator: ({ coordinator }: ServingPlan): CoordinatorPlan => coordinator,
  control: ({ control, keys, serving }: ServingPlan): ControlPlan => ({
    ...control,
    ...(serving.access === undefined ? {} : { access: serving.access }),
    keys: { ...keys, generations: [], symmetric: keys.symmetric.filter(({ id }) => id === control.controlKey) }
  })
} as const

/** Where a process serves: one entry for each descriptor it inherited, in their order; with none inherited it binds them itself. */
export const socketPlace = record({ address: text(1, 64), port: whole(0, 65_535) })
export type SocketPlace = TypeOf<typeof socketPlace>

/** A process's part of the plan, with what tells one version from another. */
export interface PlanMessage<Plan = unknown> {
  readonly type: "plan"
  /** Counts up over the whole node. */
  readonly version: number
  readonly sockets: readonly SocketPlace[]
  readonly plan: Plan
}

const envelope = record({
  type: words("plan"),
  version: whole(1, Number.MAX_SAFE_INTEGER),
  sockets: list(socketPlace, 4_096)
})

/** @throws InvalidMessage with the place that is wrong */
export const readPlanMessage = <Plan>(shape: Shape<Plan>, message: unknown): PlanMessage<Plan> => {
  const { type, version, sockets } = read(envelope, "message", message)
  return { type, version, sockets, plan: read(shape, "plan", (message as PlanMessage).plan) }
}

/** A process works by this version of its plan from now on. */
export interface HoldsMessage {
  readonly type: "holds"
  readonly version: number
}
