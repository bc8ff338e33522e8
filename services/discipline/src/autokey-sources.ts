/**
 * Sources that are asked by Autokey: this host's credentials, an exchange with each, and the address that packets to each leave
 * from, which is part of every key.
 */
import { randomFillSync, randomInt } from "node:crypto"
import { AutokeyAssociation } from "@meridian/auth/autokey/association"
import type { KnownCertificate } from "@meridian/auth/autokey/certificate-cache"
import { type GroupParameters, noParameters, openParameters } from "@meridian/auth/autokey/group-parameters"
import { BadCredentials, hostStatus, sameOctets } from "@meridian/auth/autokey/host"
import { randomBelowFrom } from "@meridian/auth/autokey/identity"
import { type AutokeyParty, openParty } from "@meridian/auth/autokey/party"
import { PUBLIC_COOKIE, SessionKeys } from "@meridian/auth/autokey/session-key"
import type { DigestPort } from "@meridian/auth/mac"
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import { type AutokeyClient, hostOfMessage } from "@meridian/ipc/autokey-plan"
import type { AutokeySourceReport } from "@meridian/ipc/discipline-report"
import { AutokeySource, type Endpoint } from "@meridian/protocol/associations"
import { decodeAutokeyPacket } from "@meridian/wire/autokey-fields"
import { addressOctets } from "@meridian/udp/socket-address"
import { AutokeyBroadcasts } from "./autokey-broadcasts.ts"
import { type AutokeyAnswer, AutokeySearch, answerSearch } from "./autokey-manycast.ts"
import { addressTowards } from "./source-identity.ts"

export interface AutokeySourcesSurroundings {
  readonly digests: DigestPort
  /** Served time, Unix seconds; undefined where this node is not synchronised. */
  readonly now: () => number | undefined
  /** A line for cryptostats. @param address of the other side; null: about this host */
  readonly record: (address: string | null, line: string) => void
  /** Whether leap seconds are given to who asks this node. */
  readonly hasLeapTable: () => boolean
  readonly warn: (message: string) => void
  /** The address of ours that is spoken from is known, or another one now. */
  readonly ready: (endpoint: Endpoint) => void
}

/** How often the address towards a source is looked at, milliseconds: networks change. */
const LOOK_AGAIN_MS = 60_000

/** Credentials, opened. */
interface Opened extends AutokeyParty {
  readonly plan: AutokeyClient
}

interface Kept {
  readonly endpoint: Endpoint
  readonly mode: "client" | "symmetric" | "broadcast"
  /** Of a broadcast server's association. */
  readonly broadcastId: number | undefined
  readonly ident: string | undefined
  local: Uint8Array | undefined
  lookedAt: number
  opened: Opened | undefined
  association: AutokeyAssociation | undefined
}

export class AutokeySources {
  /** What this node tells to many. */
  readonly broadcasts: AutokeyBroadcasts
  private readonly surroundings: AutokeySourcesSurroundings
  private readonly kept = new Map<string, Kept>()
  private readonly randomBelow = randomBelowFrom((bytes) => void randomFillSync(bytes))
  private opened: Opened | undefined
  private told: readonly KnownCertificate[] = []

  constructor(surroundings: AutokeySourcesSurroundings) {
    this.surroundings = surroundings
    this.broadcasts = new AutokeyBroadcasts({ ...surroundings, host: () => this.opened?.host })
  }

  /** Takes credentials into use, in place of those before; exchanges begin anew where they are others. */
  use(plan: AutokeyClient | null): void {
    if (plan === null) {
      this.opened = undefined
      return
    }
    if (this.opened !== undefined && isSame(plan, this.opened.plan)) return
    const party = openParty(hostOfMessage(plan.host), {
      rsa: nodeRsa,
      digests: this.surroundings.digests,
      randomBelow: this.randomBelow,
      leapSeconds: undefined,
      autokeyValues: () => undefined
    })
    if (party instanceof BadCredentials) return this.surroundings.warn(`Autokey: ${party.message}`)
    this.opened = { ...party, plan }
    for (const note of plan.notes) this.surroundings.record(null, note)
    const { host } = party
    const status = hostStatus(host, false).toString(16)
    this.surroundings.record(null, `setup 0x${status} host ${host.name} ${host.signer.scheme.longName}`)
  }

  /** How packets to a source are authenticated. */
  source(endpoint: Endpoint, mode: "client" | "symmetric", ident: string | undefined): AutokeySource {
    return this.keep({ endpoint, mode, ident, broadcastId: undefined }, undefined)
  }

  /**
   * How packets to a broadcast server, and what it tells to an address of many, are authenticated; undefined where the packet
   * that was heard there is not keyed as such packets are, or there are no credentials.
   */
  broadcastServer(endpoint: Endpoint, told: string, packet: Uint8Array): AutokeySource | undefined {
    if (this.opened === undefined) return undefined
    const decoded = decodeAutokeyPacket(packet)
    if (typeof decoded === "string") return undefined
    const [field] = decoded.fields
    const pair = { source: addressOctets(endpoint.address), destination: addressOctets(told) }
    const keys = new SessionKeys(this.surroundings.digests, this.opened.host.digest)
    if (field === undefined || !keys.verify(packet, decoded.macOffset, pair, PUBLIC_COOKIE)) return undefined
    const { associationId: broadcastId } = field
    return this.keep({ endpoint, mode: "broadcast", ident: undefined, broadcastId }, pair.destination)
  }

  /** A request for servers to a group; undefined without credentials. @param own the address of ours that it leaves from */
  search(group: string, own: string): AutokeySearch | undefined {
    if (this.opened === undefined) return undefined
    const { host } = this.opened
    const { digests, now } = this.surroundings
    return new AutokeySearch(host, new SessionKeys(digests, host.digest), group, own, now())
  }

  /** The answer to a request for servers that came to a group; undefined where it is none. */
  answerSearch(packet: Uint8Array, client: string, group: string): AutokeyAnswer | undefined {
    if (this.opened === undefined) return undefined
    const { host, responder } = this.opened
    const { digests, now } = this.surroundings
    return answerSearch({ responder, keys: new SessionKeys(digests, host.digest) }, packet, client, group, now())
  }

  private keep(
    of: Pick<Kept, "endpoint" | "mode" | "ident" | "broadcastId">,
    told: Uint8Array | undefined
  ): AutokeySource {
    const { endpoint } = of
    const kept: Kept = {
      ...of,
      local: undefined,
      lookedAt: 0,
      opened: undefined,
      association: undefined
    }
    this.kept.set(endpoint.address, kept)
    return new AutokeySource({
      association: () => this.associationOf(kept),
      local: () => this.localOf(kept),
      remote: addressOctets(endpoint.address),
      ...(told && { told }),
      now: this.surroundings.now
    })
  }

  forget(endpoint: Endpoint): void {
    this.kept.delete(endpoint.address)
  }

  /** What is known of a source by Autokey; undefined where it is not asked so. */
  report({ address }: Endpoint): AutokeySourceReport | undefined {
    const association = this.kept.get(address)?.association
    if (association === undefined) return undefined
    const { hostName, status } = association
    return { flags: status, host: hostName, signature: association.state.scheme?.longName ?? "" }
  }

  /** The certificates that are known besides this host's own, where they are others than at the call before. */
  newCertificates(): readonly KnownCertificate[] | undefined {
    const known = this.opened?.certificates.learned ?? []
    if (known === this.told || (known.length === 0 && this.told.length === 0)) return undefined
    this.told = known
    return known
  }

  private associationOf(kept: Kept): AutokeyAssociation | undefined {
    const { opened } = this
    if (kept.opened === opened) return kept.association
    kept.opened = opened
    kept.association = opened === undefined ? undefined : this.begin(kept, opened)
    return kept.association
  }

  private begin(
    { endpoint, mode, ident, broadcastId }: Kept,
    { host, certificates, responder, plan }: Opened
  ): AutokeyAssociation {
    const { digests, record } = this.surroundings
    return new AutokeyAssociation(
      {
        host,
        certificates,
        responder,
        rsa: nodeRsa,
        digests,
        randomBelow: this.randomBelow,
        randomWord: () => randomInt(2 ** 32),
        group: ident === undefined ? undefined : this.groupOf(plan, ident),
        mode,
        ...(broadcastId !== undefined && { broadcastId }),
        record: (line) => record(endpoint.address, line)
      },
      randomInt(1, 65_536)
    )
  }

  private groupOf(plan: AutokeyClient, ident: string): GroupParameters {
    const parameters = openParameters(plan.parameters, ident)
    if (!(parameters instanceof BadCredentials)) return parameters
    this.surroundings.warn(`Autokey group ${ident}: ${parameters.message}`)
    return noParameters
  }

  private localOf(kept: Kept): Uint8Array | undefined {
    const now = performance.now()
    if (kept.lookedAt === 0 || now - kept.lookedAt > LOOK_AGAIN_MS) {
      kept.lookedAt = Math.max(now, 1)
      void this.look(kept)
    }
    return kept.local
  }

  private async look(kept: Kept): Promise<void> {
    const address = await addressTowards(kept.endpoint)
    const local = address === undefined ? undefined : addressOctets(address)
    const isNew = kept.local === undefined && local !== undefined
    if (kept.local !== undefined && local !== undefined && !sameOctets(kept.local, local)) kept.association?.restart()
    kept.local = local ?? kept.local
    if (isNew) this.surroundings.ready(kept.endpoint)
  }
}

const isSame = (a: AutokeyClient, b: AutokeyClient): boolean =>
  sameOctets(a.host.certificate, b.host.certificate) &&
  sameOctets(a.host.hostKey, b.host.hostKey) &&
  a.parameters.length === b.parameters.length &&
  a.parameters.every((each, index) => sameOctets(each.key, b.parameters[index]!.key))
