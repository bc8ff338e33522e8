/** Packets to and from sources with NTS, counted as NTPsec's `nts` screen counts them. */
import type { AssociationAction, DropReason } from "@meridian/protocol/associations"

/** Drops of packets whose NTS fields were looked at and did not prove anything. */
const UNSEALED: ReadonlySet<DropReason> = new Set([
  "malformed",
  "not-authenticated",
  "forged",
  "wrong-identifier",
  "nts-nak"
])

/** Drops of packets whose seal opened. */
const SEALED: ReadonlySet<DropReason> = new Set([
  "zero-timestamp",
  "kiss",
  "unsynchronised",
  "reference-time",
  "root-distance",
  "server-timestamps",
  "local-timestamps",
  "negative-delay",
  "sent-ahead",
  "measured-already"
])

export class NtsCounts {
  sent = 0
  good = 0
  bad = 0

  /** A packet that echoes a request of ours is good when its seal opens, whatever it says, and bad when it does not. */
  note(action: AssociationAction): void {
    if (action._tag === "Send") this.sent += 1
    if (action._tag === "Sample") this.good += 1
    if (action._tag !== "Drop") return
    if (UNSEALED.has(action.reason)) this.bad += 1
    else if (SEALED.has(action.reason)) this.good += 1
  }
}
