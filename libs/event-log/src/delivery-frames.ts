/**
 * A short way for the messages of a replay, past the client's parser, which takes every byte through the states of the
 * protocol and makes six objects a message. Here what comes from the socket is walked frame by frame: a delivery to a
 * subscription of ours that lies whole in its chunk is handed on as it is. All else (other subscriptions, heartbeats, pings,
 * errors, frames torn between two chunks, whatever looks odd) goes to the client, byte for byte and in order. So nothing is
 * decided here but speed: what the protocol is, and what breaks it, the client alone says.
 *
 * It stands on two things inside the client: where a connection keeps its parser, and the parser's state. Where they are
 * not as expected, every message goes the long way, and a test fails.
 */
import type { NatsConnection } from "@nats-io/nats-core"
import { type NatsConnectionImpl, Parser, State } from "@nats-io/nats-core/internal"
import { type Delivery, readDelivery, wholeNumber } from "./delivery.ts"

/** Whose deliveries to take, and what is done with them. */
export interface Taker {
  /** The subscription's number. */
  readonly sid: number
  /** Called in the order of the connection, among the client's own calls. Must not throw. */
  readonly take: (delivery: Delivery, subject: string, body: string) => void
}

/** Has deliveries come the short way until the function returned is called or the connection breaks. */
export const takeDeliveries = (connection: NatsConnection, taker: Taker): (() => void) => {
  const parser: unknown = (connection as Partial<NatsConnectionImpl>).protocol?.parser
  if (!(parser instanceof Parser)) return () => {}
  const takers = takersOf.get(parser) ?? new Map<number, Taker>()
  if (!takersOf.has(parser)) {
    takersOf.set(parser, takers)
    parser.parse = shortcut(parser, takers)
  }
  takers.set(taker.sid, taker)
  return () => void takers.delete(taker.sid)
}

/** A parser lives as long as one socket. */
const takersOf = new WeakMap<Parser, Map<number, Taker>>()

/** Reads what comes from a socket: the takers' deliveries itself, everything else by `client`. */
export const shortcut = (client: Parser, takers: ReadonlyMap<number, Taker>): ((chunk: Uint8Array) => void) => {
  const parse = client.parse.bind(client)
  const frame = new Frame()
  return (bytes) => {
    if (takers.size === 0) return parse(bytes)
    const chunk = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let at = 0
    // What the client has begun, it ends: at some line feed, as every operation does.
    while (client.state !== State.OP_START && at < chunk.length) {
      const end = chunk.indexOf(LINE_FEED, at) + 1 || chunk.length
      parse(chunk.subarray(at, end))
      at = end
    }
    let left = at
    while (frame.read(chunk, at)) {
      const taker = takers.get(frame.sid)
      const delivery = taker === undefined ? undefined : readDelivery(chunk, frame.reply, frame.replyEnd)
      if (taker !== undefined && delivery !== undefined) {
        if (left < at) parse(chunk.subarray(left, at))
        left = at
        // Then it saw something else in those bytes than we did, and is right.
        if (client.state !== State.OP_START) break
        left = frame.end
        taker.take(delivery, frame.subject(chunk), textOf(chunk, frame.body, frame.bodyEnd))
      }
      at = frame.end
    }
    if (left < chunk.length) parse(chunk.subarray(left))
  }
}

const BOM_START = 0xef
const LINE_FEED = 10
const CARRIAGE_RETURN = 13
const SPACE = 32
const [H, M, S, G] = [72, 77, 83, 71]
/** Of the subscription of an operation that has none. */
const NOBODY = -1

const decoder = new TextDecoder()

/** The text of some bytes as TextDecoder has it, in half the time. */
export const textOf = (bytes: Buffer, from = 0, to = bytes.length): string =>
  bytes[from] === BOM_START ? decoder.decode(bytes.subarray(from, to)) : bytes.toString("utf8", from, to)

/** Where the parts of an operation lie in a chunk. One object for all of them, one after the other. */
class Frame {
  sid = NOBODY
  /** The reply subject, empty where there is none. */
  reply = 0
  replyEnd = 0
  body = 0
  bodyEnd = 0
  /** Where the next operation begins. */
  end = 0
  #subject = 0
  #subjectEnd = 0
  /** The last subject that was asked for; mostly the next one's too. */
  #bytes = Buffer.alloc(0)
  #text = ""

  /**
   * Reads `MSG subject sid [reply] size` or `HMSG subject sid [reply] headers size` with the payload that follows, as
   * servers write them, and anything else as a line. False where the chunk ends before it does, or it is not so written.
   */
  read(chunk: Buffer, at: number): boolean {
    const headers = chunk[at] === H ? 1 : 0
    const name = at + headers
    this.sid = NOBODY
    if (chunk[name] !== M || chunk[name + 1] !== S || chunk[name + 2] !== G || chunk[name + 3] !== SPACE) {
      this.end = chunk.indexOf(LINE_FEED, at) + 1
      return this.end !== 0
    }
    this.#subject = name + 4
    this.#subjectEnd = tokenEnd(chunk, this.#subject)
    const sid = this.#subjectEnd + 1
    const sidEnd = tokenEnd(chunk, sid)
    if (chunk[this.#subjectEnd] !== SPACE || chunk[sidEnd] !== SPACE) return false
    const first = tokenEnd(chunk, sidEnd + 1)
    const second = chunk[first] === SPACE ? tokenEnd(chunk, first + 1) : first
    const third = chunk[second] === SPACE ? tokenEnd(chunk, second + 1) : second
    if (chunk[third] !== CARRIAGE_RETURN || chunk[third + 1] !== LINE_FEED) return false
    const tokens = (first < second ? 1 : 0) + (second < third ? 1 : 0)
    if (tokens !== headers && tokens !== headers + 1) return false
    this.reply = sidEnd + 1
    this.replyEnd = tokens === headers ? this.reply : first
    const last = (tokens === 0 ? sidEnd : tokens === 1 ? first : second) + 1
    const size = wholeNumber(chunk, last, third)
    const headerSize = headers === 0 ? 0 : wholeNumber(chunk, (tokens === 1 ? sidEnd : first) + 1, last - 1)
    if (headerSize < 0 || size < headerSize || size > chunk.length) return false
    this.body = third + 2 + headerSize
    this.bodyEnd = third + 2 + size
    this.end = this.bodyEnd + 2
    this.sid = wholeNumber(chunk, sid, sidEnd)
    return chunk[this.bodyEnd] === CARRIAGE_RETURN && chunk[this.bodyEnd + 1] === LINE_FEED
  }

  subject(chunk: Buffer): string {
    const from = this.#subject
    const length = this.#subjectEnd - from
    let same = length === this.#bytes.length
    for (let at = 0; same && at < length; at++) same = chunk[from + at] === this.#bytes[at]
    if (!same) {
      this.#bytes = Buffer.from(chunk.subarray(from, from + length))
      this.#text = this.#bytes.toString()
    }
    return this.#text
  }
}

/** Where a token ends: at the first blank, line end, or end of the chunk. */
const tokenEnd = (chunk: Buffer, from: number): number => {
  let at = from
  while ((chunk[at] as number) > SPACE) at += 1
  return at
}
