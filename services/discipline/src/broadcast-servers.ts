/**
 * Servers that tell the time to many, and that no line names: heard at the broadcast addresses of this machine's networks and
 * at multicast groups. Who proves itself under a trusted key is followed: some exchanges measure the delay, then nothing more
 * is asked. Without authentication nobody is, unless `disable auth` says so.
 */
import type { SymmetricMacs } from "@meridian/auth/mac"
import type { HearingConfiguration, ServingEndpoint } from "@meridian/ipc/discipline-report"
import type {
  AssociationAuthentication,
  Endpoint,
  Moment,
  AssociationSet,
  SetAction
} from "@meridian/protocol/associations"
import { unauthenticated } from "@meridian/protocol/associations"
import type { NtpTimestamp, UnixTime } from "@meridian/time/timestamp"
import { UdpClientError, type UdpClientSocket, openUdpClient } from "@meridian/udp/client"
import { decodeHeader, HIGHEST_VERSION, LOWEST_VERSION, Mode } from "@meridian/wire/ntp"
import type { AutokeySources } from "./autokey-sources.ts"
import { proofOf } from "./group-packets.ts"
import { ownNetworks } from "./many-addresses.ts"

export interface BroadcastServersSurroundings {
  readonly set: AssociationSet
  readonly macs: SymmetricMacs
  readonly moment: () => Moment
  readonly serving: readonly ServingEndpoint[]
  /** Served or uncorrected time, as clients measure it. */
  readonly stamp: (time: UnixTime) => NtpTimestamp
  /** Undefined where this node has no credentials of Autokey. */
  readonly autokey: Pick<AutokeySources, "broadcastServer" | "forget"> | undefined
  readonly act: (actions: readonly SetAction[]) => void
  /** A datagram is here and not yet looked at. */
  readonly arriving: () => void
  readonly warn: (message: string) => void
}

/** Datagrams of one socket taken in one turn of the event loop. */
const MOST_EVENTS = 64
/** Networks come and go: how often their broadcast addresses are looked at. */
const LOOK_AGAIN_MS = 60_000
const LIMITED_BROADCAST = "255.255.255.255"

/** Said once each: who was refused is in no message, for it may be anybody. */
const refusals = {
  unauthenticated:
    "a server tells the time to many without proving who it is: it is not followed; `disable auth` would",
  key: "a server tells the time to many under a key that no `trustedkey` names: it is not followed",
  full: "as many servers that tell the time to many are followed as may be: others are not",
  "too-fast": "many servers that tell the time to many come at once: some are taken later",
  unproven: "a server that tells the time to many does not answer: it is not followed",
  forged: "a server tells the time to many, and its MAC is wrong: it is not followed"
} as const

export class BroadcastServers {
  private readonly configuration: HearingConfiguration
  private readonly surroundings: BroadcastServersSurroundings
  private readonly sockets = new Map<string, UdpClientSocket>()
  /** The key of a server that is being taken. */
  private calling: number | null = null
  private timer: NodeJS.Timeout | undefined

  constructor(configuration: HearingConfiguration, surroundings: BroadcastServersSurroundings) {
    this.configuration = configuration
    this.surroundings = surroundings
  }

  /** The key of the server that the set is being asked about. */
  get keyId(): number | null {
    return this.calling
  }

  start(): void {
    void this.listen()
    this.timer = setInterval(() => void this.listen(), LOOK_AGAIN_MS)
  }

  stop(): void {
    clearInterval(this.timer)
    for (const socket of this.sockets.values()) socket.close()
    this.sockets.clear()
  }

  private async listen(): Promise<void> {
    const { groups, broadcasts } = this.configuration
    const networks = ownNetworks(this.surroundings.serving)
    const through = networks.map(({ address }) => address)
    const own = networks.flatMap(({ broadcast }) => broadcast ?? [])
    const addresses = broadcasts ? [...new Set([...own, LIMITED_BROADCAST])] : []
    for (const address of [...addresses, ...groups]) {
      if (!this.sockets.has(address)) await this.open(address, through)
    }
  }

  private async open(address: string, through: readonly string[]): Promise<void> {
    const { port } = this.configuration
    try {
      const socket = await openUdpClient({ local: { address, port }, hears: { through } })
      this.sockets.set(address, socket)
      socket.onReadable(() => this.drain(socket, address))
    } catch (error) {
      if (!(error instanceof UdpClientError)) throw error
      this.surroundings.warn(`no server is heard at ${address}: ${error.message}`)
    }
  }

  private drain(socket: UdpClientSocket, told: string): void {
    for (let taken = 0; taken < MOST_EVENTS; taken += 1) {
      const event = socket.receive()
      if (event === undefined) return
      if (event._tag !== "Datagram") continue
      this.surroundings.arriving()
      this.received(event.bytes, event.from, told, this.surroundings.stamp(event.arrival))
    }
  }

  private received(packet: Uint8Array, from: Endpoint, told: string, arrival: NtpTimestamp): void {
    const { set, moment, act } = this.surroundings
    const header = decodeHeader(packet)
    if ("_tag" in header || header.mode !== Mode.broadcast) return
    const { version, poll } = header
    if (version < LOWEST_VERSION || version > HIGHEST_VERSION) return
    const known = set.find(from.address)
    if (known !== undefined) return act(set.told(moment(), known, packet, arrival))
    const found = this.authenticationOf(packet, version, from, told)
    if (typeof found === "string") return this.refuse(found)
    this.calling = found.keyId
    const delay = this.configuration.delay ?? undefined
    const actions = set.heard(moment(), { endpoint: from, version, poll, authentication: found.authentication, delay })
    for (const action of actions) {
      if (action._tag === "CallerRefused") {
        this.surroundings.autokey?.forget(from)
        this.refuse(action.reason)
      } else act([action])
      if (action._tag === "Mobilised" && delay !== undefined) act(set.told(moment(), action.id, packet, arrival))
    }
    this.calling = null
  }

  /** How an unknown server's packets are authenticated, or why it is not followed. */
  private authenticationOf(
    packet: Uint8Array,
    version: number,
    from: Endpoint,
    told: string
  ): { readonly authentication: AssociationAuthentication; readonly keyId: number | null } | keyof typeof refusals {
    const { keys, authenticated: mustProve } = this.configuration
    const authenticated = this.surroundings.autokey?.broadcastServer(from, told, packet)
    if (authenticated !== undefined) return { authentication: authenticated, keyId: null }
    const proof = proofOf(packet, version, this.surroundings.macs, keys)
    if (proof !== "none") return proof
    return mustProve ? "unauthenticated" : { authentication: unauthenticated, keyId: null }
  }

  private refuse(reason: keyof typeof refusals): void {
    this.surroundings.warn(refusals[reason])
  }
}
