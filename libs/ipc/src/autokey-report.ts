/** What the process that answers Autokey's requests tells its supervisor. */
import { isCounts, isRecord } from "./message.ts"

export interface AutokeyReport {
  readonly type: "report"
  /** Packets by what became of them; the reasons are in services/autokey/src/answering.ts. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly received: number
  readonly replied: number
  /** bytes */
  readonly rss: number
}

export type FromAutokey =
  | AutokeyReport
  | { readonly type: "ready" }
  | { readonly type: "warning"; readonly message: string }
export type ToAutokey = { readonly type: "drain" }

/** Reads a message from the process; undefined when it is none of ours. */
export const parseFromAutokey = (message: unknown): FromAutokey | undefined => {
  if (!isRecord(message)) return undefined
  const { type, outcomes, received, replied, rss } = message
  if (type === "ready") return { type }
  if (type === "warning" && typeof message["message"] === "string") return { type, message: message["message"] }
  if (type !== "report" || !isCounts(outcomes)) return undefined
  return [received, replied, rss].every(Number.isFinite) ? (message as unknown as AutokeyReport) : undefined
}

/** Reads a message from the supervisor; undefined when it is none of ours. */
export const parseToAutokey = (message: unknown): ToAutokey | undefined =>
  isRecord(message) && message["type"] === "drain" ? { type: "drain" } : undefined
