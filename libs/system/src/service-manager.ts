/**
 * What a service manager is told (sd_notify(3)): that the node is ready, reloading, stopping; how it does in one line; that
 * it is alive. Without NOTIFY_SOCKET, or without the addon, nothing is told to nobody.
 */
import { loadNative } from "./native.ts"

interface ServiceManager {
  readonly ready: (status: string) => void
  readonly reloading: () => void
  readonly stopping: () => void
  /** One line for `systemctl status`; it also says that this process is alive. */
  readonly alive: (status: () => string) => void
  /** How often {@link alive} is to be called, milliseconds; undefined where nobody watches. */
  readonly watchdogMs: number | undefined
}

/** Half of what the manager bears, as sd_watchdog_enabled(3) advises; undefined where it watches another process or none. */
const watchdog = (environment: NodeJS.ProcessEnv, pid: number): number | undefined => {
  const microseconds = Number(environment["WATCHDOG_USEC"])
  const isOurs = environment["WATCHDOG_PID"] === undefined || Number(environment["WATCHDOG_PID"]) === pid
  return isOurs && microseconds > 0 ? microseconds / 2000 : undefined
}

/** CLOCK_MONOTONIC in microseconds, which systemd wants with RELOADING. */
const monotonicMicroseconds = (): string => String(process.hrtime.bigint() / 1000n)

/**
 * The manager that an environment names.
 * @param environment NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are read
 */
export const serviceManager = (environment: NodeJS.ProcessEnv, pid: number): ServiceManager => {
  const path = environment["NOTIFY_SOCKET"]
  const { addon } = loadNative()
  const tell = (...lines: readonly string[]): void => {
    if (path === undefined || addon === undefined) return
    try {
      addon.notifyServiceManager(path, lines.map((line) => line.replaceAll("\n", " ")).join("\n"))
    } catch {
      /** A manager that is gone, or busy, hears the next one. */
    }
  }
  return {
    ready: (status) => tell("READY=1", `STATUS=${status}`),
    reloading: () => tell("RELOADING=1", `MONOTONIC_USEC=${monotonicMicroseconds()}`),
    stopping: () => tell("STOPPING=1", "STATUS=draining"),
    alive: (status) => path !== undefined && tell("WATCHDOG=1", `STATUS=${status()}`),
    watchdogMs: path === undefined ? undefined : watchdog(environment, pid)
  }
}
