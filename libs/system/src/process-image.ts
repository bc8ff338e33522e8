/** A process that becomes another program: what goes with it, and the children that it finds then. */
import { loadNative } from "./native.ts"

/** Descriptors that stay open in the program that this process becomes. Without the addon none can. */
export const keepOpen = (descriptors: readonly number[]): void => {
  for (const descriptor of descriptors) loadNative().addon?.keepOnExec(descriptor)
}

/** Takes descriptors over that were kept open: no child gets them unasked. */
export const takeOver = (descriptors: readonly number[]): void => {
  for (const descriptor of descriptors) loadNative().addon?.closeOnExec(descriptor)
}

const ASK_EACH_MS = 50

/**
 * Has children of the program before finish and end, and waits for them.
 * @param patienceMs after which they are killed
 */
export const endChildren = async (pids: readonly number[], patienceMs: number): Promise<void> => {
  const { addon } = loadNative()
  const left = new Set(pids.filter((pid) => signal(pid, "SIGTERM")))
  for (let waited = 0; left.size > 0 && addon !== undefined; waited += ASK_EACH_MS) {
    await new Promise((done) => setTimeout(done, ASK_EACH_MS))
    for (const pid of left) {
      if (addon.reapChild(pid)) left.delete(pid)
      else if (waited >= patienceMs) signal(pid, "SIGKILL")
    }
  }
}

/** Whether there was such a process. */
const signal = (pid: number, name: "SIGTERM" | "SIGKILL"): boolean => {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}
