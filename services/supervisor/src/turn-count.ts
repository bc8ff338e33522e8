/**
 * Whether processes live: each counts the turns of its event loop (heartbeat.ts of libs/ipc) in memory of its own, and one watch looks at all
 * counts once a second (native/turn-count.c of libs/system). JavaScript is called where a count stands still for too long, and while a place wants
 * each look: of a node at rest most seconds wake none. A message each second from each process would be most of what its supervisor wakes for.
 *
 * Without the addon messages say the same, and there is a look each second.
 */
import { closeSync, writeSync } from "@meridian/system/files"
import { everyTurn } from "@meridian/ipc/turns"
import { makeSharedMemory } from "@meridian/system/shared-memory"
import { watchTurns } from "@meridian/system/turn-count"
import { afterReports } from "./pacing.ts"

/** Between two looks at who shows that it lives. */
export const WATCH_MS = 1_000

/** Looks at the processes of a place. */
export interface Looks {
  /** There is something to be looked at each second from now on, until `look` says otherwise; what passed meanwhile is looked at first. */
  readonly wake: () => void
  readonly stop: () => void
}

interface Place {
  readonly look: (looks: number) => boolean
  /** The look up to which it has heard. */
  heard: number
  rests: boolean
}

const places = new Set<Place>()
let looks = 0

const lookAt = (place: Place): void => {
  const passed = looks - place.heard
  place.heard = looks
  place.rests = place.look(passed)
}

const lookAtAll = (now: number): void => {
  looks = now
  for (const place of places) lookAt(place)
  settle()
}

const startLooking = () => {
  const { after } = afterReports
  const native = watchTurns(WATCH_MS, after, lookAtAll)
  if (native === undefined) everyTurn(WATCH_MS, () => lookAtAll(looks + 1), afterReports)
  return { native }
}
let started: ReturnType<typeof startLooking> | undefined
const watch = () => (started ??= startLooking()).native

const settle = (): void => watch()?.closely([...places].some(({ rests }) => !rests))

/**
 * Calls what looks at the processes of a place once a second, as long as it says so.
 * @param look told how many looks have passed since it was called last, as whatever held these processes up may have held up this one too; returns whether
 *   it may rest: then it is called when a count stands still for as many looks as were said with it
 */
export const lookEachSecond = (look: (looks: number) => boolean): Looks => {
  looks = watch()?.looks() ?? looks
  const place: Place = { look, heard: looks, rests: false }
  places.add(place)
  settle()
  return {
    wake: () => {
      if (!places.has(place) || !place.rests) return
      looks = watch()?.looks() ?? looks
      lookAt(place)
      place.rests = false
      settle()
    },
    stop: () => {
      places.delete(place)
      settle()
    }
  }
}

export class TurnCount {
  /** For the process to inherit; {@link handedOver} closes it here. */
  readonly descriptor: number
  private readonly place: number

  private constructor(descriptor: number, place: number) {
    this.descriptor = descriptor
    this.place = place
  }

  /**
   * Undefined where there is no such memory, without the addon or because the system refuses it: then messages say the same.
   * @param most looks for which it may stand still
   */
  static make(most: number): TurnCount | undefined {
    let descriptor: number | undefined
    try {
      descriptor = makeSharedMemory("meridian-turns", Uint32Array.BYTES_PER_ELEMENT)
      if (descriptor === undefined) return undefined
      // Here a system without memory to spare says so; at a look or a turn it would end the process.
      writeSync(descriptor, new Uint32Array(1), 0, Uint32Array.BYTES_PER_ELEMENT, 0)
      const place = watch()?.add(descriptor, most)
      if (place !== undefined) return new TurnCount(descriptor, place)
    } catch {
      // Said above.
    }
    if (descriptor !== undefined) closeSync(descriptor)
    return undefined
  }

  /** The process has it, or could not be started. */
  handedOver(): void {
    closeSync(this.descriptor)
  }

  /** For how many looks the event loop has not turned; 0 where it has since the look before the last, or since the last. */
  get still(): number {
    return watch()?.still(this.place) ?? 0
  }

  /** The process is gone. */
  drop(): void {
    watch()?.drop(this.place)
  }
}
