/** Pools of requests that are made before the measurement, and the sample of replies that is checked after it. */
import { randomFillSync } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** What generator/udpload.c sends from. */
export interface RequestPool {
  readonly kind: "keyed" | "mssntp" | "nts"
  readonly file: string
  /** Bytes of each request. */
  readonly requestBytes: number
  /** The IPv4 address that its requests are keyed to; absent: any will do. */
  readonly from?: string
  /**
   * Checks what the generator cannot: that replies were made by who holds the keys.
   * @throws Error that names the first wrong reply
   */
  readonly verify: (replies: readonly SampledReply[]) => void
}

export interface SampledReply {
  /** Which request of the pool it answers. */
  readonly index: number
  readonly packet: Uint8Array
}

/**
 * Requests in a pool, a power of two. At half a million a second it takes an eighth of a second until one is sent again:
 * far longer than any server takes to answer it.
 */
export const POOL_REQUESTS = 65_536

export const HEADER_BYTES = 48
const AT_TRANSMIT = 40
const VERSION_4_CLIENT = 0x23
const POLL = 6

/**
 * Writes a pool file.
 * @param requestBytes the length of every request
 * @param complete adds what follows the header, which is written: its transmit timestamp holds the index and 32 random bits
 */
export const writePool = (
  folder: string,
  name: string,
  requestBytes: number,
  complete: (request: Uint8Array, index: number) => void
): string => {
  const file = join(folder, `${name}.pool`)
  const bytes = Buffer.alloc(8 + POOL_REQUESTS * requestBytes)
  bytes.writeUInt32BE(POOL_REQUESTS, 0)
  bytes.writeUInt32BE(requestBytes, 4)
  for (let index = 0; index < POOL_REQUESTS; index++) {
    const request = bytes.subarray(8 + index * requestBytes, 8 + (index + 1) * requestBytes)
    request[0] = VERSION_4_CLIENT
    request[2] = POLL
    request.writeUInt32BE(index, AT_TRANSMIT)
    randomFillSync(request, AT_TRANSMIT + 4, 4)
    complete(request, index)
  }
  writeFileSync(file, bytes, { mode: 0o600 })
  return file
}

/** Reads what the generator recorded. */
export const readSample = (file: string): readonly SampledReply[] => {
  const bytes = readFileSync(file)
  const replies: SampledReply[] = []
  for (let at = 0; at + 8 <= bytes.length;) {
    const end = at + 8 + bytes.readUInt32BE(at + 4)
    replies.push({ index: bytes.readUInt32BE(at), packet: new Uint8Array(bytes.subarray(at + 8, end)) })
    at = end
  }
  return replies
}
