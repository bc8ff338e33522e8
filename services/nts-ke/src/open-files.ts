/** How many connections a process has descriptors for. */
import { readFileSync } from "@meridian/system/files"

/** For listening sockets, certificates that are read, what Node itself has open. */
const KEPT = 64

/** Open files that the system lets this process have, Infinity where it does not tell or sets no limit. */
const openFilesAllowed = (limits: string): number => {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1]
  return soft === undefined || soft === "unlimited" ? Infinity : Number(soft)
}

const ownLimits = (): string => {
  try {
    return readFileSync("/proc/self/limits", "utf8")
  } catch {
    return ""
  }
}

/** As many of the wanted connections as there are descriptors for, at least one. */
export const connectionsWithin = (wanted: number, limits = ownLimits()): number =>
  Math.max(1, Math.min(wanted, openFilesAllowed(limits) - KEPT))
