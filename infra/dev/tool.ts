/** What the commands for developers have in common: peers fetched where they are missing, one line and an exit code where it cannot be done. */
import { spawnSync } from "node:child_process"
import { join, resolve } from "node:path"

export const root = resolve(import.meta.dirname, "../..")

/** It cannot be done, in a sentence that says what to do. */
export class ToolProblem extends Error {
  readonly _tag = "ToolProblem"
  readonly exitCode: 1 | 2
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** A program of the folder of real peers, which is filled where it is missing. @throws ToolProblem */
export const fetchedPeer = <A>(find: () => A | undefined, problem: string): A => {
  if (find() === undefined)
    spawnSync(process.execPath, [join(root, "infra/peers/fetch.ts")], { stdio: ["ignore", "ignore", "inherit"] })
  const found = find()
  if (found === undefined) throw new ToolProblem(problem)
  return found
}

/** What `parse` reads of the command line. @throws ToolProblem with exit code 2 */
export const readArguments = <A>(parse: () => A): A => {
  try {
    return parse()
  } catch (error) {
    throw new ToolProblem((error as Error).message, 2)
  }
}

/** The state and the verbs `up`, `down` and `status`; a status that is not good ends with 1. @throws ToolProblem */
export const runVerb = async (
  positionals: readonly string[],
  verbs: Readonly<Record<"up" | "down", () => Promise<void>>> & { readonly status: () => Promise<boolean> }
): Promise<void> => {
  const [verb, ...more] = positionals
  if (more.length === 0 && verb === "up") return verbs.up()
  if (more.length === 0 && verb === "down") return verbs.down()
  if (more.length > 0 || verb !== "status") throw new ToolProblem("expected one of up, status, down", 2)
  if (!(await verbs.status())) process.exitCode = 1
}

/** Runs a tool by name. */
export const runTool = async (name: string, main: () => Promise<void>): Promise<void> => {
  try {
    await main()
  } catch (error) {
    process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = error instanceof ToolProblem ? error.exitCode : 1
  }
}
