/** Answers requests to sign (libs/wire's signd-frames.ts) as Samba does, by a table of accounts. Holds no connection. */
import type { AccountKeys, AccountTable } from "@meridian/auth/account-keys"
import { type DigestPort, MAXIMUM_DIGEST_BYTES } from "@meridian/auth/mac"
import { asksForPrevious, MS_SNTP_BYTES, MsSntpOffset, ridOf } from "@meridian/wire/ms-sntp"
import { HEADER_BYTES } from "@meridian/wire/ntp"
import {
  readSignRequest,
  SIGND_VERSION,
  signdAnswer,
  SigndOperation,
  type SignRequest
} from "@meridian/wire/signd-frames"

/** What became of a frame; all but the first two are refused, the last without an answer. */
const signOutcomes = [
  "signed",
  /** with the key before the current one, which was asked for */
  "signed-previous",
  "unknown-account",
  /** of the protocol, but never answered by Samba either: to be asked for a signature */
  "ask-server-to-sign",
  /** the same: to check one */
  "check-server-signature",
  "unknown-operation",
  "version",
  /** what is to be signed is no NTP header */
  "length",
  /** too short to hold a request at all */
  "short"
] as const
export type SignOutcome = (typeof signOutcomes)[number]

export class Signer {
  /** Replaced as a whole. */
  accounts: AccountTable
  private readonly digests: DigestPort
  private readonly digest = new Uint8Array(MAXIMUM_DIGEST_BYTES)
  private readonly reply = new Uint8Array(MS_SNTP_BYTES)
  private readonly replyView = new DataView(this.reply.buffer)
  private readonly counts = new Map<SignOutcome, number>(signOutcomes.map((outcome) => [outcome, 0]))

  constructor(accounts: AccountTable, digests: DigestPort) {
    this.accounts = accounts
    this.digests = digests
  }

  /** How often each outcome was, since the start. */
  get counters(): Readonly<Record<SignOutcome, number>> {
    return Object.fromEntries(this.counts) as Record<SignOutcome, number>
  }

  /** The answer to a frame, with its length before it; undefined for one that holds no request. */
  answer(frame: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    const request = readSignRequest(frame)
    const outcome = request === undefined ? "short" : this.sign(request)
    this.counts.set(outcome, this.counts.get(outcome)! + 1)
    if (request === undefined) return undefined
    const isSigned = outcome === "signed" || outcome === "signed-previous"
    return signdAnswer(request.packetId, isSigned ? this.reply : undefined)
  }

  private sign({ version, operation, keyId, packet }: SignRequest): SignOutcome {
    if (version !== SIGND_VERSION) return "version"
    if (operation === SigndOperation.askServerToSign) return "ask-server-to-sign"
    if (operation === SigndOperation.checkServerSignature) return "check-server-signature"
    if (operation !== SigndOperation.signToClient) return "unknown-operation"
    if (packet.length !== HEADER_BYTES) return "length"
    const keys = this.accounts.get(ridOf(keyId))
    if (keys === undefined) return "unknown-account"
    const previous = asksForPrevious(keyId) ? keys.previous : undefined
    this.writeReply(keys, previous, keyId, packet)
    return previous === undefined ? "signed" : "signed-previous"
  }

  private writeReply(
    { current }: AccountKeys,
    previous: Uint8Array | undefined,
    keyId: number,
    packet: Uint8Array
  ): void {
    this.digests.digest("MD5", previous ?? current, packet, 0, HEADER_BYTES, this.digest)
    this.reply.set(packet)
    this.replyView.setUint32(MsSntpOffset.keyId, keyId, true)
    this.reply.set(this.digest.subarray(0, MS_SNTP_BYTES - MsSntpOffset.checksum), MsSntpOffset.checksum)
  }
}
