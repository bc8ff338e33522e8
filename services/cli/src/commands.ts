/** What commands `meridian` has: finds the one that is asked for and runs it. */
import { nearestWord } from "@meridian/config/nearest"

/** `--state DIR` may stand before the command as well as behind it. */
const stateLast = (given: readonly string[]): readonly string[] => {
  const flags = given[0] === "--state" ? 2 : given[0]?.startsWith("--state=") === true ? 1 : 0
  return [...given.slice(flags), ...given.slice(0, flags)]
}

/** What bin/meridian.mjs becomes by itself. */
const PROGRAMS = ["up", "signd", "exabgp"]

/** Each loads its own modules alone, when it is asked for. */
const commands: Record<string, (args: readonly string[]) => number | Promise<number>> = {
  status: async (args) => (await import("./status-command.ts")).runStatus(args),
  query: async (args) => (await import("./query-command.ts")).runQuery(args),
  sources: async (args) => (await import("./sources-command.ts")).runSources(args),
  top: async (args) => (await import("./top-command.ts")).runTop(args),
  tracking: async (args) => (await import("./tracking-command.ts")).runTracking(args),
  clients: async (args) => (await import("./clients-command.ts")).runClients(args),
  serverstats: async (args) => (await import("./serverstats-command.ts")).runServerstats(args),
  waitsync: async (args) => (await import("./waitsync-command.ts")).runWaitsync(args),
  init: async (args) => (await import("./init-command.ts")).runInit(args),
  reload: async (args) => (await import("./reload-command.ts")).runReload(args),
  config: async (args) => (await import("./config-check.ts")).runConfig(args),
  log: async (args) => (await import("./log-command.ts")).runLog(args),
  keys: async (args) => (await import("./keys-command.ts")).runKeys(args),
  cluster: async (args) => (await import("./cluster-command.ts")).runCluster(args),
  policy: async (args) => (await import("./policy-command.ts")).runPolicy(args),
  explain: async (args) => (await import("./explain-command.ts")).runExplain(args),
  version: async (args) => (await import("./version-command.ts")).runVersion(args),
  help: async (args) => (await import("./help.ts")).runHelp(args)
}
const aliases: Record<string, string> = { "--help": "help", "-h": "help", "--version": "version", "-V": "version" }

/** @param words what stands behind `meridian` @returns the exit code: 2 for a command that there is not */
export const runMeridian = async (words: readonly string[]): Promise<number> => {
  const [command = "help", ...args] = stateLast(words)
  const name = aliases[command] ?? command
  if (Object.hasOwn(commands, name)) return commands[name]!(args)
  const near = nearestWord(command, [...Object.keys(commands), ...PROGRAMS])
  const hint = near === undefined ? "`meridian help` lists the commands" : `did you mean \`meridian ${near}\`?`
  process.stderr.write(`meridian: no command ${JSON.stringify(command)}; ${hint}\n`)
  return 2
}
