/**
 * One question, one answer: the client's side of a plain exchange (RFC 5905 §8, RFC 4330), for tools. Long-lived
 * associations have a machine of their own.
 */
import { differenceSeconds, type NtpTimestamp } from "@meridian/time/timestamp"
import { shortToSeconds } from "@meridian/time/short"
import { decodeHeader, encodeHeader, HEADER_BYTES, Mode, type NtpHeader } from "@meridian/wire/ntp"
import { formatReferenceId, referenceIdText } from "@meridian/wire/reference-id"

const NONE = 0n as NtpTimestamp

/**
 * A client request that tells nothing about the client: every field but version and mode is zero, and the transmit
 * timestamp is random, to be recognised in the reply's origin (draft-ietf-ntp-data-minimization).
 * @param nonce 64 random bits
 */
export const clientRequest = (version: number, nonce: NtpTimestamp): Uint8Array<ArrayBuffer> =>
  encodeHeader({
    leap: 0,
    version,
    mode: Mode.client,
    stratum: 0,
    poll: 0,
    precision: 0x20,
    rootDelay: 0,
    rootDispersion: 0,
    referenceId: 0,
    reference: NONE,
    origin: NONE,
    receive: NONE,
    transmit: nonce
  })

/** What one exchange says about the server's clock. Seconds throughout. */
export interface Measurement {
  readonly offset: number
  readonly delay: number
  readonly stratum: number
  readonly leap: number
  readonly referenceId: string
  readonly precision: number
  readonly rootDelay: number
  readonly rootDispersion: number
  /** (root delay + delay) / 2 + root dispersion: how far the server's time may be from its primary source's, as seen from here. */
  readonly rootDistance: number
  /** whether the server says that its clock is set */
  readonly synchronised: boolean
}

/** A reply that measures nothing, and why. */
export class ReplyRefused {
  readonly _tag = "ReplyRefused"
  readonly reason: "short" | "mode" | "version" | "origin" | "kiss"
  readonly message: string
  constructor(reason: ReplyRefused["reason"], message: string) {
    this.reason = reason
    this.message = message
  }
}

const refusal = (reply: NtpHeader, length: number, version: number, nonce: NtpTimestamp): ReplyRefused | undefined => {
  if (length < HEADER_BYTES) return new ReplyRefused("short", `expected ${HEADER_BYTES} bytes, found ${length}`)
  if (reply.mode !== Mode.server)
    return new ReplyRefused("mode", `expected a server's reply (mode 4), found mode ${reply.mode}`)
  if (reply.version !== version)
    return new ReplyRefused("version", `expected version ${version} as asked, found ${reply.version}`)
  if (reply.origin !== nonce)
    return new ReplyRefused("origin", "the reply's origin timestamp is not the one that was sent")
  const kiss = reply.stratum === 0 && reply.leap === 3 ? referenceIdText(reply.referenceId) : undefined
  if (kiss === "RATE" || kiss === "DENY" || kiss === "RSTR")
    return new ReplyRefused("kiss", `the server sent a kiss-o'-death: ${kiss}`)
  return undefined
}

/**
 * Reads the reply to {@link clientRequest}.
 * @param sent when the request left, by the local clock
 * @param arrived when the reply came in, by the local clock
 */
export const measure = (
  bytes: Uint8Array,
  version: number,
  nonce: NtpTimestamp,
  sent: NtpTimestamp,
  arrived: NtpTimestamp
): Measurement | ReplyRefused => {
  const reply = decodeHeader(bytes)
  if ("_tag" in reply) return new ReplyRefused("short", reply.message)
  const refused = refusal(reply, bytes.length, version, nonce)
  if (refused !== undefined) return refused
  const outward = differenceSeconds(reply.receive, sent)
  const homeward = differenceSeconds(reply.transmit, arrived)
  const delay = Math.max(differenceSeconds(arrived, sent) - differenceSeconds(reply.transmit, reply.receive), 0)
  const rootDelay = shortToSeconds(reply.rootDelay)
  const rootDispersion = shortToSeconds(reply.rootDispersion)
  return {
    offset: (outward + homeward) / 2,
    delay,
    stratum: reply.stratum,
    leap: reply.leap,
    referenceId: formatReferenceId(reply.referenceId, reply.stratum),
    precision: reply.precision,
    rootDelay,
    rootDispersion,
    rootDistance: (rootDelay + delay) / 2 + rootDispersion,
    synchronised: reply.leap !== 3 && reply.stratum > 0 && reply.stratum < 16
  }
}
