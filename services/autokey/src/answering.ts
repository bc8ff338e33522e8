/**
 * A batch of Autokey's requests: the access list is asked, each is read, its MAC checked, its sender's right to an answer weighed, and the answer written over
 * it. Signatures are what a flood would have us spend, and long answers what a liar about his address would have us send to
 * somebody else; both are bounded for all together, and requests for an address.
 */
import { type Responder, signaturesOf } from "@meridian/auth/autokey/responder"
import type { SecretRing } from "@meridian/auth/autokey/server-secret"
import { PUBLIC_COOKIE, type SessionKeys } from "@meridian/auth/autokey/session-key"
import {
  autokeyFieldLength,
  type AutokeyField,
  AutokeyOperation,
  decodeAutokeyPacket,
  writeAutokeyField
} from "@meridian/wire/autokey-fields"
import { HEADER_BYTES, Mode, modeOf, Offset, versionOf } from "@meridian/wire/ntp"
import { sourceAddressAt } from "@meridian/wire/source-address"
import { type Admission, LOCAL_ADDRESS_STRIDE, type NtpServer } from "@meridian/protocol"
import { moveTimestamp, unixSeconds } from "@meridian/time/timestamp"
import { NOW_MONOTONIC, NOW_UNIX, SLOT_BYTES, SLOT_STRIDE, type UdpSocket } from "@meridian/udp/udp"
import { ClientTable } from "./client-table.ts"
import { TokenBucket } from "@meridian/protocol/access/token-bucket"

/** Addresses remembered: about 20 MB. */
const MOST_CLIENTS = 65_536
/** RSA operations with a private key a second, for all clients together: about a third of a core with 2048 bits. */
export const SIGNATURES_PER_SECOND = 250
/** Answers a second that are longer than their requests and go to addresses that have proved nothing yet. */
export const UNPROVED_ANSWERS_PER_SECOND = 20

/** What Autokey's host gives; undefined as long as there are no credentials. */
export interface Answerer {
  readonly responder: Responder
  readonly keys: SessionKeys
  readonly secrets: SecretRing
}

const inEachSecond = (count: number, now: number): TokenBucket =>
  new TokenBucket({ burst: count, perSecond: count }, now)

export class Answering {
  answerer: Answerer | undefined
  /** Who may ask, and how often; undefined: everybody. */
  admission: Admission | undefined
  readonly outcomes: Record<string, number> = {}
  received = 0
  replied = 0
  private readonly server: NtpServer
  private readonly monotonic: () => number
  private readonly clients = new ClientTable(MOST_CLIENTS)
  private readonly signatures: TokenBucket
  private readonly unproved: TokenBucket

  /** @param server writes the headers; it has neither authenticators nor an access list */
  constructor(server: NtpServer, monotonic: () => number) {
    this.server = server
    this.monotonic = monotonic
    this.signatures = inEachSecond(SIGNATURES_PER_SECOND, monotonic())
    this.unproved = inEachSecond(UNPROVED_ANSWERS_PER_SECOND, monotonic())
  }

  /** Answers what waits, at most one batch. Returns the datagrams read. The clock page has been read. */
  serve(socket: UdpSocket): number {
    const count = socket.receive()
    if (count === 0) return 0
    const { now } = socket
    this.received += count
    this.admission?.begin(socket, now[NOW_MONOTONIC]!)
    this.server.beginBatch(socket, socket.served, now[NOW_UNIX]!, now[NOW_MONOTONIC]!)
    for (let slot = 0; slot < count; slot += 1) {
      socket.replyLengths[slot] = 0
      const outcome = this.answer(socket, slot)
      this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1
    }
    this.server.endBatch()
    this.replied += socket.send(count)
    return count
  }

  /** What became of a slot's packet; where it is answered, the reply stands in its place. */
  private answer(socket: UdpSocket, slot: number): string {
    const length = socket.requestLengths[slot]!
    const flags = length === 0 ? 0 : socket.bytes[slot * SLOT_STRIDE + Offset.flags]!
    // Before anything is spent on it. A kiss is silence here: it could carry no proof, and these requests are few.
    const refusal = this.admission?.judge(slot, flags, length)
    if (refusal !== undefined) return unkissed[refusal.reason] ?? refusal.reason
    if (length > SLOT_BYTES) return "long"
    const { answerer } = this
    if (answerer === undefined) return "no-credentials"
    const offset = slot * SLOT_STRIDE
    const bytes = socket.bytes.subarray(offset, offset + length)
    const packet = decodeAutokeyPacket(bytes)
    if (typeof packet === "string") return `malformed-${packet}`
    if (modeOf(flags) !== Mode.client || versionOf(flags) < 3) return "mode"
    const [request, ...more] = packet.fields
    if (request === undefined || more.length > 0 || request.isResponse || request.isError) return "no-request"
    const pair = addressesOf(socket, slot)
    if (pair === undefined) return "no-local-address"
    if (!answerer.keys.verify(bytes, packet.macOffset, pair, PUBLIC_COOKIE)) return "bad-mac"
    this.admission?.judgeProof(slot, true)
    const now = this.monotonic()
    const address = pair.source.toHex()
    if (!this.clients.admits(address, now)) return "limited-address"
    const origin = socket.view.getBigUint64(offset + Offset.origin)
    if (answersAreLonger(request) && !this.clients.isProved(address, origin) && !this.unproved.take(now))
      return "limited-unproved"
    if (!this.signatures.take(now, signaturesOf(request))) return "limited-signatures"
    return this.reply(socket, slot, request, packet.keyId, pair, answerer)
  }

  private reply(
    socket: UdpSocket,
    slot: number,
    request: AutokeyField,
    keyId: number,
    pair: Pair,
    { responder, keys, secrets }: Answerer
  ): string {
    const { view, now } = socket
    const offset = slot * SLOT_STRIDE
    const header = this.server.handle(
      slot,
      offset,
      HEADER_BYTES,
      socket.arrivalSeconds[slot]!,
      socket.arrivalFractions[slot]!
    )
    if (header._tag !== "Respond") return `header-${header.reason}`
    secrets.useAt(now[NOW_UNIX]!)
    const isSynchronised = header.reason === "served" && secrets.current !== undefined
    const answer = responder.answer(request, {
      cookie: secrets.current === undefined ? 0 : keys.cookie(pair, secrets.current),
      now: isSynchronised ? unixSeconds(view.getUint32(offset + Offset.transmit), now[NOW_UNIX]!) : undefined
    })
    if (answer.field === undefined) return answer.reason
    const end = HEADER_BYTES + autokeyFieldLength(answer.field)
    if (end + keys.macBytes > SLOT_BYTES) return "too-long-to-answer"
    const reply = socket.bytes.subarray(offset, offset + SLOT_BYTES)
    writeAutokeyField(reply, HEADER_BYTES, answer.field)
    moveTimestamp(view, offset + Offset.transmit, now[NOW_MONOTONIC]!, this.monotonic())
    const back = { source: pair.destination, destination: pair.source }
    socket.replyLengths[slot] = keys.append(reply, end, back, keyId, PUBLIC_COOKIE)
    this.clients.note(pair.source.toHex(), view.getBigUint64(offset + Offset.transmit))
    return answer.reason
  }
}

/** What a kiss that is not sent is: its sender was refused as all the others were. */
const unkissed: Readonly<Record<string, string>> = {
  "rate-kiss-sent": "rate-limited",
  "deny-kiss-sent": "access-refused",
  "rstr-kiss-sent": "access-refused"
}

interface Pair {
  readonly source: Uint8Array
  readonly destination: Uint8Array
}

/** Association messages are of one length but for the names, and errors are shorter than any request. */
const answersAreLonger = ({ operation }: AutokeyField): boolean =>
  operation !== AutokeyOperation.association && operation !== AutokeyOperation.null

/** The sender's address and ours, copied out; undefined where the kernel did not say which of ours was asked. */
const addressesOf = ({ family, addresses, localAddresses }: UdpSocket, slot: number): Pair | undefined => {
  const length = family === 4 ? 4 : 16
  const at = sourceAddressAt(slot, family)
  const source = addresses.slice(at, at + length)
  const local = slot * LOCAL_ADDRESS_STRIDE
  const destination = localAddresses.slice(local, local + length)
  return destination.every((byte) => byte === 0) ? undefined : { source, destination }
}
