/** Compiles the addon before the suites of this package run, so that they never test an old one. */
import { execFileSync, spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

export const BUILD_SCRIPT = fileURLToPath(new URL("../../libs/system/build.mjs", import.meta.url))

/** For tests that compile with the sanitizers, or run what was so compiled: many times as slow as anything else. */
export const SANITIZED = { timeout: 600_000 }

export default (): void => {
  execFileSync(process.execPath, [BUILD_SCRIPT], { stdio: "inherit" })
  // Once, rather than in each of the suites that need it at the same time. Where it fails, those say why.
  spawnSync(process.execPath, [BUILD_SCRIPT, "--sanitize"], { stdio: "ignore" })
}
