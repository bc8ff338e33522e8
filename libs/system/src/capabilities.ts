/**
 * Linux capabilities of this process, read from /proc and changed by the addon. Of one capability it is said: keep it for
 * one child, or give it up for good. Children inherit from the main thread, so call these there.
 */
import { readFileSync } from "./files.ts"
import { loadNative } from "./native.ts"

/** Linux's own, where the kernel does not tell. */
const FIRST_COMMON_PORT = 1024

/** Sets the system's clocks. */
export const CAP_SYS_TIME = 25
/** Raises priorities, and those of others. */
export const CAP_SYS_NICE = 23
/** Binds ports below the first that everybody may bind. */
export const CAP_NET_BIND_SERVICE = 10

interface CapabilitySets {
  readonly inheritable: bigint
  readonly permitted: bigint
  readonly effective: bigint
  readonly bounding: bigint
  readonly ambient: bigint
}

const none: CapabilitySets = { inheritable: 0n, permitted: 0n, effective: 0n, bounding: 0n, ambient: 0n }

/** The sets in the text of /proc/PID/status; what it does not name is empty. */
export const parseCapabilities = (status: string): CapabilitySets => {
  const set = (name: string): bigint => {
    const digits = new RegExp(`^Cap${name}:\\s*([0-9a-f]{1,16})$`, "m").exec(status)?.[1]
    return digits === undefined ? 0n : BigInt(`0x${digits}`)
  }
  return {
    inheritable: set("Inh"),
    permitted: set("Prm"),
    effective: set("Eff"),
    bounding: set("Bnd"),
    ambient: set("Amb")
  }
}

/** Those of this process's main thread, or of another process; all empty where /proc does not tell. */
export const readCapabilities = (pid: number | "self" = "self"): CapabilitySets => {
  try {
    return parseCapabilities(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return none
  }
}

export const hasCapability = (set: bigint, capability: number): boolean => ((set >> BigInt(capability)) & 1n) === 1n

const attempt = (change: () => void): boolean => {
  try {
    change()
    return true
  } catch {
    return false
  }
}

/**
 * Gives a capability up, for this process and all that it starts from now on, root's children too where the bounding set
 * may be changed. Returns whether this process is rid of it; without the addon nothing is done.
 */
export const giveUpCapability = (capability: number): boolean => {
  const { addon } = loadNative()
  if (addon === undefined) return !hasCapability(readCapabilities().permitted, capability)
  attempt(() => addon.dropBoundingCapability(capability))
  const { effective, permitted, inheritable } = readCapabilities()
  const without = (set: bigint): number => Number(set & ~(1n << BigInt(capability)))
  // What is ambient goes with what is permitted.
  attempt(() => addon.setCapabilities(without(effective), without(permitted), without(inheritable)))
  return !hasCapability(readCapabilities().permitted, capability)
}

/** What is left of root's capabilities; undefined: none. */
interface KeptCapabilities<Kept> {
  /** Permitted, not in effect, and inherited by nobody until {@link withCapability} says so. */
  readonly forChild: Kept
  /** In effect for this process, and inherited by nobody. */
  readonly own: Kept
}

/** Runs `become`, which gives up root, and keeps so much of what root had. Returns what is kept. */
export const keepCapabilitiesThrough = (
  { forChild, own }: KeptCapabilities<number | undefined>,
  become: () => void
): KeptCapabilities<boolean> => {
  const { addon } = loadNative()
  attempt(() => addon?.keepCapabilities(1))
  try {
    become()
  } finally {
    attempt(() => addon?.keepCapabilities(0))
  }
  const { permitted } = readCapabilities()
  const bit = (capability: number | undefined): bigint =>
    addon === undefined || capability === undefined || !hasCapability(permitted, capability)
      ? 0n
      : 1n << BigInt(capability)
  const [inherited, effective] = [bit(forChild), bit(own)]
  if (forChild !== undefined) attempt(() => addon?.setAmbientCapability(forChild, 0))
  const isSet = attempt(() =>
    addon?.setCapabilities(Number(effective), Number(effective | inherited), Number(inherited))
  )
  return { forChild: isSet && inherited !== 0n, own: isSet && effective !== 0n }
}

/**
 * Keeps one capability for a child as {@link keepCapabilitiesThrough} does, in a process that has it without being root. The others stay
 * as they are.
 */
export const reserveCapability = (capability: number): boolean => {
  const { addon } = loadNative()
  const one = 1n << BigInt(capability)
  const { permitted, effective, inheritable } = readCapabilities()
  if (addon === undefined || !hasCapability(permitted, capability)) return false
  // After a change of user nothing is in effect, and what is permitted beside this one is left over from root.
  const kept = effective === 0n ? one : permitted
  attempt(() => addon.setAmbientCapability(capability, 0))
  return attempt(() =>
    addon.setCapabilities(Number(effective & ~one), Number(kept), Number((inheritable & kept) | one))
  )
}

/** Has what `start` starts inherit a capability that this process reserved. */
export const withCapability = <A>(capability: number, start: () => A): A => {
  const { addon } = loadNative()
  const isRaised = addon !== undefined && attempt(() => addon.setAmbientCapability(capability, 1))
  try {
    return start()
  } finally {
    if (isRaised) addon.setAmbientCapability(capability, 0)
  }
}

/** Whether this process may bind a port: by privilege, or because everybody may. */
export const mayBindPort = (port: number): boolean => {
  if (hasCapability(readCapabilities().effective, CAP_NET_BIND_SERVICE)) return true
  try {
    return port >= Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"))
  } catch {
    return port >= FIRST_COMMON_PORT
  }
}
