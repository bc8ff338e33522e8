/** Processor time where there is too little: a process that starts beside one that serves gives way to it. */
import { readdirSync } from "./files.ts"
import { getPriority, setPriority } from "node:os"
import { CAP_SYS_NICE, hasCapability, readCapabilities } from "./capabilities.ts"
import { errnoName, loadNative } from "./native.ts"

/** Threads that are made while others are set keep what their makers had: so often all are gone over. */
const ROUNDS = 3

/** By nice value, smaller is more; of this process's main thread. */
export const ownPriority = (): number => getPriority(0)

/**
 * Lets this process and its children come back to a priority from a lower one, for which root raises a limit once. False without the addon,
 * or where the limit is lower and may not be raised.
 */
export const permitPriority = (nice: number): boolean => loadNative().addon?.permitPriority(nice) ?? false

/** Whether this process may raise priorities without a limit. */
export const mayRaisePriorities = (): boolean => hasCapability(readCapabilities().effective, CAP_SYS_NICE)

/** Sets a process back that was started a moment ago: threads that it makes from here on have what it has. */
export const setBack = (pid: number, nice: number): void => unlessGone(() => setPriority(pid, nice))

/** Gives every thread of a process a priority. Nothing happens where the process is gone, or is another's. */
export const setEveryThread = (pid: number, nice: number): void =>
  unlessGone(() => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const other = readdirSync(`/proc/${pid}/task`)
        .map(Number)
        .filter((thread) => unlessGone(() => getPriority(thread)) !== nice)
      if (other.length === 0) return
      for (const thread of other) unlessGone(() => setPriority(thread, nice))
    }
  })

/** Undefined where a process or thread has ended meanwhile, is another's, or may not be seen: it stays as it is. */
const unlessGone = <A>(act: () => A): A | undefined => {
  try {
    return act()
  } catch (error) {
    // node:os has its errno one level deeper than node:fs.
    const { code } = (error as { readonly info?: { readonly code?: string } }).info ?? {}
    if (["ESRCH", "ENOENT", "EPERM", "EACCES"].includes(code ?? errnoName(error))) return undefined
    throw error
  }
}
