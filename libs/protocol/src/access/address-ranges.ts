/**
 * Longest-prefix match over IPv4 and IPv6 in flat arrays. Nested prefixes are laid out once as ranges that do not overlap,
 * each with the value of the most specific prefix that covers it; a look-up is a step through a small root table, one through a table that is as fine as
 * a root's ranges are many, and a binary search of what is left: nothing, where prefixes lie evenly. No object is touched for a packet, and 100,000
 * prefixes cost little more than ten.
 *
 * IPv6 addresses are four 32-bit words. The arrays survive a structured clone, so one process may build what others use.
 */

/** All addresses whose first `length` bits are those of `address`, and what is said of them. */
export interface PrefixValue {
  readonly family: 4 | 6
  /** 4 or 16 bytes in network order; bits behind the length are not looked at. */
  readonly bytes: readonly number[]
  readonly length: number
  /** Zero or more, below 2^31. */
  readonly value: number
}

/** Ranges of one family. */
export interface Ranges {
  /** Words an address has: 1 or 4. */
  readonly words: 1 | 4
  /** Where each range starts, `words` words each, ascending; the first is address zero. */
  readonly starts: Uint32Array
  /** The value of each range; -1 where no prefix covers it. */
  readonly values: Int32Array
  /** For each value of an address's first bits: the number of its first slot, times 32, and how far what follows of the first word is shifted to count its slots. */
  readonly roots: Uint32Array
  /** The range that each slot's first address lies in; one more at the end. */
  readonly slots: Uint32Array
  /** How many first bits those are, 1 … 16. */
  readonly rootBits: number
}

const MOST_ROOT_BITS = 16

/** Lays out the prefixes of one family. Of two with the same bits the later one counts. */
export const layRanges = (prefixes: readonly PrefixValue[], family: 4 | 6): Ranges => {
  const words = family === 4 ? 1 : 4
  const bits = words * 32
  const boundaries = boundariesOf(
    prefixes.filter((one) => one.family === family),
    bits
  )
  const count = boundaries.length
  const starts = new Uint32Array(count * words)
  const values = new Int32Array(count)
  for (const [index, { start, value }] of boundaries.entries()) {
    values[index] = value
    for (let word = 0; word < words; word += 1)
      starts[index * words + word] = Number((start >> BigInt(bits - 32 - 32 * word)) & 0xffffffffn)
  }
  const rootBits = Math.min(MOST_ROOT_BITS, Math.max(1, bitsFor(count)))
  return { words, starts, values, ...slotsOf(starts, words, count, rootBits), rootBits }
}

interface Boundary {
  readonly start: bigint
  readonly value: number
}

interface Covering extends Boundary {
  readonly end: bigint
}

/** Sweeps over the prefixes in the order of their addresses, wider ones first, with those that are open on a stack. */
const boundariesOf = (prefixes: readonly PrefixValue[], bits: number): readonly Boundary[] => {
  const sorted = prefixes
    .map(({ bytes, length, value }) => {
      const size = 1n << BigInt(bits - length)
      const address = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
      const start = address - (address % size)
      return { start, end: start + size, value }
    })
    .toSorted((a, b) =>
      a.start === b.start ? Number(a.end < b.end) - Number(a.end > b.end) : a.start < b.start ? -1 : 1
    )
  const boundaries: Boundary[] = [{ start: 0n, value: -1 }]
  const open: Covering[] = []
  const change = (start: bigint, value: number): void => {
    if (boundaries.at(-1)?.start === start) boundaries.pop()
    if (boundaries.at(-1)?.value !== value) boundaries.push({ start, value })
  }
  const closeUntil = (address: bigint): void => {
    for (let top = open.at(-1); top !== undefined && top.end <= address; top = open.at(-1)) {
      open.pop()
      if (top.end < 1n << BigInt(bits)) change(top.end, open.at(-1)?.value ?? -1)
    }
  }
  for (const prefix of sorted) {
    closeUntil(prefix.start)
    open.push(prefix)
    change(prefix.start, prefix.value)
  }
  closeUntil(1n << BigInt(bits))
  return boundaries
}

/** How many bits it takes to number so many. */
const bitsFor = (count: number): number => 32 - Math.clz32(count - 1)

const slotsOf = (
  starts: Uint32Array,
  words: number,
  count: number,
  rootBits: number
): Pick<Ranges, "roots" | "slots"> => {
  const restBits = 32 - rootBits
  let range = 0
  /** The range that an address lies in whose first word this is and whose others are zero; asked in ascending order. */
  const rangeAt = (first: number): number => {
    while (range + 1 < count && startsAtOrBefore(starts, (range + 1) * words, words, first)) range += 1
    return range
  }
  const edges = Array.from({ length: 2 ** rootBits }, (_, root) => rangeAt(root * 2 ** restBits))
  const roots = new Uint32Array(edges.length)
  const slots: number[] = []
  range = 0
  for (const [root, edge] of edges.entries()) {
    const ranges = (edges[root + 1] ?? count - 1) - edge
    const shift = restBits - Math.min(restBits, bitsFor(ranges + 1))
    roots[root] = slots.length * 32 + shift
    for (let from = 0; from < 2 ** restBits; from += 2 ** shift) slots.push(rangeAt(root * 2 ** restBits + from))
  }
  return { roots, slots: Uint32Array.from([...slots, count - 1]) }
}

/** Whether a range starts at or before the address whose first word is `first` and whose others are zero. */
const startsAtOrBefore = (starts: Uint32Array, at: number, words: number, first: number): boolean => {
  if (starts[at]! !== first) return starts[at]! < first
  for (let word = 1; word < words; word += 1) if (starts[at + word] !== 0) return false
  return true
}

/** The slot of an address. @param first its first 32 bits */
const slotOf = ({ roots, rootBits }: Ranges, first: number): number => {
  const root = roots[first >>> (32 - rootBits)]!
  return (root >>> 5) + (((first << rootBits) >>> rootBits) >>> (root & 31))
}

/**
 * The value for an IPv4 address; -1 for none. No step is a branch that a processor would guess wrong every other time, so the look-ups of a batch overlap.
 * @param word its 32 bits
 */
export const findIpv4 = (ranges: Ranges, word: number): number => {
  const { starts, slots } = ranges
  const slot = slotOf(ranges, word)
  let low = slots[slot]!
  let left = slots[slot + 1]! - low
  while (left > 0) {
    const half = (left + 1) >>> 1
    // All ones where that range starts at or before the address. They are no further apart than a root is wide, so their difference has a sign.
    low += half & ~((word - starts[low + half]!) >> 31)
    left -= half
  }
  return ranges.values[low]!
}

/** The value for an IPv6 address; -1 for none. @param a its first 32 bits, and so on */
export const findIpv6 = (ranges: Ranges, a: number, b: number, c: number, d: number): number => {
  const { starts, slots } = ranges
  const slot = slotOf(ranges, a)
  let low = slots[slot]!
  let high = slots[slot + 1]!
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if (isAfter(starts, middle << 2, a, b, c, d)) high = middle - 1
    else low = middle
  }
  return ranges.values[low]!
}

const isAfter = (starts: Uint32Array, at: number, a: number, b: number, c: number, d: number): boolean => {
  if (starts[at]! !== a >>> 0) return starts[at]! > a >>> 0
  if (starts[at + 1]! !== b >>> 0) return starts[at + 1]! > b >>> 0
  if (starts[at + 2]! !== c >>> 0) return starts[at + 2]! > c >>> 0
  return starts[at + 3]! > d >>> 0
}
