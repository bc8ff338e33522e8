/** What the readers of messages between processes have in common: they take nothing for granted. */

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** What every process says once a second or two, whatever it does (heartbeat.ts). */
export const isAlive = (message: unknown): boolean => isRecord(message) && message["type"] === "alive"
