/** The selection field of a peer's status word (RFC 9327 §3.2 table 5), which mode 6 shows and lines of peerstats bear. */

/** By what selection calls it; all else is rejected, 0. */
const SELECTIONS: Readonly<Record<string, number>> = {
  falseticker: 1,
  excess: 2,
  outlier: 3,
  candidate: 4,
  backup: 5,
  "system-peer": 6
}
const PULSE_PEER = 7

/** @param verdict undefined while there is none @param isPulse whether the source tells the second alone */
export const peerSelection = (verdict: string | undefined, isPulse: boolean): number =>
  isPulse && verdict === "system-peer" ? PULSE_PEER : (SELECTIONS[verdict ?? ""] ?? 0)
