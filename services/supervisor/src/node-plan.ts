/** What a node is to do, settled: made of the settings by plan.ts, carried out by node.ts. */
import type { ListenRules } from "@meridian/config/listen"
import type { CoordinatorPlan } from "@meridian/ipc/coordinator-plan"
import type { DisciplineConfiguration } from "@meridian/ipc/discipline-report"
import type { AnycastSettings } from "@meridian/ipc/anycast-plan"
import type { ControlSettings, NtsKeSettings } from "@meridian/ipc/serving-plan"
import type { PacketKind } from "@meridian/udp/packet-steering"
import type { AccessInput } from "./access-planner.ts"
import type { AutokeyFiles } from "./autokey-material.ts"
import type { KeyFilePlan } from "./served-keys.ts"
import type { Identity } from "@meridian/system/identity"

export interface NodePlan {
  readonly version: string
  readonly listen: ListenRules
  /** UDP; the first is the node's own, more come from `extra port` */
  readonly ports: readonly number[]
  readonly workers: number
  /** See the directive `gather`. */
  readonly gatherMicroseconds: number
  /** The interface whose plain requests a BPF program answers; undefined: none. */
  readonly xdp: XdpPlan | undefined
  /** Seconds after the start for which requests are not answered while there is no time. */
  readonly silentSeconds: number
  /** Kinds of packets that a service of this node answers; those of the others are the workers' to count and drop. */
  readonly packetKinds: readonly PacketKind[]
  readonly stateDirectory: string
  /** Opened by root before the identity changes, and opened again at SIGHUP after that. */
  readonly logFile: string | undefined
  readonly discipline: DisciplineConfiguration
  /** Who may ask what, and how often. */
  readonly access: AccessInput
  /** Whom to become once the sockets are open; undefined stays. */
  readonly identity: Identity | undefined
  /** Whether the addon is there; without it each worker binds its own sockets. */
  readonly native: boolean
  readonly keyFile: KeyFilePlan | undefined
  readonly sendCryptoNak: boolean
  /** The key that changes by mode 6 come under; undefined: there are none. */
  readonly controlKey: number | undefined
  /** Where HTTP is answered; null: nowhere. */
  readonly http: ControlSettings["http"]
  /** Where replies to Windows clients are signed, a directory or a socket; undefined where they are not served. */
  readonly signdSocket: string | undefined
  /** Autokey; undefined where it is off. */
  readonly autokey: AutokeyFiles | undefined
  /** Routes that follow health; undefined where none is announced. */
  readonly anycast: AnycastPlan | undefined
  /** How long a drain waits for routers, and for the last clients. Seconds. */
  readonly drain: { readonly wait: number; readonly grace: number }
  /** Who clients that ask are told that this is; undefined: nobody is told. */
  readonly identifiesAs: { readonly node: string; readonly version: string } | undefined
  /** UDP port of loopback for chronyc; 0: none. */
  readonly commandPort: number
  /** NTS key establishment; undefined where it is not served. */
  readonly nts: NtsPlan | undefined
  /** The event log, this node's name, its cluster; the cluster key, where the environment gave it. */
  readonly coordinator: CoordinatorPlan
  readonly programs: {
    readonly worker: string
    readonly discipline: string
    readonly ntsKe: string
    readonly coordinator: string
    readonly control: string
    readonly signd: string
    readonly autokey: string
    readonly anycast: string
  }
}

export interface AnycastPlan {
  readonly addresses: readonly { readonly address: string; readonly bytes: Uint8Array }[]
  /** The node's own network device; undefined: the loopback. */
  readonly device: string | undefined
  readonly settings: AnycastSettings
}

interface XdpPlan {
  readonly interface: string
  /** Undefined: as the driver can. */
  readonly mode: "native" | "generic" | undefined
}

export interface NtsPlan {
  /** TCP */
  readonly port: number
  readonly processes: number
  /** Whether NTP is answered on the loopback addresses alone. */
  readonly exchangeOnly: boolean
  /** Certificates, TLS versions, what it tells clients. */
  readonly settings: NtsKeSettings
}
