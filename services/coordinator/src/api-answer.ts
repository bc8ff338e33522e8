/** Answers of the API, and errors as answers: {"error":{"tag","message"}} with a status that fits. */

export interface ApiAnswer {
  readonly status: number
  readonly body: string
  /** JSON where absent. */
  readonly type?: string
}

/** A request that cannot be met, with its HTTP status. */
export class ApiError extends Error {
  readonly _tag = "ApiError"
  readonly status: number
  readonly tag: string
  constructor(status: number, tag: string, message: string) {
    super(message)
    this.status = status
    this.tag = tag
  }
}

export const json = (value: unknown, status = 200): ApiAnswer => ({ status, body: `${JSON.stringify(value)}\n` })

/** By the tag of a typed error; what has none is our own fault. */
const STATUS: Readonly<Record<string, number>> = {
  CommandRefused: 409,
  NotLeading: 503,
  ClockDoubtful: 503,
  TooBusy: 503,
  LogBehind: 503,
  LogUnavailable: 503,
  LogFull: 507,
  KeyStoreUnavailable: 503,
  KeyUnopened: 503,
  KeyCondemned: 503,
  SlotTaken: 503,
  EventRefused: 400,
  ClusterKeyProblem: 400
}

interface Tagged {
  readonly _tag: string
  readonly message: string
}

const isTagged = (error: unknown): error is Tagged =>
  error instanceof Error && typeof (error as { readonly _tag?: unknown })._tag === "string"

/** Rules of the aggregates that mean: there is no such thing. */
const UNKNOWN = new Set(["unknown-generation", "unknown-set", "unknown-member"])
/** Rules that mean: the request itself is wrong. */
const WRONG = new Set(["contradiction", "malformed", "bad-name"])

const statusOf = (error: Tagged): number => {
  const { rule } = error as { readonly rule?: string }
  if (rule !== undefined && UNKNOWN.has(rule)) return 404
  if (rule !== undefined && WRONG.has(rule)) return 400
  return STATUS[error._tag] ?? 500
}

export const toAnswer = (error: unknown): ApiAnswer => {
  if (error instanceof ApiError) return json({ error: { tag: error.tag, message: error.message } }, error.status)
  if (!isTagged(error)) return json({ error: { tag: "Internal", message: String(error) } }, 500)
  const { rule } = error as { readonly rule?: string }
  const detail = rule === undefined ? {} : { rule }
  return json({ error: { tag: error._tag, ...detail, message: error.message } }, statusOf(error))
}
