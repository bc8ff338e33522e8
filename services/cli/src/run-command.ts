/** What the commands that ask a node have in common: flags in, one line out where it cannot be done. */
import { type CommandLine, type Flag, renderHelp } from "@meridian/config/flags"
import { type ParsedFlags, parseFlags } from "@meridian/system/command-line"
import { nearestWord } from "@meridian/config/nearest"
import { CoordinatorRefused, CoordinatorUnreachable } from "./coordinator-client.ts"
import { NodeUnreachable } from "./node-client.ts"

/** It could not be done on this side: a file that cannot be written, an argument that cannot be meant. */
export class OperatorProblem extends Error {
  readonly _tag = "OperatorProblem"
  readonly exitCode: 1 | 2
  constructor(exitCode: 1 | 2, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}

/** HTTP: what was asked cannot be meant, so the command line is wrong. */
const BAD_REQUEST = 400

/**
 * Reads the flags, shows the help, runs, and turns what went wrong into a line on standard error. Exit codes: what it
 * gives, 0 for nothing; 1 it could not be done, 2 the command line is wrong.
 */
export const runCommand = async <F extends Readonly<Record<string, Flag>>>(
  commandLine: CommandLine<F>,
  args: readonly string[],
  run: (given: ParsedFlags<F>) => Promise<number | void> | number | void
): Promise<number> => {
  const refuse = (code: number, message: string): number => {
    process.stderr.write(`${commandLine.command}: ${message.replaceAll(/\s*\n\s*/g, " ")}\n`)
    return code
  }
  const parsed = parseFlags(commandLine, args)
  if (!parsed.ok) return refuse(2, parsed.error.message)
  if (parsed.value.help) {
    process.stdout.write(renderHelp(commandLine))
    return 0
  }
  try {
    return (await run(parsed.value)) ?? 0
  } catch (error) {
    if (error instanceof OperatorProblem) return refuse(error.exitCode, error.message)
    if (error instanceof CoordinatorUnreachable || error instanceof NodeUnreachable) return refuse(1, error.message)
    if (error instanceof CoordinatorRefused) return refuse(error.status === BAD_REQUEST ? 2 : 1, error.message)
    throw error
  }
}

/** A verb's run, by name. */
type Verbs = Readonly<Record<string, (args: readonly string[]) => Promise<number>>>

/** Finds the verb of `meridian keys VERB …`. */
export const runVerb = async (command: string, verbs: Verbs, args: readonly string[]): Promise<number> => {
  const [verb = "", ...rest] = args
  const found = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined
  if (found !== undefined) return found(rest)
  const names = Object.keys(verbs)
  if (verb === "--help" || verb === "-h") {
    process.stdout.write(`${names.map((name) => `${command} ${name} --help`).join("\n")}\n`)
    return 0
  }
  const near = nearestWord(verb, names)
  const hint = near === undefined ? `expected ${names.join(", ")}` : `did you mean \`${command} ${near}\`?`
  process.stderr.write(`${command}: ${verb === "" ? "no verb" : `found ${JSON.stringify(verb)}`}; ${hint}\n`)
  return 2
}

/** An answer as JSON, or as text for people. */
export const print = <A>(json: boolean, answer: A, text: (answer: A) => string): void =>
  json ? printJson(answer) : void process.stdout.write(text(answer))

/** JSON for machines, as every command of ours prints it. */
export const printJson = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
