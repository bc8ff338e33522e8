/** What every service says to its supervisor, and the reader of it. Messages travel as structured clones. */
import { isRecord } from "./message.ts"
import { fits, read, record, type Shape, tagged, type TaggedOf, type TypeOf } from "./shape.ts"
import type { WarningMessage } from "./supervised.ts"

/** It serves from now on. */
export interface ReadyMessage {
  readonly type: "ready"
}

/** It took nothing more in and finished what it held, its last report inside; it exits by itself. */
export interface DrainedMessage<Report> {
  readonly type: "drained"
  readonly report: Report
}

/** Take nothing more in, finish what you hold, report, exit. */
export interface DrainMessage {
  readonly type: "drain"
}

export type FromService<Report, More = never> = ReadyMessage | WarningMessage | DrainedMessage<Report> | Report | More

type Shapes = Readonly<Record<string, Shape<{ readonly type: string }>>>

/**
 * The reader of a service's words: undefined for a message that is none of its own.
 * @param report the shape of what it reports again and again
 * @param more what else it says, by type
 * @throws InvalidMessage from the reader, for one of its own that cannot be: names the place, what was expected and found
 */
export const readerOf =
  <Report extends { readonly type: "report" }, const More extends Shapes = Record<never, never>>(
    report: Shape<Report>,
    more?: More
  ) =>
  (message: unknown): FromService<Report, TypeOf<More[keyof More]>> | undefined => {
    if (!isRecord(message)) return undefined
    const { type } = message
    switch (type) {
      case "ready":
        return { type }
      case "warning":
        return typeof message["message"] === "string" ? { type, message: message["message"] } : undefined
      case "report":
        return read(report, "report", message)
      case "drained":
        return { type, report: read(report, "report", message["report"]) }
      default: {
        const shape =
          typeof type === "string" && more !== undefined && Object.hasOwn(more, type) ? more[type] : undefined
        return shape === undefined ? undefined : (read(shape, type as string, message) as TypeOf<More[keyof More]>)
      }
    }
  }

/**
 * The reader of what a supervisor tells a service: undefined for what is none of it.
 * @param more what it is told besides `drain`, by type
 */
export const toldOf = <const More extends Readonly<Record<string, Shape<object>>>>(more: More) => {
  const shape = tagged("type", { drain: record({}), ...more }) as Shape<unknown> as Shape<
    DrainMessage | TaggedOf<"type", More>
  >
  return (message: unknown) => (fits(shape, message) ? message : undefined)
}

/** What such a reader gives. */
export type ToldBy<Reader extends (message: unknown) => unknown> = NonNullable<ReturnType<Reader>>

export const readDrain = toldOf({})
