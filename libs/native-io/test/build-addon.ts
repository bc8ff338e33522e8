/** Compiles the addon before the suites of this package run, so that they never test an old one. */
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

export const BUILD_SCRIPT = fileURLToPath(new URL("../build.mjs", import.meta.url))

export default (): void => {
  execFileSync(process.execPath, [BUILD_SCRIPT], { stdio: "inherit" })
}
