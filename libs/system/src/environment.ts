/** What the environment brings in, besides settings. */
import { loadNative } from "./native.ts"

/**
 * The value of a variable that holds a secret; the variable is gone afterwards, from the children's environment and, with the
 * addon, from /proc/PID/environ too.
 */
export const takeSecret = (environment: NodeJS.ProcessEnv, name: string): string | undefined => {
  const value = environment[name]
  if (value === undefined) return undefined
  loadNative().addon?.eraseVariable(name)
  delete environment[name]
  return value
}
