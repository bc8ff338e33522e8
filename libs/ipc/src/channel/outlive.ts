/**
 * A process that serves on while its supervisor becomes another program: the channel between them closes, and the program that follows ends this
 * process by SIGTERM when a successor serves. Where none follows, it ends by itself.
 */
const LOOK_EACH_MS = 1_000

/** @param end what this process does when its supervisor is gone for good */
export const outlive = (end: () => void): void => {
  const supervisor = process.ppid
  process.removeAllListeners("disconnect")
  setInterval(() => {
    if (process.ppid !== supervisor) end()
  }, LOOK_EACH_MS)
}
