/**
 * Messages between the control process and its supervisor, besides NodeSnapshot and its part of the serving plan. Messages
 * travel as structured clones.
 */
import { type FromService, readerOf, type ToldBy, toldOf } from "./service-messages.ts"
import { count, counts, flag, record, rule, type Shape, text, type TypeOf, words } from "./shape.ts"

const actArguments: Shape<Readonly<Record<string, string | number | boolean>>> = rule(
  record({}) as unknown as Shape<Readonly<Record<string, string | number | boolean>>>,
  "texts, numbers and flags by name",
  (value) => Object.values(value).every((it) => ["string", "number", "boolean"].includes(typeof it))
)

/** Something an operator may do from outside: `name` says what, `arguments` to what. Each is judged by the supervisor. */
const actMessage = record({
  type: words("act"),
  /** Names the answer. */
  id: count,
  name: text(1, 64),
  arguments: actArguments,
  /** Who asked, for the event log: "ntpq key 5", "chronyc". */
  author: text(1, 256)
})
export type ActMessage = TypeOf<typeof actMessage>

const actedMessage = record({
  type: words("acted"),
  id: count,
  ok: flag,
  /** What was done or why not, one sentence. */
  message: text(0, 65_536)
})
export type ActedMessage = TypeOf<typeof actedMessage>

const controlReport = record({
  type: words("report"),
  /** Requests to it by what became of them: `mode6-answered`, `chronyc-refused`, … */
  outcomes: counts,
  /** bytes */
  rss: count,
  heapUsed: count
})
export type ControlReport = TypeOf<typeof controlReport>

/** Somebody looks: show how the node is now. */
const lookMessage = record({ type: words("look") })
export type LookMessage = TypeOf<typeof lookMessage>

export type FromControl = FromService<ControlReport, ActMessage | LookMessage>

/** Reads a message from the control process; undefined when it is none of ours. @throws InvalidMessage */
export const parseFromControl = readerOf(controlReport, { act: actMessage, look: lookMessage })

export const parseToControl = toldOf({ acted: actedMessage })
export type ToControl = ToldBy<typeof parseToControl>
