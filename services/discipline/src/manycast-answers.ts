/**
 * Answers clients that look for servers at multicast groups (RFC 5905 §3.1, manycast), from the node's own address and port,
 * which is where they will ask from then on. By classic ntpd's rules: only with a time, only who proves to hold a trusted key
 * (unless `disable auth`), and nobody whose own stratum is better; by this node's access list and limits besides. Others get
 * silence: an answer to a made-up address would be one from every server of the group.
 */
import type { AnsweringConfiguration } from "@meridian/ipc/discipline-report"
import { TokenBucket } from "@meridian/protocol/access/token-bucket"
import type { Admission } from "@meridian/protocol"
import type { AssociationAuthentication, Endpoint } from "@meridian/protocol/associations"
import { unauthenticated } from "@meridian/protocol/associations"
import { Leap } from "@meridian/time/clock-curve"
import type { NtpTimestamp, UnixTime } from "@meridian/time/timestamp"
import { writeSocketAddress } from "@meridian/udp/socket-address"
import { UdpClientError, type UdpClientSocket, openUdpClient } from "@meridian/udp/client"
import { decodeHeader, HIGHEST_VERSION, LOWEST_VERSION, Mode, type NtpHeader } from "@meridian/wire/ntp"
import { SOURCE_STRIDE } from "@meridian/wire/source-address"
import type { AutokeySources } from "./autokey-sources.ts"
import { type GroupSurroundings, headerOf, proofOf } from "./group-packets.ts"
import { ownNetworks } from "./many-addresses.ts"
import { addressTowards } from "./source-identity.ts"

export interface ManycastAnswersSurroundings extends GroupSurroundings {
  /** Served time of a kernel's stamp. */
  readonly served: (arrival: UnixTime) => NtpTimestamp
  /** The node's access list and limits; undefined: everybody. */
  readonly admission: () => Admission | undefined
  /** Undefined where this node has no credentials of Autokey. */
  readonly autokey: Pick<AutokeySources, "answerSearch"> | undefined
}

const MOST_EVENTS = 64
/** Answers; a search is one request, and searches are minutes apart. */
const RATE = { burst: 20, perSecond: 20 }
const MAXSTRAT = 16

/** Seals an answer's header, from an address of ours; undefined where it would be too long. */
type AnswerSeal = (header: Uint8Array, own: string) => Uint8Array | undefined

export class ManycastAnswers {
  private readonly configuration: AnsweringConfiguration
  private readonly surroundings: ManycastAnswersSurroundings
  private readonly sockets: UdpClientSocket[] = []
  private readonly answers: TokenBucket
  private hasStopped = false

  constructor(configuration: AnsweringConfiguration, surroundings: ManycastAnswersSurroundings) {
    this.configuration = configuration
    this.surroundings = surroundings
    this.answers = new TokenBucket(RATE, surroundings.moment().monotonic)
  }

  start(): void {
    for (const group of this.configuration.groups) void this.listen(group)
  }

  stop(): void {
    this.hasStopped = true
    for (const socket of this.sockets) socket.close()
  }

  private async listen(group: string): Promise<void> {
    const { serving, warn } = this.surroundings
    const through = ownNetworks(serving).map(({ address }) => address)
    try {
      const local = { address: group, port: this.configuration.port }
      const socket = await openUdpClient({ local, hears: { through } })
      this.sockets.push(socket)
      if (this.hasStopped) return socket.close()
      socket.onReadable(() => {
        for (let taken = 0; taken < MOST_EVENTS; taken += 1) {
          const event = socket.receive()
          if (event === undefined) return
          if (event._tag === "Datagram") void this.answer(event.bytes, event.from, group, event.arrival)
        }
      })
    } catch (error) {
      if (!(error instanceof UdpClientError)) throw error
      warn(`no client is heard at ${group}: ${error.message}`)
    }
  }

  /** Never rejects. */
  private async answer(packet: Uint8Array, from: Endpoint, group: string, arrival: UnixTime): Promise<void> {
    const header = decodeHeader(packet)
    if ("_tag" in header || header.mode !== Mode.client) return
    if (header.version < LOWEST_VERSION || header.version > HIGHEST_VERSION) return
    if (!this.isAdmitted(packet, from) || !this.mayHelp(header)) return
    const seal = this.autokeySeal(packet, from, group) ?? this.keyedSeal(packet, header.version)
    if (seal === undefined || !this.answers.take(this.surroundings.moment().monotonic)) return
    const receive = this.surroundings.served(arrival)
    try {
      const address = await addressTowards(from)
      if (address === undefined || this.hasStopped) return
      const local = { address, port: this.configuration.port }
      const socket = await openUdpClient({ remote: from, local })
      const bytes = seal(this.reply(header, receive), address)
      if (bytes !== undefined) socket.send(bytes)
      socket.close()
    } catch (error) {
      if (!(error instanceof UdpClientError)) throw error
      this.surroundings.warn(`a client that looks for servers is not answered: ${error.message}`)
    }
  }

  private isAdmitted(packet: Uint8Array, { address, port }: Endpoint): boolean {
    const admission = this.surroundings.admission()
    if (admission === undefined) return true
    const addresses = new Uint8Array(SOURCE_STRIDE)
    writeSocketAddress(addresses, 0, address, port)
    const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
    const family = address.includes(":") ? 6 : 4
    const batch = { bytes: packet, view, family, addresses, localAddresses: new Uint8Array(16) } as const
    admission.begin(batch, this.surroundings.moment().monotonic)
    return admission.judge(0, packet[0] ?? 0, packet.length) === undefined
  }

  /** Whether there is a time to give, and the client has none that is as good. */
  private mayHelp({ stratum: theirs }: NtpHeader): boolean {
    const { stratum, leap } = this.surroundings.system()
    if (stratum === 0 || leap === Leap.unsynchronised) return false
    return stratum <= (theirs === 0 ? MAXSTRAT : theirs)
  }

  /** An answer with an association message: as long as the request, but for the two hosts' names. */
  private autokeySeal(packet: Uint8Array, from: Endpoint, group: string): AnswerSeal | undefined {
    const { autokey } = this.surroundings
    if (autokey === undefined || !this.configuration.autokey) return undefined
    return autokey.answerSearch(packet, from.address, group)
  }

  private keyedSeal(packet: Uint8Array, version: number): AnswerSeal | undefined {
    const authentication = this.authenticationOf(packet, version)
    return (
      authentication &&
      ((header) => {
        const sealed = authentication.seal(header, () => {})
        // Never longer than what was asked.
        return sealed._tag === "Sealed" && sealed.bytes.length <= packet.length ? sealed.bytes : undefined
      })
    )
  }

  private authenticationOf(packet: Uint8Array, version: number): AssociationAuthentication | undefined {
    const { macs } = this.surroundings
    const { authenticated, keys } = this.configuration
    const proof = proofOf(packet, version, macs, keys)
    if (proof === "none") return authenticated ? undefined : unauthenticated
    return typeof proof === "string" ? undefined : proof.authentication
  }

  private reply({ version, poll, transmit }: NtpHeader, receive: NtpTimestamp): Uint8Array {
    const { system, moment, precision } = this.surroundings
    const ours = { version, mode: Mode.server, poll, precision }
    return headerOf(system(), { ...ours, origin: transmit, receive, transmit: moment().wall })
  }
}
