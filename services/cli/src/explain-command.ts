/** `meridian explain --at TIME`: what was true at a moment, and the events that say so. */
import { explainCommand } from "@meridian/config/cluster-command-lines"
import type { Explanation } from "@meridian/observability/cluster-state"
import { clockTable, generationTable, setTable } from "./cluster-view.ts"
import { ask, stateDirectoryOf } from "./coordinator-client.ts"
import { OperatorProblem, printJson, runOperatorCommand } from "./operator-command.ts"
import { paint, printable, shortTime } from "./text-table.ts"

export const runExplain = (programRoot: string, args: readonly string[]): Promise<number> =>
  runOperatorCommand(explainCommand, args, async ({ values: { at, state, json } }) => {
    const moment = at === undefined ? Date.now() : Date.parse(at)
    if (Number.isNaN(moment)) throw new OperatorProblem(2, `--at: there is no such time as ${JSON.stringify(at)}`)
    const query = new URLSearchParams({ at: new Date(moment).toISOString() })
    const found = await ask<Explanation>(stateDirectoryOf(programRoot, state), {
      method: "GET",
      path: `/explain?${query.toString()}`
    })
    if (json) printJson(found)
    else process.stdout.write(formatExplanation(found))
  })

/** The explanation as one screen. */
export const formatExplanation = (found: Explanation, colours?: boolean): string => {
  const { at, leader, generations, symmetricSets, clocks, dropped, quarantined } = found
  const title = (text: string): string => `${paint(text, "bold", colours)}\n`
  const leads = leader === null ? "nobody had led yet" : `${leader.node}, term ${leader.term}, by event ${leader.event}`
  const gaps = dropped.map(({ subject, events, firstLeft, matters }) =>
    paint(
      printable(
        `  ${events} events of ${subject} were dropped by retention, ${
          firstLeft === null ? "none is left" : `the first left is of ${shortTime(firstLeft)}`
        }: ${matters ? "what is said of it here may lack something" : "before what matters here"}`
      ),
      matters ? "warn" : "dim",
      colours
    )
  )
  return [
    `At ${printable(at)} the leader was ${printable(leads)}\n`,
    title("NTS master keys"),
    generationTable(generations, colours),
    title("Symmetric keys"),
    setTable(symmetricSets, colours),
    title("Clocks"),
    clockTable(clocks, colours),
    ...(gaps.length === 0 ? [] : [title("Not in the log any more"), `${gaps.join("\n")}\n`]),
    ...(quarantined === 0
      ? []
      : [`${quarantined} commits could not be read and are left out; \`meridian log\` names them\n`])
  ].join("")
}
