/** Flags that somebody meant for the node and npm has taken: `npm start --nts` in place of `npm start -- --nts`. */
import { upCommand } from "@meridian/config/command-lines"

/**
 * npm hands a flag that stands before `--` to nobody: it puts it into the environment, and its value among the arguments.
 * @returns what to type instead, where the script is `npm start` and one of the node's flags was taken
 */
export const takenByNpm = (environment: Readonly<Record<string, string | undefined>>): string | undefined => {
  if (environment["npm_lifecycle_event"] !== "start") return undefined
  const taken = Object.keys(upCommand.flags).filter(
    (name) => environment[`npm_config_${name.replaceAll("-", "_")}`] !== undefined
  )
  return taken.length === 0
    ? undefined
    : `npm took ${taken.map((name) => `--${name}`).join(", ")} for its own; the node's flags stand behind \`--\`: npm start -- FLAGS`
}
