/** What a command has put into the log. */
import { cell, table } from "./text-table.ts"

export interface Recorded {
  readonly events: readonly {
    readonly id: string
    readonly type: string
    readonly subject: string
    readonly version: number
  }[]
}

export const formatEvents = ({ events }: Recorded, colours?: boolean): string =>
  events.length === 0
    ? "nothing to do: it is so already\n"
    : table(
        ["recorded", "in", "event"],
        events.map(({ id, type, subject, version }) => [cell(type, "bold"), `${subject} ${version}`, id]),
        colours
      )
