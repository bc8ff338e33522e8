/** The unix datagram socket that a reference clock's program sends its samples to, over the C addon. */
import { closeSync, lstatSync, unlinkSync } from "@meridian/system/files"
import { errnoAdvice, errnoWords } from "@meridian/system/errno-words"
import { errnoName, type NativeAddon } from "@meridian/system/native"
import { type ClockSocketPort, ReferenceClockError } from "./reference-clock-ports.ts"
import { addonForClocks } from "./shm-segment.ts"

/** Longer than any sample, so that one that is too long shows as such. */
const DATAGRAM_BYTES = 64

const OWNER_AND_GROUP = 0o660
const EVERYBODY = 0o666

const failed = (error: unknown, path: string): ReferenceClockError => {
  if (error instanceof ReferenceClockError) return error
  const reason = errnoName(error)
  return new ReferenceClockError(reason, `the socket ${path} cannot be made: ${errnoAdvice("clock-socket", reason)}`)
}

/** Frees the path of a socket that a process left behind. What somebody uses, and what is no socket, stays. */
const removeStale = (addon: NativeAddon, path: string): void => {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket())
    throw new ReferenceClockError("in-use", `${path} is there already and is no socket; remove it or name another path`)
  if (addon.unixDatagramHasReceiver(path))
    throw new ReferenceClockError("in-use", `another program receives on ${path}; stop it or name another path`)
  unlinkSync(path)
}

/**
 * Binds the socket. Senders that look for its file only when they start, as gpsd does, must be started after this.
 * @param forEverybody whether any local user may send, and so set the clock; else the owner and its group
 * @throws ReferenceClockError
 */
export const openClockSocket = (path: string, forEverybody: boolean): ClockSocketPort => {
  const addon = addonForClocks()
  let descriptor: number
  try {
    removeStale(addon, path)
    descriptor = addon.unixDatagramBind(path, forEverybody ? EVERYBODY : OWNER_AND_GROUP)
  } catch (error) {
    throw failed(error, path)
  }
  const made = lstatSync(path, { throwIfNoEntry: false })
  const bytes = new Uint8Array(DATAGRAM_BYTES)
  let isOpen = true
  return {
    receive: () => {
      if (!isOpen) return undefined
      const length = receive(addon, descriptor, bytes, path)
      return length < 0 ? undefined : { bytes: bytes.slice(0, Math.min(length, bytes.length)), length }
    },
    close: () => {
      if (!isOpen) return
      isOpen = false
      closeSync(descriptor)
      try {
        const found = lstatSync(path, { throwIfNoEntry: false })
        if (found !== undefined && found.ino === made?.ino && found.dev === made.dev) unlinkSync(path)
      } catch {
        // Its folder is gone or closed to us: what is left there is stale, and replaced by the next that binds.
      }
    }
  }
}

const receive = (addon: NativeAddon, descriptor: number, bytes: Uint8Array, path: string): number => {
  try {
    return addon.datagramReceive(descriptor, bytes)
  } catch (error) {
    const reason = errnoName(error)
    throw new ReferenceClockError(reason, `the socket ${path} cannot be read: ${errnoWords(reason)}`)
  }
}
