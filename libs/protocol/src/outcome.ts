/**
 * What became of a request. Every way a packet can go has one name and, in the worker, one counter under that name.
 * Outcomes are made once: the packet path compares and returns references and allocates nothing.
 */

/** A reply of `replyLength` bytes stands where the request stood. */
interface Respond {
  readonly _tag: "Respond"
  readonly reason: RespondReason
  readonly index: number
  /** The request proved who sent it, and the reply does the same. */
  readonly isAuthenticated: boolean
}

/** No reply; count it. */
export interface Ignore {
  readonly _tag: "Ignore"
  readonly reason: IgnoreReason
  readonly index: number
}

/** A reply that says no: no time, stratum 0 and a kiss code (RFC 5905 §7.4) as reference id. */
export interface Kiss extends Respond {
  readonly code: number
}

/** A request that an authenticator took in: {@link NtpServer.finish} decides it with the rest of its batch. Never counted. */
export interface Pending {
  readonly _tag: "Pending"
  readonly reason: "pending"
  readonly index: -1
}

export type Outcome = Respond | Ignore

export const respondReasons = [
  "served",
  "served-unsynchronised",
  /** under a symmetric key, with a MAC of the same key */
  "served-keyed",
  /** the same, to a symmetric active peer that has heard an earlier reply of ours: one that may be taken as a peer */
  "served-peer",
  /** NTS, authenticated and with fresh cookies */
  "served-nts",
  /** under an Autokey session key, with a MAC of the reply's own */
  "served-autokey",
  /** a bad MAC, answered with a crypto-NAK where that is configured */
  "crypto-nak-sent",
  /** an Autokey session key that does not verify, answered with a crypto-NAK: its cookie is older than the secrets here */
  "autokey-nak-sent",
  /** an NTS request whose cookie or tag does not verify, answered with the kiss NTSN */
  "nts-nak-sent",
  /** the kisses (RFC 5905 §7.4) of who asks too often, */
  "rate-kiss-sent",
  /** and of who may not ask, where the access list has it told so */
  "deny-kiss-sent",
  "rstr-kiss-sent"
] as const
type RespondReason = (typeof respondReasons)[number]
const authenticatedReasons: readonly RespondReason[] = ["served-keyed", "served-peer", "served-nts", "served-autokey"]

export const ignoreReasons = [
  /** fewer bytes than a header, zero included */
  "short",
  /** longer than any NTP packet this server reads */
  "long",
  /** version 0 or above 4 */
  "version",
  /** a mode that asks nothing of a server: server, passive, broadcast, or mode 0 of version 2 and later */
  "mode",
  /** a trailer that is neither extension fields nor a MAC */
  "malformed",
  /** four bytes after the header: the sender could not verify an earlier packet of ours, which we never sent unasked */
  "crypto-nak",
  /** a MAC under a key this server does not have */
  "unknown-key",
  /** a MAC under a key that no trustedkey names */
  "untrusted-key",
  /** a MAC that does not verify, or of a length its key cannot have */
  "bad-mac",
  /** an Autokey session key, and no secret here to verify it with */
  "autokey-no-secret",
  /** NTS extension fields that RFC 8915 does not allow */
  "nts-malformed",
  /** an NTS request where this server has no master keys */
  "nts-not-served",
  /** the node has just started and has no time yet: an answer without time would keep some clients away for an hour */
  "starting",
  /** an NTS request that failed when the second's kisses were spent */
  "nts-nak-limited",
  /** mode 6 or 7, and nothing here answers them */
  "control",
  /** the access list has everything from there ignored, or nobody can be there */
  "access-ignored",
  /** one of the packets that `restrict … flake` loses */
  "access-flaked",
  /** the access list serves no time there (`noserve`, `deny`), or answers no queries (`noquery`) */
  "access-refused",
  /** the access list serves version 4 alone there */
  "access-version",
  /** the access list serves those alone who prove who they are (`notrust`), and this one did not */
  "access-unproven",
  /** asked more often than its limit allows */
  "rate-limited",
  /** more came than could be answered, and this address was not known from before */
  "crowded-out"
] as const
type IgnoreReason = (typeof ignoreReasons)[number]

/** Every reason in the order of `Outcome.index`: the layout of the workers' counters. */
export const outcomeReasons: readonly string[] = [...respondReasons, ...ignoreReasons]

const responses = new Map(
  respondReasons.map((reason, index): [RespondReason, Respond] => [
    reason,
    Object.freeze({ _tag: "Respond", reason, index, isAuthenticated: authenticatedReasons.includes(reason) })
  ])
)
const refusals = new Map(
  ignoreReasons.map((reason, index): [IgnoreReason, Ignore] => [
    reason,
    Object.freeze({ _tag: "Ignore", reason, index: respondReasons.length + index })
  ])
)

/** The outcome that stands for a reason; the same object every time. */
export const respond = (reason: RespondReason): Respond => responses.get(reason) as Respond
export const ignore = (reason: IgnoreReason): Ignore => refusals.get(reason) as Ignore
/** @param code its four letters as a number */
export const kiss = (reason: RespondReason, code: number): Kiss => Object.freeze({ ...respond(reason), code })
export const pending: Pending = Object.freeze({ _tag: "Pending", reason: "pending", index: -1 })
