/** Word of changes of the machine's addresses: by the kernel's messages, and without the addon by looking. */
import { machineAddresses } from "./configuration-files.ts"
import { loadNative } from "./native.ts"
import * as onUse from "./on-use.ts"

export interface NetworkWatch {
  readonly close: () => void
}

/** Between two looks where the kernel cannot be heard. */
const LOOK_MS = 5_000

/**
 * Calls back after interfaces or addresses changed, as often as the kernel says so: several times for one change. Keeps no
 * process alive.
 */
export const watchNetwork = (onChange: () => void): NetworkWatch => {
  const { addon } = loadNative()
  if (addon !== undefined) {
    try {
      return new addon.NetworkWatch(onChange)
    } catch {
      // A sandbox may forbid netlink sockets.
    }
  }
  let known = machineAddresses()
  const timer = setInterval(() => {
    const now = machineAddresses()
    if (onUse.util().isDeepStrictEqual(now, known)) return
    known = now
    onChange()
  }, LOOK_MS)
  timer.unref()
  return { close: () => clearInterval(timer) }
}
