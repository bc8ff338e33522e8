/**
 * Peers that no line names (docs/adr/007): workers tell of those that sent packets under a trusted key and heard an answer;
 * the associations' set takes what it has room for; a socket on the node's port, connected to each, has the kernel hand
 * its packets to this process from then on. Until then, and again afterwards, workers answer them.
 */
import type { KeyRange } from "@meridian/auth/key-table"
import type { SymmetricMacs } from "@meridian/auth/mac"
import type { UdpClientError, UdpEndpoint } from "@meridian/udp/client"
import type { PassivePeersReport } from "@meridian/ipc/discipline-report"
import type { PeerSighting, PeersSeen } from "@meridian/ipc/peer-sighting"
import type {
  Endpoint,
  Moment,
  AssociationSet,
  Demobilised,
  Mobilised,
  SetAction
} from "@meridian/protocol/associations"
import { symmetricKey } from "@meridian/protocol/associations"
import { errnoWords } from "@meridian/system/errno-words"
import { inZoneOf, servedFrom } from "./source-identity.ts"

export interface PassivePeersSurroundings {
  readonly set: AssociationSet
  readonly macs: SymmetricMacs
  readonly moment: () => Moment
  readonly serving: readonly UdpEndpoint[]
  /** Does what the set says. */
  readonly act: (actions: readonly SetAction[]) => void
  /** Opens an association's socket; the error where that cannot be. */
  readonly listen: (id: number, remote: Endpoint, local: UdpEndpoint) => Promise<UdpClientError | undefined>
  /** One came or went, and why. */
  readonly changed: (endpoint: Endpoint, keyId: number, isTaken: boolean, reason: string) => void
  readonly warn: (message: string) => void
}

/** Said once each: who is refused is in no message, for it may be anybody. */
const refusals: Readonly<Record<string, string>> = {
  full: "as many peers that no line names were taken as `passivepeers` allows; others are answered and not followed",
  "too-fast": "many peers that no line names come at once: some are taken later, if they come again",
  key: "a peer that no line names came under a key that no `trustedkey` names: it is answered and not taken"
}

const departures: Readonly<Record<Demobilised["reason"], string>> = {
  silent: "not heard for long",
  client: "its address asks as a client",
  denied: "it refuses to serve us (kiss-o'-death)",
  restricted: "it refuses to serve us (kiss-o'-death)",
  replaced: "a configured source leads to its address",
  "key-withdrawn": "its key is not trusted any more",
  "no-socket": "the node's port cannot be shared",
  unpeered: "ended by an operator"
}

export class PassivePeers {
  readonly most: number
  private readonly keys: readonly KeyRange[]
  private readonly surroundings: PassivePeersSurroundings
  private readonly byId = new Map<number, PeerSighting>()
  private readonly refused: Record<string, number> = {}
  private taken = 0
  /** The one that the set is being asked about. */
  private calling: PeerSighting | undefined
  /** The port belongs to somebody else: no peer can be spoken to from it. */
  private isBarred = false

  /** @param keys those that peers may come under, of the keys that are trusted */
  constructor(most: number, keys: readonly KeyRange[], surroundings: PassivePeersSurroundings) {
    this.most = most
    this.keys = keys
    this.surroundings = surroundings
  }

  /** What a worker saw. */
  seen({ peers, overlooked }: PeersSeen): void {
    if (this.most === 0) return
    if (overlooked > 0) this.count("overlooked", overlooked)
    for (const peer of peers) this.called(peer)
  }

  /** The key that a peer came with; undefined for the association of a line. */
  keyOf(id: number): number | undefined {
    return this.byId.get(id)?.keyId
  }

  mobilised({ id, endpoint }: Mobilised): void {
    const { calling } = this
    if (calling === undefined) return
    this.byId.set(id, calling)
    this.taken += 1
    this.surroundings.changed(endpoint, calling.keyId, true, `symmetric active, under key ${calling.keyId}`)
    void this.open(id, endpoint, calling)
  }

  demobilised({ id, endpoint, reason }: Demobilised): void {
    const peer = this.byId.get(id)
    if (!this.byId.delete(id) || peer === undefined) return
    this.surroundings.changed(endpoint, peer.keyId, false, departures[reason])
  }

  /** The set does not take the peer that called. */
  count(reason: string, times = 1): void {
    this.refused[reason] = (this.refused[reason] ?? 0) + times
    const message = refusals[reason]
    if (message !== undefined) this.surroundings.warn(message)
  }

  /** Other keys may be trusted now: who came under one that is not has to go. */
  keysChanged(): void {
    const { set, moment, act } = this.surroundings
    for (const [id, { keyId }] of this.byId) if (!this.isPeerKey(keyId)) act(set.dismiss(moment(), id, "key-withdrawn"))
  }

  report(): PassivePeersReport {
    return { now: this.byId.size, most: this.most, taken: this.taken, refused: { ...this.refused } }
  }

  private called(peer: PeerSighting): void {
    const { address, port, localAddress, localPort, keyId, version, poll } = peer
    const { set, macs, moment, act } = this.surroundings
    if (address === localAddress && port === localPort) return this.count("self")
    if (this.isBarred) return this.count("port")
    if (!this.isPeerKey(keyId)) return this.count("key")
    this.calling = peer
    act(set.called(moment(), { endpoint: { address, port }, version, poll, authentication: symmetricKey(macs, keyId) }))
    this.calling = undefined
  }

  private isPeerKey(id: number): boolean {
    return this.surroundings.macs.keys.isTrusted(id) && this.keys.some(({ first, last }) => first <= id && id <= last)
  }

  private async open(id: number, endpoint: Endpoint, { localAddress, localPort }: PeerSighting): Promise<void> {
    const { set, moment, act, listen, serving, warn } = this.surroundings
    const wildcard = endpoint.address.includes(":") ? "::" : "0.0.0.0"
    const asked = localAddress === null ? undefined : inZoneOf(localAddress, endpoint.address)
    const address = asked ?? servedFrom(serving, endpoint.address) ?? wildcard
    const error = await listen(id, endpoint, { address, port: localPort })
    if (error === undefined) return
    if (error.code === "EACCES" || error.code === "EADDRINUSE") {
      this.isBarred = true
      warn(
        `no peer without a line can be taken: the node's port cannot be shared: ${errnoWords(error.code)}; run the whole node as one user that may bind it, not with --user, or set passivepeers 0`
      )
    }
    this.count("port")
    act(set.dismiss(moment(), id, "no-socket"))
  }
}
