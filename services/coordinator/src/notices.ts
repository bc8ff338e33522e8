/** What an operator should read: to the supervisor, or to standard error where there is none. Each cause is told once. */

/** Causes remembered; beyond them the oldest may be told again. */
const CAUSES_KEPT = 256

export interface Notices {
  readonly warn: (message: string) => void
  /** Does nothing where that cause has been told. */
  readonly warnOnce: (cause: string, message: string) => void
}

export const openNotices = (tell: (message: string) => void): Notices => {
  const told = new Set<string>()
  return {
    warn: tell,
    warnOnce: (cause, message) => {
      if (told.has(cause)) return
      told.add(cause)
      const [oldest] = told
      if (told.size > CAUSES_KEPT && oldest !== undefined) told.delete(oldest)
      tell(message)
    }
  }
}

/** An error in words. */
export const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error))
