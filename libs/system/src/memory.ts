/** What a service does about its own size once it runs. */
import { getHeapStatistics } from "node:v8"
import { loadNative } from "./native.ts"

/** Long enough after a start for the first timers and messages to have run; later, also where the machine is busy or others of the node start still. */
const SETTLED_MS = [1_500, 10_000]

/**
 * Lets go of the pages of the program's own file that only the start needed, and of free memory; see native/memory.c. The file's stay in the system's
 * page cache. Returns the bytes of mappings gone over, 0 without the addon.
 */
export const releaseStartupPages = (): number => loadNative().addon?.releaseStartupPages() ?? 0

/** One full collection of JavaScript's heap, 10 ms or so; the pages that it empties go back to the system. Nothing without the addon. */
export const collectHeap = (): void => loadNative().addon?.collectHeap()

/**
 * Lets go of those pages now, and of them and of the start's garbage when the process has settled: what only the start needed is in the heap too, and a
 * process that makes little garbage would keep it for good. Keeps nothing alive.
 * @param mayPause asked before each collection; where it says no, that one is left out
 */
export const releaseStartupPagesSoon = (mayPause: () => boolean = () => true): void => {
  releaseStartupPages()
  const settle = (): void => {
    if (mayPause()) collectHeap()
    releaseStartupPages()
  }
  for (const milliseconds of SETTLED_MS) setTimeout(settle, milliseconds).unref()
}

/**
 * No image of this process's memory, nor of its children's, is left behind by a crash; for good. False without the addon, or
 * where the limit is lower already: then there is none either.
 */
export const forbidCoreDumps = (): boolean => loadNative().addon?.forbidCoreDumps() ?? false

let lastRss = 0

/**
 * What this process takes, bytes. Never throws: Node reads the resident size from a file, and a process that is out of descriptors, or
 * has no /proc, goes on with the size it knew last, 0 before the first.
 */
export const memoryUse = (): { readonly rss: number; readonly heapUsed: number } => {
  try {
    lastRss = process.memoryUsage.rss()
  } catch {
    // Said above.
  }
  return { rss: lastRss, heapUsed: getHeapStatistics().used_heap_size }
}
