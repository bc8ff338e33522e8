/**
 * A symmetric active peer that no line names, as a worker saw and answered it: on its way to the clock's process, which may
 * take it as a passive peer (docs/adr/007).
 */
import { isIP } from "node:net"
import { count, list, nullable, record, rule, text, type TypeOf, whole, words } from "../channel/shape.ts"

const address = rule(text(2, 64), "a numeric address", (written) => isIP(written) !== 0)
const port = whole(1, 65_535)

const peerSighting = record({
  /** In the one way in which addresses are compared. */
  address,
  port,
  /** The address of ours that it sent to; null where it is not known. */
  localAddress: nullable(address),
  localPort: port,
  /** The trusted key that its packet verified under. */
  keyId: whole(1, 65_535),
  version: whole(1, 4),
  /** As in its packet, log2 seconds. */
  poll: whole(-128, 127)
})
export type PeerSighting = TypeOf<typeof peerSighting>

/** Peers of one message at most. */
export const MOST_SIGHTINGS = 64

/** A process's sightings since its last message, one an address; at most one message a second. */
export const peersSeen = record({
  type: words("peers-seen"),
  peers: list(peerSighting, MOST_SIGHTINGS),
  /** Packets of peers for whom there was no room. */
  overlooked: count
})
export type PeersSeen = TypeOf<typeof peersSeen>
