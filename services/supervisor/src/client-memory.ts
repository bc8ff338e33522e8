/** The memory that the workers keep their clients in: one piece a worker slot, read here and handed on to each successor. */
import { closeSync } from "@meridian/system/files"
import { clientTableBytes, ticksAt } from "@meridian/protocol/access/client-layout"
import { ClientTable } from "@meridian/protocol/access/client-table"
import { Chance, RateLimiter } from "@meridian/protocol/access/rate-limit"
import type { AccessSettings } from "@meridian/config"
import * as onUse from "@meridian/system/on-use"
import { makeSharedMemory, mapSharedMemory } from "@meridian/system/shared-memory"

interface Piece {
  readonly descriptor: number
  readonly buffer: ArrayBuffer
}

export class ClientMemory {
  private pieces: Piece[]
  private readonly monotonic: () => number

  /**
   * @param settings how many bytes over all workers, and how the tables in them are kept
   * @param left by the program before, one for each worker
   * @param monotonic CLOCK_MONOTONIC, seconds
   */
  constructor(settings: AccessSettings, workers: number, left: readonly number[] | undefined, monotonic: () => number) {
    this.monotonic = monotonic
    const pieces =
      left?.length === workers
        ? left.map(mapped)
        : Array.from({ length: workers }, () => pieceOf(bytesEach(settings, workers)))
    // Without the addon there is none: each worker keeps a small table of its own then.
    this.pieces = pieces.filter((piece) => piece !== undefined)
    for (let index = 0; index < this.pieces.length; index += 1) this.resize(index, settings)?.()
  }

  /** One table for each worker; none without the addon. */
  get tables(): readonly ArrayBuffer[] {
    return this.pieces.map(({ buffer }) => buffer)
  }

  get descriptors(): readonly number[] {
    return this.pieces.map(({ descriptor }) => descriptor)
  }

  /**
   * Gives a worker slot memory of another size, with all that is known so far: for the processes that start from now on. Those that
   * run go on with what they have, and what they note meanwhile is lost.
   * @returns closes the memory of before, for when nobody starts with it any more; undefined where the size is the same
   */
  resize(index: number, settings: AccessSettings): (() => void) | undefined {
    const before = this.pieces[index]
    const bytes = bytesEach(settings, this.pieces.length)
    if (before === undefined || before.buffer.byteLength === bytes) return undefined
    const after = pieceOf(bytes)
    if (after === undefined) return undefined
    const chance = new Chance(onUse.crypto().randomInt(2 ** 31))
    const limiter = new RateLimiter(settings.rateLimit.value, chance)
    const { ipv6Prefix, maxAge, minAge } = settings.clientList
    const plan = { ipv6Prefix: ipv6Prefix.value, maxAge: maxAge.value, minAge: minAge.value }
    new ClientTable(after.buffer, plan, limiter, chance).inherit(before.buffer, ticksAt(this.monotonic()))
    this.pieces = this.pieces.with(index, after)
    return () => closeSync(before.descriptor)
  }
}

const bytesEach = ({ clientList }: AccessSettings, workers: number): number =>
  Math.max(Math.floor(clientList.bytes.value / Math.max(1, workers)), clientTableBytes(1))

const pieceOf = (bytes: number): Piece | undefined => {
  const descriptor = makeSharedMemory("meridian-clients", bytes)
  return descriptor === undefined ? undefined : mapped(descriptor)
}

const mapped = (descriptor: number): Piece | undefined => {
  const buffer = mapSharedMemory(descriptor)
  return buffer === undefined ? undefined : { descriptor, buffer }
}
