/**
 * How the table of clients lies in memory: a header, a map of where records are, sets of eight records, and 16-bit tags, so that a set is searched in one place
 * that caches have room for. A set has first of each record what every packet of its client is judged by, half a cache line that never lies across two, then
 * of each what is seldom read. It is one buffer, so that it can be shared memory: a worker's successor goes on with the limits as they stood, and the
 * supervisor reads the list of clients without asking anybody.
 *
 * Fresh memory is zeros, and takes nothing of the machine's until it is written to or read: so nobody does where no record is.
 */

/** Records that an address may lie in: the eight of its set. */
export const WAYS = 8
const HEADER_WORDS = 16
/** Words of a record that are read for each packet, and those that are not. */
export const RECORD_WORDS = 8
export const REST_WORDS = 4
const TAG_BYTES = 2
const SET_WORDS = WAYS * (RECORD_WORDS + REST_WORDS)
const SET_BYTES = SET_WORDS * 4 + WAYS * TAG_BYTES

/** "MRU3": the table was laid out, by this layout. */
export const TABLE_MAGIC = 0x4d525533

/** Words of the header. */
export const Header = {
  magic: 0,
  /** two words that make the hash this table's own */
  seed: 1,
  sets: 3,
  /** records in use */
  used: 4,
  /** packets of addresses that had a record, */
  known: 5,
  /** that got a free one, */
  fresh: 6,
  /** that got one whose address was gone for long, or was seen once, */
  replaced: 7,
  /** and that got none, because all eight were worth more */
  refused: 8
} as const

/** Words of a record that are read for each packet, from {@link recordAt} on. */
export const Field = {
  /** the last two of the address's four words, IPv4 as ::ffff:a.b.c.d; as it was last seen, where a whole prefix shares a record */
  address: 0,
  /** the limit's level (rate-limit.ts), a 32-bit float */
  level: 2,
  /** ticks of CLOCK_MONOTONIC: the last packet, and the first */
  last: 3,
  first: 4,
  /** packets that were let through to the limit */
  count: 5,
  /** kisses in the lower half, the last packet's port in the upper */
  kissesAndPort: 6,
  /** see {@link Mark} */
  marks: 7
} as const

/** The others, from {@link restAt} on. */
export const Rest = {
  /** the first two words of the address: an IPv4 one is found without them */
  address: 0,
  /** ticks: the last kiss */
  lastKiss: 2,
  /** packets that the limit dropped, of those that are counted */
  dropped: 3
} as const

/** What {@link Field.marks} holds. */
export const Mark = {
  /** version and mode of the last packet: bits 0 … 5 */
  versionAndMode: 0x3f,
  authenticated: 0x40,
  ipv6: 0x80,
  /** the last packet was over the limit */
  over: 0x100,
  /** the address came more than once, over seconds, while no requests stood in the queue */
  regular: 0x200,
  /** the low sixteen access flags of the last packet, shifted by 16 */
  flagsShift: 16
} as const

/** Ticks a second: fine enough for any limit, and 32 bits of them last for half a year. */
export const TICKS_PER_SECOND = 256

/** A moment of CLOCK_MONOTONIC in ticks, modulo 2^32, signed: small integers never leave the registers. */
export const ticksAt = (monotonic: number): number => Math.floor(monotonic * TICKS_PER_SECOND) | 0

/** Sets that one bit of the map stands for: as much memory as the kernel gives at once, 4 kB, holds that many and a little more. */
const SETS_NOTED = 8

/** Words of the map, in whole lines of the processor's cache. */
const mapWords = (sets: number): number => Math.ceil(sets / SETS_NOTED / 512) * 16

const bytesOf = (sets: number): number => (HEADER_WORDS + mapWords(sets)) * 4 + sets * SET_BYTES

/** Bytes of a table that has room for so many addresses at least. */
export const clientTableBytes = (addresses: number): number => bytesOf(Math.max(1, Math.ceil(addresses / WAYS)))

const setsWithin = (bytes: number): number => {
  let sets = Math.floor((bytes - HEADER_WORDS * 4) / SET_BYTES)
  while (sets > 0 && bytesOf(sets) > bytes) sets -= 1
  return Math.max(0, sets)
}

/** Addresses that fit into so many bytes; 0 where not one set does. */
export const clientsWithin = (bytes: number): number => setsWithin(bytes) * WAYS

/** Notes that a record is in use, for {@link writtenParts}. */
export const noteWritten = ({ map }: ClientMemory, record: number): void => {
  const bit = Math.floor((record >> 3) / SETS_NOTED)
  map[bit >> 5]! |= 1 << (bit & 31)
}

/** Where records may be in use: from a record to another, which is not among them. */
export const writtenParts = ({ map, sets }: ClientMemory): readonly (readonly [from: number, to: number])[] => {
  const parts: (readonly [number, number])[] = []
  for (let bit = 0; bit * SETS_NOTED < sets; bit += 1)
    if ((map[bit >> 5]! & (1 << (bit & 31))) !== 0)
      parts.push([bit * SETS_NOTED * WAYS, Math.min((bit + 1) * SETS_NOTED, sets) * WAYS])
  return parts
}

/** The parts of a table's buffer. */
export interface ClientMemory {
  readonly header: Uint32Array
  /** A bit for every eight sets: whether one of them has a record. */
  readonly map: Uint32Array
  readonly words: Int32Array
  /** the same memory */
  readonly levels: Float32Array
  /** by record; 0 where it is free */
  readonly tags: Uint16Array
  /** the same memory: the first of two tags is the lower one where bytes lie so, and the other one elsewhere */
  readonly tagPairs: Int32Array
  readonly sets: number
}

/** Finds the parts. @throws RangeError for a buffer without room for one set */
export const clientMemory = (buffer: ArrayBuffer): ClientMemory => {
  const sets = setsWithin(buffer.byteLength)
  if (sets === 0)
    throw new RangeError(`a table of clients needs ${clientTableBytes(1)} bytes, found ${buffer.byteLength}`)
  const at = (HEADER_WORDS + mapWords(sets)) * 4
  const tagsFrom = at + sets * SET_WORDS * 4
  return {
    header: new Uint32Array(buffer, 0, HEADER_WORDS),
    map: new Uint32Array(buffer, HEADER_WORDS * 4, mapWords(sets)),
    words: new Int32Array(buffer, at, sets * SET_WORDS),
    levels: new Float32Array(buffer, at, sets * SET_WORDS),
    tags: new Uint16Array(buffer, tagsFrom, sets * WAYS),
    tagPairs: new Int32Array(buffer, tagsFrom, (sets * WAYS) / 2),
    sets
  }
}

/** Where a record's words begin: its set's are 96, eight times eight of which come first. */
export const recordAt = (record: number): number => (record << 3) + ((record >> 3) << 5)

/** Where the rest of them do. */
export const restAt = (record: number): number => (record << 2) + ((record >> 3) << 6) + 64
