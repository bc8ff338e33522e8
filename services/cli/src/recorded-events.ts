/** What a command has put into the log. */
import { ask, stateDirectoryOf } from "./coordinator-client.ts"
import { print } from "./run-command.ts"
import { cell, table } from "./text-table.ts"

export interface Recorded {
  readonly events: readonly {
    readonly id: string
    readonly type: string
    readonly subject: string
    readonly version: number
  }[]
}

const formatEvents = ({ events }: Recorded): string =>
  events.length === 0
    ? "nothing to do: it is so already\n"
    : table(
        ["recorded", "in", "event"],
        events.map(({ id, type, subject, version }) => [cell(type, "bold"), `${subject} ${version}`, id])
      )

/** Has the coordinator do something, and shows what came of it. */
export const carryOut = async (
  { state, json }: { readonly state: string | undefined; readonly json: boolean },
  path: string,
  body: Readonly<Record<string, unknown>>
): Promise<void> =>
  print(json, await ask<Recorded>(stateDirectoryOf(state), { method: "POST", path, body }), formatEvents)
