/**
 * Messages between the control process and its supervisor, besides NodeSnapshot and its part of the serving plan. Messages
 * travel as structured clones.
 */
import { isRecord } from "./message.ts"

/** Something an operator may do from outside: `name` says what, `arguments` to what. Each is judged by the supervisor. */
export interface ActMessage {
  readonly type: "act"
  /** Names the answer. */
  readonly id: number
  readonly name: string
  readonly arguments: Readonly<Record<string, string | number | boolean>>
  /** Who asked, for the event log: "ntpq key 5", "chronyc". */
  readonly author: string
}

export interface ActedMessage {
  readonly type: "acted"
  readonly id: number
  readonly ok: boolean
  /** What was done or why not, one sentence. */
  readonly message: string
}

export interface ControlReport {
  readonly type: "report"
  /** Requests at its doors by what became of them: `mode6-answered`, `chronyc-refused`, … */
  readonly outcomes: Readonly<Record<string, number>>
  /** bytes */
  readonly rss: number
  readonly heapUsed: number
}

export interface ControlReady {
  readonly type: "ready"
}

/** Something an operator should read, said once per cause. */
export interface ControlWarning {
  readonly type: "warning"
  readonly message: string
}

/** Answer what waits, exit. */
export interface DrainControl {
  readonly type: "drain"
}

export type FromControl = ControlReady | ControlReport | ControlWarning | ActMessage
export type ToControl = ActedMessage | DrainControl

/** Reads a message from the control process; undefined when it is none of ours. */
export const parseFromControl = (message: unknown): FromControl | undefined => {
  if (!isRecord(message)) return undefined
  const { type, outcomes, rss, id, name, author } = message
  if (type === "ready") return { type }
  if (type === "warning" && typeof message["message"] === "string") return { type, message: message["message"] }
  if (type === "report" && isRecord(outcomes) && Number.isFinite(rss)) return message as unknown as ControlReport
  if (
    type === "act" &&
    Number.isInteger(id) &&
    typeof name === "string" &&
    typeof author === "string" &&
    isRecord(message["arguments"])
  )
    return message as unknown as ActMessage
  return undefined
}

/** Reads a message from the supervisor; undefined when it is none of ours. */
export const parseToControl = (message: unknown): ToControl | undefined => {
  if (!isRecord(message)) return undefined
  switch (message["type"]) {
    case "drain":
      return { type: "drain" }
    case "acted":
      return Number.isInteger(message["id"]) && typeof message["ok"] === "boolean"
        ? (message as unknown as ActedMessage)
        : undefined
    default:
      return undefined
  }
}
