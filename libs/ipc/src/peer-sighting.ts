/**
 * A symmetric active peer that no line names, as a worker saw and answered it: on its way to the clock's process, which may
 * take it as a passive peer (docs/adr/007).
 */
import { isIP } from "node:net"
import { isRecord } from "./message.ts"

export interface PeerSighting {
  /** Numeric, in the one way in which addresses are compared. */
  readonly address: string
  readonly port: number
  /** The address of ours that it sent to; null where it is not known. */
  readonly localAddress: string | null
  readonly localPort: number
  /** The trusted key that its packet verified under. */
  readonly keyId: number
  /** 1 … 4 */
  readonly version: number
  /** As in its packet, log2 seconds; -128 … 127. */
  readonly poll: number
}

/** A process's sightings since its last message, one an address; at most one message a second. */
export interface PeersSeen {
  readonly type: "peers-seen"
  readonly peers: readonly PeerSighting[]
  /** Packets of peers for whom there was no room. */
  readonly overlooked: number
}

/** Peers of one message at most. */
export const MOST_SIGHTINGS = 64

const isWhole = (value: unknown, least: number, most: number): boolean =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= most

const isAddress = (value: unknown): boolean => typeof value === "string" && isIP(value) !== 0

const isSighting = (value: unknown): value is PeerSighting =>
  isRecord(value) &&
  isAddress(value["address"]) &&
  (value["localAddress"] === null || isAddress(value["localAddress"])) &&
  isWhole(value["port"], 1, 65_535) &&
  isWhole(value["localPort"], 1, 65_535) &&
  isWhole(value["keyId"], 1, 65_535) &&
  isWhole(value["version"], 1, 4) &&
  isWhole(value["poll"], -128, 127)

/** Reads the message; undefined when it is another or not what it should be. */
export const parsePeersSeen = (message: unknown): PeersSeen | undefined => {
  if (!isRecord(message) || message["type"] !== "peers-seen") return undefined
  const { peers, overlooked } = message
  const isGood =
    Array.isArray(peers) &&
    peers.length <= MOST_SIGHTINGS &&
    peers.every(isSighting) &&
    isWhole(overlooked, 0, Number.MAX_SAFE_INTEGER)
  return isGood ? { type: "peers-seen", peers, overlooked: overlooked as number } : undefined
}
