/** Rounds that neighbours disturbed are measured again, in every bench. How many they were is said beside the figures. */

/** Answers that only came late: the server may be at fault, or whoever else ran. */
export class DelayedError extends Error {
  readonly _tag = "DelayedError"
}

const MOST_ATTEMPTS = 6

let again = 0

/** Rounds that were measured again since this was asked last. */
export const takeRepeats = (): number => {
  const found = again
  again = 0
  return found
}

/** For a reader of the figures. */
export const repeatsNote = (repeats: number): string =>
  repeats === 0
    ? "no round was disturbed"
    : `${repeats} round${repeats === 1 ? " was" : "s were"} disturbed and measured again`

/**
 * Measures again what was disturbed, at most five times; the last is taken as it is.
 * @throws Error as `measure` does; DelayedError where answers were late every time
 */
export const undisturbed = async <A>(
  measure: () => Promise<A>,
  isDisturbed: (found: A) => boolean = () => false
): Promise<A> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const found = await measure()
      if (attempt === MOST_ATTEMPTS || !isDisturbed(found)) return found
    } catch (error) {
      if (attempt === MOST_ATTEMPTS || !(error instanceof DelayedError)) throw error
    }
    again += 1
  }
}

/** More of this share of the time, something else had the server's core. */
const DISTURBED_SHARE = 0.1

/** Whether the server was ready to run, and something else had its core. */
export const isKeptWaiting = ({ disturbed }: { readonly disturbed: number }): boolean => disturbed > DISTURBED_SHARE
