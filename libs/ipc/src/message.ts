/** What the readers of messages between processes have in common: they take nothing for granted, and counts add by name. */

/** Counts by name: outcomes, reasons, algorithms. */
export type Counts = Readonly<Record<string, number>>

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Whether every value is a finite number. */
export const isCounts = (value: unknown): boolean =>
  isRecord(value) && Object.values(value).every((count) => Number.isFinite(count))

/** The sum, name by name; a name that only one side has keeps its count. */
export const addCounts = (a: Counts, b: Counts): Counts => {
  const sum: Record<string, number> = { ...a }
  for (const [name, count] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + count
  return sum
}

/** What every process says once a second or two, whatever it does (heartbeat.ts). */
export const isAlive = (message: unknown): boolean => isRecord(message) && message["type"] === "alive"
