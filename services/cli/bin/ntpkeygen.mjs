#!/usr/bin/env node
// Plain JavaScript, so that any Node can start it: hands over to the Node that Meridian pins.
import { existsSync } from "node:fs"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const at = (path) => fileURLToPath(new URL(path, import.meta.url))
const pinned = at("../../../node_modules/.bin/node")

if (Number(process.versions.node.split(".")[0]) >= 26) {
  const { ntpkeygen } = await import(at("../src/ntpkeygen.ts"))
  process.exitCode = ntpkeygen(process.argv.slice(2))
} else if (existsSync(pinned)) {
  const child = spawnSync(pinned, [at("ntpkeygen.mjs"), ...process.argv.slice(2)], { stdio: "inherit" })
  process.exit(child.status ?? 1)
} else {
  process.stderr.write("ntpkeygen: Node 26 is not installed here; run `npm install` in the checkout first\n")
  process.exit(1)
}
