/** Where a node keeps its state when nobody says otherwise. */
import { existsSync } from "@meridian/system/files"
import { homedir } from "node:os"
import { join, resolve, sep } from "node:path"

/** The variables that matter, handed in by main.ts: no lib reads the environment itself. */
interface StateEnvironment {
  /** systemd's StateDirectory= */
  readonly STATE_DIRECTORY?: string | undefined
  readonly XDG_STATE_HOME?: string | undefined
}

/**
 * The default state directory: `.meridian/node` below a checkout; what systemd gave; else the system's place for root and
 * the user's own for everybody else.
 * @param programRoot the folder that holds `services/` and `libs/`
 * @param isRoot whether this process runs as root
 */
export const defaultStateDirectory = (programRoot: string, isRoot: boolean, environment: StateEnvironment): string => {
  const root = resolve(programRoot)
  const given = environment.STATE_DIRECTORY
  if (given !== undefined && given !== "") return given.split(":")[0] ?? given
  const isCheckout = existsSync(join(root, "nx.json")) && !root.includes(`${sep}node_modules${sep}`)
  if (isCheckout) return join(root, ".meridian/node")
  if (isRoot) return "/var/lib/meridian"
  return join(environment.XDG_STATE_HOME ?? join(homedir(), ".local/state"), "meridian")
}
