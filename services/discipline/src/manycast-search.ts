/**
 * Looks for servers at a multicast group (RFC 5905 §3.1, manycast): one request to all, under the line's key, and the addresses
 * of those that answer it with a time. Each search goes further than the one before, up to the line's hops.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { SymmetricMacs } from "@meridian/auth/mac"
import type { ServingEndpoint } from "@meridian/ipc/discipline-report"
import { symmetricKey, unauthenticated } from "@meridian/protocol/associations"
import { clientRequest } from "@meridian/protocol/sntp-client"
import * as onUse from "@meridian/system/on-use"
import type { NtpTimestamp } from "@meridian/time/timestamp"
import { type UdpClientSocket, openUdpClient } from "@meridian/udp/client"
import { decodeHeader, Mode } from "@meridian/wire/ntp"
import type { AutokeySources } from "./autokey-sources.ts"
import { addressTowardsMany } from "./many-addresses.ts"

/** How long answers are waited for. */
const PATIENCE_MS = 2_000
const MOST_ANSWERS = 64
/** Hops of the first search; each later one goes so many times further. */
const NEAREST = 1
const FURTHER = 4
const MAXSTRAT = 16

interface Sought {
  readonly group: string
  readonly port: number
  readonly keyId: number | null
  /** Whether servers are looked for by Autokey. */
  readonly autokey: boolean
  readonly hops: number
  readonly version: number
}

interface ManycastSearchSurroundings {
  readonly macs: SymmetricMacs
  readonly serving: readonly ServingEndpoint[]
  /** Undefined where this node has no credentials of Autokey. */
  readonly autokey: Pick<AutokeySources, "search"> | undefined
}

export class ManycastSearch {
  private readonly surroundings: ManycastSearchSurroundings
  private readonly reached = new Map<string, number>()

  constructor(surroundings: ManycastSearchSurroundings) {
    this.surroundings = surroundings
  }

  /** Addresses of servers, the quickest first. Rejects with UdpClientError where nothing can be asked. */
  async search(sought: Sought): Promise<readonly string[]> {
    const { group, port, hops, version } = sought
    const reach = Math.min(hops, this.reached.get(group) ?? NEAREST)
    this.reached.set(group, reach * FURTHER)
    const from = await addressTowardsMany(group, this.surroundings.serving)
    if (from === undefined) return []
    const nonce = new BigUint64Array(1)
    onUse.crypto().randomFillSync(nonce)
    const asking = this.sealed(sought, from, clientRequest(version, nonce[0] as NtpTimestamp))
    if (asking === undefined) return []
    const socket = await openUdpClient({ local: { address: from, port: 0 }, tells: { hops: reach } })
    try {
      socket.send(asking.bytes, { address: group, port })
      await sleep(PATIENCE_MS)
      return answersOf(socket, nonce[0]!, asking.isAnswer)
    } finally {
      socket.close()
    }
  }

  private sealed({ group, keyId, autokey: isAutokey }: Sought, from: string, header: Uint8Array): Asking | undefined {
    const { macs, autokey } = this.surroundings
    if (isAutokey) {
      const search = autokey?.search(group, from)
      if (search === undefined) return undefined
      return { bytes: search.seal(header), isAnswer: (packet, address) => search.isAnswer(packet, address) }
    }
    const authentication = keyId === null ? unauthenticated : symmetricKey(macs, keyId)
    const sealed = authentication.seal(header, () => {})
    if (sealed._tag !== "Sealed") return undefined
    return { bytes: sealed.bytes, isAnswer: (packet) => authentication.judge(packet) === "authentic" }
  }
}

/** A request to a group, and which packets from which addresses answer it. */
interface Asking {
  readonly bytes: Uint8Array
  readonly isAnswer: (packet: Uint8Array, address: string) => boolean
}

const answersOf = (socket: UdpClientSocket, nonce: bigint, isAnswer: Asking["isAnswer"]) => {
  const found = new Set<string>()
  for (let taken = 0; taken < MOST_ANSWERS; taken += 1) {
    const event = socket.receive()
    if (event === undefined) break
    if (event._tag !== "Datagram") continue
    const header = decodeHeader(event.bytes)
    if ("_tag" in header || header.mode !== Mode.server || header.origin !== nonce) continue
    const hasTime = header.leap !== 3 && header.stratum > 0 && header.stratum < MAXSTRAT
    if (hasTime && isAnswer(event.bytes, event.from.address)) found.add(event.from.address)
  }
  return [...found]
}
