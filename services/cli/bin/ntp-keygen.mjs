#!/usr/bin/env node
// Plain JavaScript, so that any Node can start it: hands over to the Node that Meridian pins.
import { existsSync } from "node:fs"
import { spawnSync } from "node:child_process"
import module from "node:module"
import { fileURLToPath } from "node:url"

const at = (path) => fileURLToPath(new URL(path, import.meta.url))
const pinned = at("../../../node_modules/.bin/node")

if (Number(process.versions.node.split(".")[0]) >= 26) {
  // Compiled modules are kept: without, most of a run would be compiling.
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE ?? at("../../../node_modules/.cache/meridian"))
  const { ntpKeygen } = await import(at("../src/ntp-keygen.ts"))
  process.exitCode = ntpKeygen(process.argv.slice(2))
} else if (existsSync(pinned)) {
  const child = spawnSync(pinned, [at("ntp-keygen.mjs"), ...process.argv.slice(2)], { stdio: "inherit" })
  process.exit(child.status ?? 1)
} else {
  process.stderr.write("ntp-keygen: Node 26 is not installed here; run `npm install` in the checkout first\n")
  process.exit(1)
}
