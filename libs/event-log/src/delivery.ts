/** What the reply subject of a message says of its delivery by a consumer. */

export interface Delivery {
  readonly seq: number
  /** Counts the consumer's deliveries, from 1. */
  readonly number: number
  /** Messages of the consumer still to come. */
  readonly pending: number
}

const DOT = 46
const DIGIT_0 = 48
const DIGIT_9 = 57
const PREFIX = new TextEncoder().encode("$JS.ACK.")
const SHORT_DOTS = 8
const LONG_DOTS = 10

/** Where each token but the first begins. Written anew by each call: an array a message would be a tenth of its cost. */
const starts = new Int32Array(LONG_DOTS + 2)

/**
 * Reads `$JS.ACK.stream.consumer.times.SEQ.NUMBER.time.PENDING`, or the longer form with domain and account before the
 * stream and perhaps something after the end, from `bytes` between two places; undefined where it is neither. From bytes
 * and by hand, because it is done for every message and taking the subject apart as a string takes many times as long.
 */
export const readDelivery = (bytes: Uint8Array, from = 0, to = bytes.length): Delivery | undefined => {
  if (to - from < PREFIX.length) return undefined
  for (let at = 0; at < PREFIX.length; at++) if (bytes[from + at] !== PREFIX[at]) return undefined
  let dots = 0
  for (let at = from; at < to; at++)
    if (bytes[at] === DOT) {
      if (dots < starts.length) starts[dots] = at + 1
      dots += 1
    }
  if (dots !== SHORT_DOTS && dots < LONG_DOTS) return undefined
  if (dots < starts.length) starts[dots] = to + 1
  const times = dots === SHORT_DOTS ? 3 : 5
  const seq = token(bytes, times + 1)
  const number = token(bytes, times + 2)
  const pending = token(bytes, times + 4)
  return seq >= 1 && number >= 1 && pending >= 0 ? { seq, number, pending } : undefined
}

const token = (bytes: Uint8Array, place: number): number =>
  wholeNumber(bytes, starts[place] as number, (starts[place + 1] as number) - 1)

/** The whole number that is written between two places, -1 where there is none that is exact. */
export const wholeNumber = (bytes: Uint8Array, from: number, to: number): number => {
  if (to <= from) return -1
  let value = 0
  for (let at = from; at < to; at++) {
    const digit = (bytes[at] as number) - DIGIT_0
    if (digit < 0 || digit > DIGIT_9 - DIGIT_0) return -1
    value = value * 10 + digit
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : -1
}
