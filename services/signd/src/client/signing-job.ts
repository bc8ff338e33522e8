/** One request of a Windows client on its way through the signing process: taken in, handed to signd, sent on. */
import type { RequestBatch } from "@meridian/protocol"
import { ADDRESS_STRIDE, LOCAL_ADDRESS_STRIDE } from "@meridian/udp/udp"
import { MS_SNTP_BYTES, MsSntpOffset } from "@meridian/wire/ms-sntp"

/** What became of a request. `signed` alone is answered. */
export const signingOutcomes = [
  "signed",
  /** signd knows no such account, or does not sign for it */
  "refused",
  /** the same, lately: it was not asked again */
  "refused-before",
  /** signd closed the connection on it, twice: what Samba does for accounts that are no machines */
  "closed-on",
  /** no answer came in time */
  "late",
  /** as many were waiting as may */
  "queue-full",
  /** nobody could be reached on the socket */
  "signd-away",
  /** what came back is no signature of what was sent */
  "wrong-answer"
] as const
export type SigningOutcome = (typeof signingOutcomes)[number]

/** Memory for a request, used over and over. To a server it is a batch of one. */
export class SigningJob implements RequestBatch {
  /** As it came. */
  readonly request = new Uint8Array(MS_SNTP_BYTES)
  private readonly requestView = new DataView(this.request.buffer)
  /** The reply: made of the request each time that it is handed to signd, and signed when it comes back. */
  readonly bytes = new Uint8Array(MS_SNTP_BYTES)
  readonly view = new DataView(this.bytes.buffer)
  family: 4 | 6 = 4
  /** The sender's sockaddr. */
  readonly addresses = new Uint8Array(ADDRESS_STRIDE)
  /** The address of ours that was asked. */
  readonly localAddresses = new Uint8Array(LOCAL_ADDRESS_STRIDE)
  /** Which of the process's UDP sockets it came to. */
  socket = 0
  /** When it arrived, an NTP timestamp of served time. */
  arrivalSeconds = 0
  arrivalFraction = 0
  /** performance.now() when it was taken in. */
  since = 0
  /** How often a connection was closed on it. */
  closedOn = 0

  get keyId(): number {
    return this.requestView.getUint32(MsSntpOffset.keyId, true)
  }
}
