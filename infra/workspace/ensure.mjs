// Runs on the system's Node (20 or newer) before node_modules exists: plain JavaScript, no imports but node:.
import { existsSync, statSync } from "node:fs"
import { spawnSync } from "node:child_process"

const installed = "node_modules/.package-lock.json"
const stale =
  !existsSync(installed) ||
  !existsSync("node_modules/.bin/node") ||
  statSync("package-lock.json").mtimeMs > statSync(installed).mtimeMs + 1
if (stale) {
  process.stderr.write("meridian: installing (npm ci), about ten seconds …\n")
  const result = spawnSync("npm", ["ci", "--loglevel=error", "--no-fund", "--no-audit"], { stdio: ["ignore", "inherit", "inherit"] })
  if (result.status !== 0) process.exit(result.status ?? 1)
}
