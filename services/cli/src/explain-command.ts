/** `meridian explain --at TIME`: what was true at a moment, and the events that say so. */
import { explainCommand } from "@meridian/config/cluster-command-lines"
import type { Explanation } from "@meridian/ipc"
import { actLines, clockTable, generationTable, setTable } from "./cluster-view.ts"
import { ask, stateDirectoryOf } from "./coordinator-client.ts"
import { OperatorProblem, print, runCommand } from "./run-command.ts"
import { lineWidth, paint, printable, shortTime, wrapped } from "./text-table.ts"

export const runExplain = (args: readonly string[]): Promise<number> =>
  runCommand(explainCommand, args, async ({ values: { at, event, state, json } }) => {
    if (at !== undefined && event !== undefined)
      throw new OperatorProblem(2, "--at and --event both name a moment: give one of them")
    const asked = { ...(at === undefined ? {} : { at }), ...(event === undefined ? {} : { event }) }
    const query = `?${new URLSearchParams(asked).toString()}`
    const found = await ask<Explanation>(stateDirectoryOf(state), {
      method: "GET",
      path: `/explain${query}`
    })
    print(json, found, formatExplanation)
  })

/** The explanation as one screen. */
export const formatExplanation = (found: Explanation): string => {
  const { at, future, leader, generations, symmetricSets, clocks, dropped, quarantined } = found
  const title = (text: string): string => `${paint(text, "bold")}\n`
  const leads =
    leader === null
      ? "nobody had led yet"
      : `the leader was ${leader.node}, term ${leader.term}, by event ${leader.event}`
  const gaps = dropped.map(({ subject, events, firstLeft, matters }) =>
    paint(
      printable(
        `  ${events} events of ${subject} were dropped by retention, ${
          firstLeft === null ? "none is left" : `the first left is of ${shortTime(firstLeft)}`
        }: ${matters ? "what is said of it here may lack something" : "before what matters here"}${
          !matters && subject.startsWith("clock.") ? "; reachable sources and steps are counted from there" : ""
        }`
      ),
      matters ? "warn" : "dim"
    )
  )
  const acts = actLines(clocks)
  return [
    ...(future
      ? [
          paint(
            `${printable(at)} is still to come: this is what is known by now, keys as they will stand then\n`,
            "warn"
          )
        ]
      : []),
    `${wrapped(`At ${printable(at)} ${printable(leads)}`, "  ", lineWidth())}\n`,
    title("NTS master keys"),
    generationTable(generations),
    title("Symmetric keys"),
    setTable(symmetricSets),
    title("Clocks"),
    clockTable(clocks),
    ...(acts.length === 0 ? [] : [title("Operators"), `${acts.map(printable).join("\n")}\n`]),
    ...(gaps.length === 0 ? [] : [title("Not in the log any more"), `${gaps.join("\n")}\n`]),
    ...(quarantined === 0
      ? []
      : [`${quarantined} commits could not be read and are left out; \`meridian log\` names them\n`])
  ].join("")
}
