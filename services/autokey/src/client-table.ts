/**
 * What is remembered of addresses that ask: how often they did, and the transmit timestamp of the last reply to each. A client that
 * echoes it got that reply, so the address is its own.
 */
import { Remembered, TokenBucket } from "@meridian/protocol/access/token-bucket"

/** A client needs five or six requests, one a poll interval: classic ntpd's shortest is 8 s, and a burst's 2 s. */
const RATE = { burst: 8, perSecond: 0.5 }

interface Client {
  readonly bucket: TokenBucket
  transmit: bigint
}

export class ClientTable {
  private readonly clients: Remembered<Client>

  constructor(most: number) {
    this.clients = new Remembered(most, (now) => ({ bucket: new TokenBucket(RATE, now), transmit: 0n }))
  }

  /** Whether an address may ask now; counts the request. @param now CLOCK_MONOTONIC, seconds */
  admits(address: string, now: number): boolean {
    return this.clients.of(address, now).bucket.take(now)
  }

  /** Whether a request's origin timestamp is the transmit timestamp of our last reply to that address. */
  isProved(address: string, origin: bigint): boolean {
    return origin !== 0n && this.clients.peek(address)?.transmit === origin
  }

  note(address: string, transmit: bigint): void {
    const client = this.clients.peek(address)
    if (client !== undefined) client.transmit = transmit
  }
}
