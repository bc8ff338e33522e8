/** The leap-seconds values that clients are told, from the list that `leapfile` names. */
import { createHash } from "node:crypto"
import { leapFileExpired, parseLeapFile, taiOffsetAt, verifyLeapFile } from "@meridian/algorithms/leap-file"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"
import { ntpSeconds } from "@meridian/time/timestamp"
import type { LeapSecondsValues } from "@meridian/wire/autokey-fields"

const MOST_BYTES = 1024 * 1024

/**
 * Undefined where the file cannot be used, has expired or ends before now: clients are then told nothing. The clock's process reads the same
 * file and says what is wrong with it.
 * @param now Unix seconds
 */
export const readLeapSeconds = (path: string, hashIgnored: boolean, now: number): LeapSecondsValues | undefined => {
  let text: string
  try {
    text = readRegularFile(path, MOST_BYTES).toString("utf8")
  } catch (error) {
    if (error instanceof FileNotRead) return undefined
    throw error
  }
  const parsed = parseLeapFile(text, !hashIgnored)
  if (!("entries" in parsed)) return undefined
  const file = hashIgnored ? parsed : verifyLeapFile(parsed, (bytes) => createHash("sha1").update(bytes).digest())
  if (!("entries" in file) || leapFileExpired(file, now)) return undefined
  const last = file.entries.findLast(({ at }) => at <= now)
  const taiOffset = taiOffsetAt(file, now)
  if (last === undefined || taiOffset === undefined) return undefined
  return { taiOffset, lastLeap: ntpSeconds(last.at), expiry: ntpSeconds(file.expiresAt) }
}
