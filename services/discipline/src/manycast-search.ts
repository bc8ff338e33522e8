/**
 * Looks for servers at a multicast group (RFC 5905 §3.1, manycast): one request to all, under the line's key, and the addresses
 * of those that answer it with a time. Each search goes further than the one before, up to the line's hops.
 */
import { randomFillSync } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import type { SymmetricMacs } from "@meridian/auth/mac"
import type { ServingEndpoint } from "@meridian/ipc/discipline-report"
import { symmetricKey, unauthenticated } from "@meridian/protocol/association-authentication"
import { clientRequest } from "@meridian/protocol/sntp-client"
import type { NtpTimestamp } from "@meridian/time/timestamp"
import type { UdpClientSocket } from "@meridian/udp/udp-client"
import { openUdpClient } from "@meridian/udp/udp-client-open"
import { decodeHeader, Mode } from "@meridian/wire/ntp"
import { addressTowardsMany } from "./many-addresses.ts"

/** How long answers are waited for. */
const PATIENCE_MS = 2_000
const MOST_ANSWERS = 64
/** Hops of the first search; each later one goes so many times further. */
const NEAREST = 1
const FURTHER = 4
const MAXSTRAT = 16

export interface Sought {
  readonly group: string
  readonly port: number
  readonly keyId: number | null
  readonly hops: number
  readonly version: number
}

export class ManycastSearch {
  private readonly macs: SymmetricMacs
  private readonly serving: readonly ServingEndpoint[]
  private readonly reached = new Map<string, number>()

  constructor(macs: SymmetricMacs, serving: readonly ServingEndpoint[]) {
    this.macs = macs
    this.serving = serving
  }

  /** Addresses of servers, the quickest first. Rejects with UdpClientError where nothing can be asked. */
  async search({ group, port, keyId, hops, version }: Sought): Promise<readonly string[]> {
    const reach = Math.min(hops, this.reached.get(group) ?? NEAREST)
    this.reached.set(group, reach * FURTHER)
    const from = await addressTowardsMany(group, this.serving)
    if (from === undefined) return []
    const nonce = new BigUint64Array(1)
    randomFillSync(nonce)
    const authentication = keyId === null ? unauthenticated : symmetricKey(this.macs, keyId)
    const sealed = authentication.seal(clientRequest(version, nonce[0] as NtpTimestamp), () => {})
    if (sealed._tag !== "Sealed") return []
    const socket = await openUdpClient({ local: { address: from, port: 0 }, tells: { hops: reach } })
    try {
      socket.send(sealed.bytes, { address: group, port })
      await sleep(PATIENCE_MS)
      return answersOf(socket, nonce[0]!, (packet) => authentication.judge(packet) === "authentic")
    } finally {
      socket.close()
    }
  }
}

const answersOf = (socket: UdpClientSocket, nonce: bigint, isAuthentic: (packet: Uint8Array) => boolean) => {
  const found = new Set<string>()
  for (let taken = 0; taken < MOST_ANSWERS; taken += 1) {
    const event = socket.receive()
    if (event === undefined) break
    if (event._tag !== "Datagram") continue
    const header = decodeHeader(event.bytes)
    if ("_tag" in header || header.mode !== Mode.server || header.origin !== nonce) continue
    const hasTime = header.leap !== 3 && header.stratum > 0 && header.stratum < MAXSTRAT
    if (hasTime && isAuthentic(event.bytes)) found.add(event.from.address)
  }
  return [...found]
}
